/** Id maps: what the options say, and how a single id and ranges that overlap are settled. */
import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import { idMaps, parseRanges, resolveMap, type Wanted, wantedMaps } from "../../cmds/unshare/idmap.ts";

const lines = (wanted: Wanted, own: number) => resolveMap(wanted, own).map(({ inner, outer, count }) => `${inner} ${outer} ${count}`);

t.test("a range is read as inner:outer:count, or as outer,inner,count", async (t) => {
	t.same(parseRanges("0:100000:65536", "uid", "--map-users"), [{ inner: 0, outer: 100000, count: 65536 }]);
	t.same(parseRanges("100000,0,65536", "uid", "--map-users"), [{ inner: 0, outer: 100000, count: 65536 }]);
});

t.test("what is no range is refused, with the option's name", async (t) => {
	for (const text of [
		"",
		"1",
		"1:2",
		"1:2:3:4",
		"1:2,3",
		"a:b:c",
		"-1:2:3",
		"0:0:0",
		"0:0:4294967296",
		"4294967295:0:1",
		"1:4294967290:10",
		" 1:2:3",
	])
		t.throws(() => parseRanges(text, "uid", "--map-users"), { message: /^--map-users: .* is not a mapping/ }, text);
});

t.test("all is every id of the present user namespace, as itself", async (t) => {
	const [, , count] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/).map(Number);
	t.same(parseRanges("all", "uid", "--map-users")[0]?.count, count);
	for (const { inner, outer } of parseRanges("all", "gid", "--map-groups")) t.equal(inner, outer);
});

t.test("a single id stands before the ranges, which stay in the order in which they are written", async (t) => {
	const ranges = [
		{ inner: 10, outer: 1000, count: 5 },
		{ inner: 100, outer: 2000, count: 5 },
	];
	t.same(lines({ single: 0, ranges }, 1), ["0 1 1", "10 1000 5", "100 2000 5"]);
	t.same(lines({ ranges }, 1), ["10 1000 5", "100 2000 5"]);
});

/* The examples are those of util-linux's own comments and tests, and of its issues #3838 and #4457. */
t.test("a single id is taken out of a range that it overlaps, inside, outside or both", async (t) => {
	const at = (inner: number, outer: number, count: number) => [{ inner, outer, count }];
	t.same(lines({ single: 0, ranges: at(0, 100000, 65536) }, 1000), ["0 1000 1", "1 100000 65535"], "inside, at the start");
	t.same(
		lines({ single: 1000, ranges: at(0, 100000, 65536) }, 1000),
		["1000 1000 1", "0 100000 1000", "1001 101000 64535"],
		"inside, amid",
	);
	t.same(lines({ single: 65535, ranges: at(0, 100000, 65536) }, 1000), ["65535 1000 1", "0 100000 65535"], "inside, at the end");
	t.same(lines({ single: 0, ranges: at(1, 0, 10) }, 5), ["0 5 1", "1 0 5", "6 6 4"], "outside");
	t.same(lines({ single: 5, ranges: at(0, 0, 10) }, 5), ["5 5 1", "0 0 5", "6 6 4"], "both at the same place");
	t.same(lines({ single: 2, ranges: at(0, 0, 10) }, 5), ["2 5 1", "0 0 2", "3 2 3", "6 6 4"], "both at different places");
	t.same(lines({ single: 70000, ranges: at(0, 100000, 65536) }, 1000), ["70000 1000 1", "0 100000 65536"], "not at all");
	t.same(lines({ single: 0, ranges: at(0, 1000, 1) }, 1000), ["0 1000 1"], "the whole of it");
});

t.test("an automatic range begins at 0, or leaves room for the single id", async (t) => {
	const ranges = [{ inner: -1, outer: 100000, count: 65536 }];
	t.same(lines({ ranges }, 1000), ["0 100000 65536"]);
	t.same(lines({ single: 0, ranges }, 1000), ["0 1000 1", "1 100000 65536"]);
	t.same(lines({ single: 1000, ranges }, 1000), ["1000 1000 1", "0 100000 1000", "1001 101000 64536"]);
});

/** The map as pairs, from the definition: what is left of each side of a range, in order, side by side. */
function pairs(wanted: Wanted, own: number): string[] {
	const all: string[] = [];
	if (wanted.single !== undefined) all.push(`${wanted.single}=${own}`);
	for (const { inner, outer, count } of wanted.ranges) {
		const numbers = (from: number) => [...Array(count).keys()].map((n) => from + n);
		const inside = numbers(inner).filter((id) => id !== wanted.single);
		const outside = numbers(outer).filter((id) => wanted.single === undefined || id !== own);
		for (let n = 0; n < Math.min(inside.length, outside.length); n++) all.push(`${inside[n]}=${outside[n]}`);
	}
	return all.sort();
}

t.test("of any range and single id, the ids that are left keep their order, and none is mapped twice", async (t) => {
	for (let inner = 0; inner < 6; inner++)
		for (let outer = 0; outer < 6; outer++)
			for (let single = 0; single < 10; single++)
				for (let own = 0; own < 10; own++) {
					const wanted = { single, ranges: [{ inner, outer, count: 4 }] };
					const map = resolveMap(wanted, own);
					const found = map.flatMap((line) => [...Array(line.count).keys()].map((n) => `${line.inner + n}=${line.outer + n}`)).sort();
					if (found.join() !== pairs(wanted, own).join()) t.same(found, pairs(wanted, own), JSON.stringify({ wanted, own }));
					for (const side of [0, 1])
						if (new Set(found.map((pair) => pair.split("=")[side])).size !== found.length) t.fail(`mapped twice: ${found}`);
				}
	t.pass();
});

t.test("of the options for one id the last one counts, for each of user and group", async (t) => {
	const maps = (...words: [string, unknown][]) => wantedMaps(words.map(([long, value]) => ({ long, value })));
	t.match(maps(["map-root-user", true], ["map-user", "5"]), { users: { single: 5 }, groups: { single: 0 } });
	t.match(maps(["map-user", "5"], ["map-root-user", true]), { users: { single: 0 }, groups: { single: 0 } });
	t.match(maps(["map-user", "root"], ["map-group", "root"]), { users: { single: 0 }, groups: { single: 0 } });
	t.match(maps(["owner", "7:8"]), { owner: { uid: 7, gid: 8 } });
	for (const [long, text] of [
		["map-user", "no such user"],
		["map-group", "-1"],
		["map-user", "4294967295"],
		["owner", "7"],
		["owner", "7:"],
		["owner", "7:8:9"],
		["owner", "root:root"],
	])
		t.throws(() => maps([long as string, text]), { message: new RegExp(`^--${long}: `) }, `${long} ${text}`);
});

t.test("a process writes a map of its own single ids itself, others need its parent namespace", async (t) => {
	const [uid, gid] = [process.geteuid?.() as number, process.getegid?.() as number];
	t.equal(idMaps({ users: { single: 0, ranges: [] }, groups: { single: 0, ranges: [] } }).isOwn, true);
	t.equal(idMaps({ users: { ranges: [{ inner: 0, outer: uid, count: 1 }] }, groups: { ranges: [] } }).isOwn, true);
	t.equal(idMaps({ users: { ranges: [{ inner: 0, outer: uid, count: 2 }] }, groups: { ranges: [] } }).isOwn, false);
	t.equal(idMaps({ users: { ranges: [] }, groups: { ranges: [{ inner: 0, outer: gid + 1, count: 1 }] } }).isOwn, false);
	t.equal(idMaps({ users: { single: 0, ranges: [] }, groups: { ranges: [] }, owner: { uid: 5, gid: 5 } }).isOwn, false);
});

t.test("without a range in /etc/subuid, the automatic map says how to get one", async (t) => {
	const uid = process.geteuid?.();
	const listed = existsSync("/etc/subuid") && /^(root|0):/m.test(readFileSync("/etc/subuid", "utf8"));
	if (uid !== 0 || listed) return t.pass("root has a range here");
	t.throws(() => parseRanges("auto", "uid", "--map-users"), {
		message: "/etc/subuid: no range for the user root",
		hint: /usermod --add-subuids/,
	} as never);
});
