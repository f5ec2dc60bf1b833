import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import {
	escapeLayer,
	escapeValue,
	joinOptions,
	splitLayers,
	splitOptions,
	unescapeValue,
} from "../../cmds/unionmount/mount/option-string.ts";
import { aufsBranches } from "../../cmds/unionmount/mount/unions.ts";

t.test("an option string is cut at its commas, and its layers at their colons", async (t) => {
	t.same(splitOptions("ro,lowerdir=/a:/b,,upperdir=u"), [
		{ name: "ro", value: true },
		{ name: "lowerdir", value: "/a:/b" },
		{ name: "upperdir", value: "u" },
	]);
	t.same(splitLayers("/a:/b"), { lowerdir: ["/a", "/b"], datadir: [] });
	t.same(splitOptions(""), []);
});

t.test("a backslash takes the meaning from a comma, a colon and itself", async (t) => {
	const [lower, upper] = splitOptions(String.raw`lowerdir=/a\:b:/c\,d:/e\\:/f,upperdir=/u\,v\\w`);
	t.same(splitLayers(lower?.value as string).lowerdir, ["/a:b", "/c,d", "/e\\", "/f"]);
	t.equal(unescapeValue(upper?.value as string), "/u,v\\w");
});

t.test("quotation marks keep commas together, as mount(8) has it", async (t) => {
	const [lower, rest] = splitOptions('lowerdir="/a,b:/c",ro');
	t.same(splitLayers(lower?.value as string).lowerdir, ["/a,b", "/c"]);
	t.same(rest, { name: "ro", value: true });
	t.throws(() => splitOptions('lowerdir="/a'), /not closed/);
});

t.test("layers behind two colons hold data only", async (t) => {
	t.same(splitLayers("/a:/b::/c::/d"), { lowerdir: ["/a", "/b"], datadir: ["/c", "/d"] });
	t.throws(() => splitLayers("/a::/b:/c"), /data-only/);
});

t.test("an empty layer is an error", async (t) => {
	for (const wrong of ["", ":", "/a:", ":/a", "::/a", "/a:::/b", "/a::"]) t.throws(() => splitLayers(wrong), /empty/, wrong);
});

t.test("what is joined is read back as it was, whatever stands in the paths", async (t) => {
	const odd = ["/a:b", "/c,d", "/e\\f", "/g h", "/i\\", '/"j"', "/k=l", "/ü€😀", "/\n", "/::"];
	const text = joinOptions({ lowerdir: odd, datadir: odd, upperdir: "/x\\,y", workdir: '/w:"', options: { volatile: true, xino: "off" } });
	const read = Object.fromEntries(splitOptions(text).map(({ name, value }) => [name, value]));
	t.same(splitLayers(read.lowerdir as string), { lowerdir: odd, datadir: odd });
	t.equal(unescapeValue(read.upperdir as string), "/x\\,y");
	t.equal(unescapeValue(read.workdir as string), '/w:"');
	t.equal(read.volatile, true);
	t.equal(read.xino, "off");
	t.equal(escapeLayer("a:b,c\\d"), "a\\:b\\,c\\\\d");
	t.equal(escapeValue("a:b,c\\d"), "a:b\\,c\\\\d");
});

t.test("AUFS's branches are read from sysfs in their order, with their modes", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "tsbox-si_"));
	for (let i = 0; i < 12; i++) writeFileSync(join(folder, `br${i}`), `/layers/a=b\\040${i}=${i === 0 ? "rw" : "ro+wh"}\n`);
	writeFileSync(join(folder, "brid0"), "64\n");
	writeFileSync(join(folder, "xi_path"), "/layers/.aufs.xino\n");
	t.same(
		aufsBranches(folder),
		Array.from({ length: 12 }, (_, i) => ({ path: `/layers/a=b ${i}`, mode: i === 0 ? "rw" : "ro+wh" })),
	);
	t.same(aufsBranches(join(folder, "none")), []);
	rmSync(folder, { recursive: true });
});
