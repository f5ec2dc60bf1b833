/** Sizes, times and numbers, as people write them. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { duration, formatDuration, formatSize, integer, parseDuration, parseSize, size } from "../../cmds/common/units.ts";

t.test("a size is a number with a power of 1024", async (t) => {
	for (const [text, bytes] of [
		["0", 0],
		["1048576", 1048576],
		["512k", 524288],
		["512K", 524288],
		["512kb", 524288],
		["512KiB", 524288],
		["1.5g", 1610612736],
		["1GiB", 2 ** 30],
		["2t", 2 ** 41],
		["1p", 2 ** 50],
		["7.999p", Math.floor(7.999 * 2 ** 50)],
		["100b", 100],
		["100B", 100],
		["1 MiB", 2 ** 20],
		["0.5k", 512],
		["0.3", 0],
	] as const)
		t.equal(parseSize(text), bytes, text);
});

t.test("a size is that of numfmt --from=iec", async (t) => {
	const texts = ["1K", "1.5K", "10M", "1.25M", "3G", "2.5T", "1P", "1023", "999K"];
	const { stdout } = spawnSync("numfmt", ["--from=iec", ...texts], { encoding: "utf8", env: { LC_ALL: "C" } });
	t.same(
		texts.map((text) => parseSize(text)),
		stdout.trim().split("\n").map(Number),
	);
});

t.test("what is no size is refused", async (t) => {
	for (const text of [
		"",
		" ",
		"k",
		"-1",
		"+1",
		"1e3",
		"0x10",
		"1kk",
		"1ki",
		"1.",
		".5",
		"1.5.5",
		"1,5",
		"NaN",
		"Infinity",
		"1kg",
		"max",
		"9p",
		"1e",
		"8e",
		"9".repeat(40),
	]) {
		if (text === "1e") t.equal(parseSize(text), undefined, "2^60 is more than a number can count by one");
		t.equal(parseSize(text), undefined, text);
	}
	t.throws(() => size("1kk", "--memory"), { message: '--memory: "1kk" is not a size (512k, 1.5g, 1GiB)' });
});

t.test("a time is a number with a unit, of seconds without one", async (t) => {
	for (const [text, seconds] of [
		["0", 0],
		["5", 5],
		["0.5", 0.5],
		[".5", 0.5],
		["100ms", 0.1],
		["250us", 0.00025],
		["5s", 5],
		["2m", 120],
		["1.5h", 5400],
		["1d", 86400],
		["2 m", 120],
	] as const)
		t.ok(Math.abs((parseDuration(text) ?? NaN) - seconds) < 1e-9, text);
	for (const text of ["", "s", "-1", "1e3", "5S", "5 minutes", "1h30m", "0x5", "."]) t.equal(parseDuration(text), undefined, text);
	t.throws(() => duration("soon", "--grace"), { message: '--grace: "soon" is not a time (100ms, 5s, 2m)' });
});

t.test("a whole number is within its limits, and written as one", async (t) => {
	const port = integer(1, 65535, "a port number");
	for (const [text, value] of [
		["1", 1],
		["65535", 65535],
		["007", 7],
		["+80", 80],
	] as const)
		t.equal(port(text, "-p"), value);
	for (const text of ["0", "65536", "-1", "", " 1", "1 ", "1.0", "1e3", "0x50", "NaN", "9".repeat(30)])
		t.throws(() => port(text, "-p"), { message: `-p: ${JSON.stringify(text)} is not a port number (1-65535)` }, text);
	t.equal(integer(-20, 19)("-5", "-n"), -5);
});

t.test("a size for people has at most four digits, and is read back as about the same", async (t) => {
	for (const [bytes, text] of [
		[0, "0 B"],
		[1023, "1023 B"],
		[1024, "1 KiB"],
		[1536, "1.5 KiB"],
		[1047552, "1023 KiB"],
		[1048575, "1.0 MiB"],
		[123456789, "118 MiB"],
		[2 ** 40, "1 TiB"],
		[2 ** 60, "1 EiB"],
	] as const)
		t.equal(formatSize(bytes), text);
	for (let bytes = 1000; bytes < 2 ** 52; bytes *= 1.7) {
		const text = formatSize(Math.floor(bytes));
		t.match(text, /^(\d{1,4}|\d\d?\.\d) ([KMGTP]i)?B$/);
		t.ok(Math.abs((parseSize(text) ?? NaN) / bytes - 1) < 0.06, text);
	}
});

t.test("a time for people has the units that tell", async (t) => {
	for (const [seconds, text] of [
		[0, "0 us"],
		[0.000012, "12 us"],
		[0.0123, "12.3 ms"],
		[0.5, "500 ms"],
		[1, "1 s"],
		[59.94, "59.9 s"],
		[75, "1m15s"],
		[3600, "1h"],
		[90061, "1d1h1m1s"],
	] as const)
		t.equal(formatDuration(seconds), text);
});
