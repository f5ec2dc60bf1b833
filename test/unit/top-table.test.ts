import t from "tap";
import { type Row, sortRows, tableLines } from "../../cmds/cgctl/top/table.ts";

const row = (name: string, values: Partial<Row> = {}): Row => ({ name, cpuLimit: null, memoryLimit: null, pidsLimit: null, ...values });
const MIB = 1 << 20;

const rows = [
	row("/idle", { cpu: 0, memory: 0, io: 0, read: 0, written: 0, pids: 0 }),
	row("/web", {
		cpu: 0.498,
		cpuLimit: 0.5,
		memory: 512 * MIB,
		memoryLimit: 1024 * MIB,
		io: 1536,
		read: 1024,
		written: 512,
		pids: 3,
		pidsLimit: 100,
	}),
	row("/db", { cpu: 1.25, memory: 2048 * MIB, io: 30 * MIB, read: 30 * MIB, written: 0, pids: 40 }),
	row("/new", { memory: 4096 }),
];

t.test("a screen of 80 columns shows the use, and a bar for each limit", async (t) => {
	const [header, db, web] = tableLines(rows, "cpu", 80);
	t.match(header, /^CGROUP +CPU\* +MEMORY +READ\/s +WRITE\/s +PIDS$/);
	t.match(db, /^\/db +125\.0% +2 GiB +30 MiB +0 B +40$/);
	t.match(web, /^\/web +49\.8% \[#+\] +512 MiB \[(#+) +\] +1 KiB +512 B +3 \[# +\]$/);
	t.equal(
		web?.split("[")[2]?.split("]")[0]?.replace(/ /g, "").length,
		Math.round((web?.split("[")[2]?.indexOf("]") ?? 0) / 2),
		"half a bar",
	);
});

t.test("the most is first, by the key; what is not known is last", async (t) => {
	const names = (key: Parameters<typeof sortRows>[1]) => sortRows(rows, key).map(({ name }) => name);
	t.same(names("cpu"), ["/db", "/web", "/idle", "/new"]);
	t.same(names("memory"), ["/db", "/web", "/new", "/idle"]);
	t.same(names("io"), ["/db", "/web", "/idle", "/new"]);
	t.same(names("pids"), ["/db", "/web", "/idle", "/new"]);
	t.match(tableLines(rows, "memory", 80)[0], /CPU +MEMORY\*/);
});

t.test("no line is wider than the screen, from 80 columns on, whatever the names and numbers", async (t) => {
	const long = row(`/${"n".repeat(200)}`, {
		cpu: 128,
		cpuLimit: 1,
		memory: 1023 * MIB,
		memoryLimit: 1,
		io: 2046 * MIB,
		read: 1023 * MIB,
		written: 1023 * MIB,
		pids: 99999,
		pidsLimit: 1,
	});
	for (const width of [80, 81, 100, 132, 250])
		for (const line of tableLines([...rows, long], "cpu", width)) t.ok(line.length <= width, `${width}`);
	t.match(
		tableLines([long], "cpu", 80)[1],
		/^<n+ 12800\.0% \[#####\] +1023 MiB \[#####\] +1023 MiB +1023 MiB +99999 \[#####\]$/,
		"its end is kept",
	);
	t.match(tableLines([long], "cpu")[1], new RegExp(`^/${"n".repeat(200)} `), "not cut where there is no screen");
	t.notMatch(tableLines(rows, "cpu", 60).join(), "[", "a narrow screen has no bars");
});

t.test("what does not fit the screen's height is counted", async (t) => {
	const lines = tableLines(rows, "cpu", 80, 4);
	t.equal(lines.length, 4);
	t.equal(lines[3], "... and 2 more");
	t.equal(tableLines(rows, "cpu", 80, 5).length, 5);
});

t.test("a hostile name cannot write to the terminal", async (t) => {
	t.match(tableLines([row("/\x1b[2J\nx")], "cpu", 90)[1], /^"\/\\x1b\[2J\\x0ax" /);
});

t.test("bars are green, yellow and red on a terminal", async (t) => {
	const paint = (memory: number) => tableLines([row("/x", { memory, memoryLimit: 100 })], "cpu", 80, 24, true)[1];
	t.match(paint(10), /\[\x1b\[32m#\x1b\[0m +\]/);
	t.match(paint(80), /\[\x1b\[33m#+\x1b\[0m +\]/);
	t.match(paint(100), /\[\x1b\[31m#+\x1b\[0m\]/);
});
