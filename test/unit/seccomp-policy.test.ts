/** Policies in JSON: exact numbers, Docker's and Podman's members, and no crash whatever is in the file. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { formatWord64, parseExactly, parseWord64, readWord64 } from "../../cmds/unshare/seccomp/json.ts";
import type { Surroundings } from "../../cmds/unshare/seccomp/profile.ts";
import { readPolicy } from "../../cmds/unshare/seccomp/read.ts";
import { compile } from "../../native/linux/seccomp/compile.ts";
import { PolicyError, type Word64 } from "../../native/linux/seccomp/policy.ts";

const here: Surroundings = { capabilities: ["SYS_CHROOT"], machine: "x86_64", kernel: "6.1.0-18-amd64" };
const big = ({ high, low }: Word64) => (BigInt(high) << 32n) | BigInt(low);

t.test("whole numbers of JSON are exact up to 64 bits, wherever their digits are", async (t) => {
	for (const number of [0n, 1n, 4096n, 2n ** 53n, 2n ** 53n + 1n, 9999999999999999n, 2n ** 63n, 2n ** 64n - 1n]) {
		const { a, text } = parseExactly(`{"a":${number},"text":"\\"${number}"}`) as { a: unknown; text: string };
		t.equal(text, `"${number}`, "a text stays");
		t.equal(big(readWord64(a) as Word64), number);
	}
	for (const [json, why] of [
		["18446744073709551616", "2^64"],
		["-1", "negative"],
		["-9999999999999999", "negative"],
		["1.5", "a fraction"],
		["1e300", "too large"],
		['"7"', "a text"],
		['"9999999999999999"', "a text"],
		["null", "null"],
		["[1]", "a list"],
	] as const)
		t.equal(readWord64(parseExactly(json)), undefined, why);
});

t.test("numbers are read as a command line has them, and written for people", async (t) => {
	for (const [text, value] of [
		["0", 0n],
		["17", 17n],
		["0x11", 17n],
		["021", 17n],
		["-1", 2n ** 64n - 1n],
		["-4294967296", 2n ** 64n - 2n ** 32n],
		["-9223372036854775808", 2n ** 63n],
		["0xffffffffffffffff", 2n ** 64n - 1n],
		["18446744073709551615", 2n ** 64n - 1n],
		["0777777777777", 0o777777777777n],
	] as const) {
		const word = parseWord64(text) as Word64;
		t.equal(big(word), value, text);
		t.equal(big(parseWord64(formatWord64(word)) as Word64), value, formatWord64(word));
	}
	for (const text of ["", "x", "0x", "08", "1.5", "0x10000000000000000", "18446744073709551616", "-9223372036854775809", "--1", " 1"])
		t.equal(parseWord64(text), undefined, text);
});

t.test("Docker's rules count for capabilities, kernels and machines as Docker says", async (t) => {
	const counts = (rule: object, surroundings: Partial<Surroundings> = {}) => {
		const policy = { defaultAction: "SCMP_ACT_ERRNO", syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW", ...rule }] };
		return readPolicy(JSON.stringify(policy), { ...here, ...surroundings }).policy.rules.length === 1;
	};
	t.ok(counts({ includes: {} }));
	t.ok(counts({ includes: { caps: ["CAP_SYS_CHROOT"] } }));
	t.notOk(counts({ includes: { caps: ["CAP_SYS_CHROOT", "CAP_BPF"] } }), "all are wanted");
	t.notOk(counts({ excludes: { caps: ["CAP_BPF", "CAP_SYS_CHROOT"] } }), "any one excludes");
	t.ok(counts({ excludes: { caps: ["CAP_BPF"] } }));
	t.ok(counts({ includes: { arches: ["arm64", "amd64"] } }));
	t.notOk(counts({ includes: { arches: ["arm64"] } }));
	t.ok(counts({ includes: { arches: ["arm64"] } }, { machine: "aarch64" }));
	t.notOk(counts({ excludes: { arches: ["amd64"] } }));
	for (const [least, kernel, isMet] of [
		["4.8", "6.1.0", true],
		["6.1", "6.1.0-18-amd64", true],
		["6.2", "6.1.99", false],
		["6.10", "6.9.1", false],
		["5.20", "6.0", true],
	] as const) {
		t.equal(counts({ includes: { minKernel: least } }, { kernel }), isMet, `${least} on ${kernel}`);
		t.equal(counts({ excludes: { minKernel: least } }, { kernel }), !isMet, `not ${least} on ${kernel}`);
	}
});

t.test("the architectures are the machine's own and those that are named for it", async (t) => {
	const read = (more: object, machine: "x86_64" | "aarch64" = "x86_64") =>
		readPolicy(JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", ...more }), { ...here, machine }).policy.architectures;
	t.same(read({}), ["x86_64"]);
	t.same(read({ architectures: ["SCMP_ARCH_X32", "SCMP_ARCH_S390X"] }), ["x86_64", "x32"]);
	t.same(read({ architectures: ["SCMP_ARCH_X86"] }, "aarch64"), ["aarch64"]);
	const archMap = [
		{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
		{ architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
	];
	t.same(read({ archMap }), ["x86_64", "i386"]);
	t.same(read({ archMap }, "aarch64"), ["aarch64", "arm"]);
});

t.test("errors are EPERM unless a rule says another, by number or by Podman's name; conditions for one argument stand alone", async (t) => {
	const read = (policy: object) => readPolicy(JSON.stringify(policy), here);
	const { policy, flags } = read({
		defaultAction: "SCMP_ACT_ERRNO",
		defaultErrno: "ENOSYS",
		defaultErrnoRet: 1,
		syscalls: [
			{ names: ["read"], action: "SCMP_ACT_ERRNO" },
			{ names: ["read"], action: "SCMP_ACT_TRACE", errnoRet: 65535 },
			{ names: ["read"], action: "SCMP_ACT_ERRNO", errno: "EPERM", errnoRet: 1 },
			{ name: "read", action: "SCMP_ACT_KILL", args: [0, 0, 1].map((index) => ({ index, value: 7, op: "SCMP_CMP_EQ" })) },
		],
	});
	t.equal(policy.defaultAction, 0x50000 + 38);
	t.same(
		policy.rules.map(({ action, conditions }) => [action, conditions.length]),
		[
			[0x50001, 0],
			[0x7ff0ffff, 0],
			[0x50001, 0],
			[0, 1],
			[0, 1],
			[0, 1],
		],
	);
	t.equal(flags, 4, "SPEC_ALLOW, as runc has it");
	t.equal(read({ defaultAction: "SCMP_ACT_ALLOW", flags: [] }).flags, 0);
	t.equal(read({ defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"] }).flags, 3);
	t.throws(() => read({ defaultAction: "SCMP_ACT_ALLOW", defaultErrno: "EWHAT" }), { message: 'defaultErrno: "EWHAT": it is no error' });
});

t.test("whatever is in the file, it is a policy or an error that says what is wrong", async (t) => {
	const text = readFileSync(fileURLToPath(new URL("../support/docker-seccomp.json", import.meta.url)), "utf8");
	const words = [
		"null",
		"-1",
		"1e999",
		"99999999999999999999",
		'"__proto__"',
		'"constructor"',
		"[]",
		"{}",
		'"\\u0000"',
		"true",
		",",
		"}",
		'"',
	];
	let state = 11;
	const below = (end: number) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * end);
	};
	const tokens = text.match(/"(?:[^"\\]|\\.)*"|\d+|[[\]{},:]/g) as string[];
	const counts = { good: 0, refused: 0 };
	for (let round = 0; round < 500; round++) {
		const mutated = [...tokens];
		for (let i = 0; i <= below(3); i++) {
			const at = below(tokens.length);
			if (below(3) === 0) mutated.splice(at, 1 + below(4));
			else mutated[at] = below(2) === 0 ? (words[below(words.length)] as string) : (tokens[below(tokens.length)] as string);
		}
		try {
			compile(readPolicy(mutated.join(" "), here).policy);
			counts.good++;
		} catch (error) {
			if (!(error instanceof PolicyError)) t.fail(`${(error as Error).stack}: ${mutated.join("").slice(0, 300)}`);
			counts.refused++;
		}
	}
	t.ok(counts.good > 20 && counts.refused > 200, JSON.stringify(counts));
	for (const deep of ["[".repeat(100_000), '{"syscalls":'.repeat(50_000)])
		t.throws(() => readPolicy(deep, here), { message: /^it is no JSON: / });
});
