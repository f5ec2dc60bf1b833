/** C structs in TypeScript; their layout beside the compiler's. */
import t from "tap";
import * as host from "../../native/host/node.ts";
import { type FieldType, getU64, pointerArray, putU64, struct } from "../../native/linux/struct.ts";
import { hasCompiler, values } from "../support/c.ts";

const C_TYPES: Record<string, string> = {
	u8: "unsigned char %",
	u16: "unsigned short %",
	be16: "unsigned short %",
	u32: "unsigned %",
	be32: "unsigned %",
	s32: "int %",
	u64: "unsigned long long %",
	s64: "long long %",
};

t.test("any sequence of fields is laid out as the compiler does it", hasCompiler ? {} : { skip: "there is no gcc" }, async (t) => {
	let seed = 7;
	const random = (below: number) => {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
		return Math.floor((seed / 2 ** 32) * below);
	};
	const names = Object.keys(C_TYPES);
	const types = Array.from({ length: 60 }, () =>
		Array.from({ length: 1 + random(7) }, () =>
			random(4) === 0 ? `${random(2) ? "char" : "u8"}[${1 + random(9)}]` : (names[random(names.length)] as string),
		),
	);
	for (const packed of [false, true]) {
		const questions: string[] = [];
		const answers: number[] = [];
		let declarations = "";
		types.forEach((fields, i) => {
			const members = fields.map((type, n) => {
				const array = /^\w+\[(\d+)\]$/.exec(type);
				return array ? `char f${n}[${array[1]}];` : `${(C_TYPES[type] as string).replace("%", `f${n}`)};`;
			});
			declarations += `struct s${i} { ${members.join(" ")} }${packed ? " __attribute__((packed))" : ""};\n`;
			const ours = struct(
				fields.map((type, n) => [`f${n}`, type as FieldType] as const),
				packed,
			);
			questions.push(`sizeof(struct s${i})`, ...fields.map((_, n) => `__builtin_offsetof(struct s${i}, f${n})`));
			answers.push(ours.size, ...fields.map((_, n) => (ours.offset as Record<string, number>)[`f${n}`] as number));
		});
		t.same(answers, values(declarations, questions));
	}
});

const all = struct([
	["a", "u8"],
	["b", "u16"],
	["c", "u32"],
	["d", "s32"],
	["e", "u64"],
	["f", "s64"],
	["g", "be16"],
	["h", "be32"],
	["name", "char[6]"],
	["raw", "u8[3]"],
]);

t.test("what is packed is unpacked as the same", async (t) => {
	for (const value of [
		{ a: 1, b: 2, c: 3, d: -4, e: 5, f: -6, g: 7, h: 8, name: "name", raw: new Uint8Array([1, 2, 3]) },
		{
			a: 255,
			b: 65535,
			c: 2 ** 32 - 1,
			d: -(2 ** 31),
			e: 2 ** 53 - 1,
			f: -(2 ** 53) + 1,
			g: 65535,
			h: 2 ** 32 - 1,
			name: "",
			raw: new Uint8Array(3),
		},
		{ a: 0, b: 0, c: 0, d: 2 ** 31 - 1, e: 2 ** 52 + 1, f: 2 ** 53 - 1, g: 1, h: 1, name: "é\udcff", raw: new Uint8Array([255, 0, 255]) },
	])
		t.same(all.unpack(all.pack(value)), value);
});

t.test("bytes are in the order that the kernel reads", async (t) => {
	const bytes = struct([
		["host", "u32"],
		["net", "be32"],
		["port", "be16"],
	]).pack({ host: 0x01020304, net: 0x01020304, port: 0x0506 });
	t.same([...bytes], [4, 3, 2, 1, 1, 2, 3, 4, 5, 6, 0, 0]);
});

t.test("what is not given is 0, and a field beyond the end of the bytes is 0 or empty", async (t) => {
	t.same([...all.pack({})], [...new Uint8Array(all.size)]);
	const short = all.unpack(all.pack({ a: 1, b: 2, name: "x" }).subarray(0, 4));
	t.match(short, { a: 1, b: 2, c: 0, e: 0, name: "" });
});

t.test("a name that would run on into the next field is refused", async (t) => {
	t.equal(all.unpack(all.pack({ name: "12345" })).name, "12345");
	t.throws(() => all.pack({ name: "123456" }), RangeError);
	t.throws(() => all.pack({ raw: new Uint8Array(4) }), RangeError);
	/* A field that the kernel filled to its end has no NUL. */
	const bytes = all.pack({});
	bytes.fill(0x78, all.offset.name, all.offset.name + 6);
	t.equal(all.unpack(bytes).name, "xxxxxx");
});

t.test("a struct is read from within other bytes", async (t) => {
	const whole = new Uint8Array(100).subarray(3);
	const value = { c: 0x12345678, name: "abc" };
	whole.set(all.pack(value), 11);
	t.match(all.unpack(whole, 11), value);
});

t.test("64-bit numbers go in and out; -1 is all ones", async (t) => {
	const view = new DataView(new ArrayBuffer(8));
	for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5, 2 ** 53 - 1]) {
		putU64(view, 0, value);
		t.equal(view.getBigUint64(0, true), BigInt(value));
		t.equal(getU64(view, 0), value);
	}
	for (const value of [-1, -2, -(2 ** 31), -(2 ** 32), -(2 ** 40) - 3]) {
		putU64(view, 0, value);
		t.equal(view.getBigInt64(0, true), BigInt(value));
	}
});

t.test("an array of strings for execve is an array of pointers to C strings, closed by NULL", async (t) => {
	const strings = ["one", "", "é\udcff", "x".repeat(300)];
	const array = pointerArray(strings);
	const view = new DataView(array.buffer);
	for (const [i, text] of strings.entries()) {
		const from = getU64(view, 8 * i) - host.addressOf(array);
		const to = array.indexOf(0, from);
		t.ok(from >= 8 * (strings.length + 1) && to >= from, "it points behind the array, at bytes that a NUL closes");
		t.equal(host.decode(array, from, to), text);
	}
	t.equal(getU64(view, 8 * strings.length), 0);
});
