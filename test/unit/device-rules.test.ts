import { execFileSync } from "node:child_process";
import t from "tap";
import { ALL_ACCESS, addRule, type DeviceRule, everything, formatRule, normalise, parseRule } from "../../cmds/cgctl/device/rules.ts";
import { show } from "../../cmds/common/errors.ts";
import { decides, randomRules, seeded } from "../support/device-rules.ts";

const parsed = (...texts: string[]) => texts.flatMap((text) => parseRule(text)).map(formatRule);
const normal = (...texts: string[]) => normalise(texts.flatMap((text) => parseRule(text))).map(formatRule);

t.test("a rule is read as v1's devices.allow reads it, with allow or deny in front", async (t) => {
	t.same(parsed("c 1:3 rwm"), ["allow c 1:3 rwm"]);
	t.same(parsed("  b  8:*   wr "), ["allow b 8:* rw"]);
	t.same(parsed("c *:5 m"), ["allow c *:5 m"]);
	t.same(parsed("a"), ["allow a *:* rwm"]);
	t.same(parsed("a *:* rwm"), ["allow a *:* rwm"]);
	t.same(parsed("deny a"), ["deny a *:* rwm"]);
	t.same(parsed("-c 1:3 w", "- c 1:3 w", "+c 1:3 w", "allow c 1:3 w"), ["deny c 1:3 w", "deny c 1:3 w", "allow c 1:3 w", "allow c 1:3 w"]);
	t.same(parsed("c 4095:1048575"), ["allow c 4095:1048575 rwm"], "without accesses: all");
});

t.test("a rule for both kinds of device that leaves something out is made one for each kind", async (t) => {
	t.same(parsed("a *:* r"), ["allow c *:* r", "allow b *:* r"]);
	t.same(parsed("deny a 7:1"), ["deny c 7:1 rwm", "deny b 7:1 rwm"]);
});

t.test("a device's path gives the rule that stat(1) shows its numbers for", async (t) => {
	for (const path of ["/dev/null", "/dev/tty", "/dev/ptmx"]) {
		const [major, minor] = execFileSync("stat", ["-L", "-c", "%t %T", path], { encoding: "utf8" }).trim().split(" ");
		t.same(parsed(`${path}:rw`), [`allow c ${Number.parseInt(major as string, 16)}:${Number.parseInt(minor as string, 16)} rw`]);
	}
	t.same(parsed("deny /dev/zero"), ["deny c 1:5 rwm"]);
	t.throws(() => parseRule("/etc/passwd:r"), { message: "/etc/passwd: not a device" });
	t.throws(() => parseRule("/dev/no-such:r"), { message: "stat /dev/no-such: No such file or directory" });
});

t.test("what is no rule is refused with the rule quoted", async (t) => {
	for (const wrong of [
		"",
		"c",
		"c 1:3 x",
		"c 1 rw",
		"c 1:3:4 r",
		"d 1:3 r",
		"c -1:3 r",
		"c 1:3 r w",
		"deny",
		"null",
		"c 1:3 rw\nc 1:5 r",
		"allow deny c 1:3 r",
	])
		t.throws(() => parseRule(wrong), { message: `${show(wrong)}: not a device rule` }, JSON.stringify(wrong));
	t.throws(() => parseRule("c 4096:0 r"), { message: '"c 4096:0 r": 4096 is more than a device number can be (4095)' });
	t.throws(() => parseRule("c 1:1048576 r"), { message: /1048576 is more than/ });
});

t.test("the first rule says whether the rest is allowed or denied", async (t) => {
	t.same(normal("c 1:3 r"), ["deny a *:* rwm", "allow c 1:3 r"]);
	t.same(normal("deny c 1:3 r"), ["allow a *:* rwm", "deny c 1:3 r"]);
	t.same(normal("a"), ["allow a *:* rwm"]);
	t.same(normal("c 1:3 r", "deny a", "c 1:5 r"), ["deny a *:* rwm", "allow c 1:5 r"]);
});

t.test("a list keeps no rule that decides nothing, and one rule for one device", async (t) => {
	t.same(normal("c 1:3 r", "c 1:3 w"), ["deny a *:* rwm", "allow c 1:3 rw"]);
	t.same(normal("c 1:3 rw", "deny c 1:3 w"), ["deny a *:* rwm", "allow c 1:3 r"]);
	t.same(normal("c 1:3 rw", "deny c *:* rwm"), ["deny a *:* rwm"]);
	t.same(normal("c 1:* rw", "deny c 1:3 w"), ["deny a *:* rwm", "allow c 1:* rw", "deny c 1:3 w"]);
	t.same(normal("c 1:* rw", "deny c 1:3 w", "c 1:3 w"), ["deny a *:* rwm", "allow c 1:* rw", "allow c 1:3 w"]);
	t.same(normal("c 1:* rw", "deny c 1:3 w", "deny c 1:* rw"), ["deny a *:* rwm"]);
	t.equal(normal("standard").length, 11);
});

t.test("the normal form of 5,000 random lists decides every access as the last rule that names it does", async (t) => {
	const random = seeded(1);
	let wrong = "";
	for (let i = 0; i < 5000 && !wrong; i++) {
		const rules = [everything(random(2) === 1), ...randomRules(random, random(9))];
		const form = normalise(rules);
		for (const type of ["b", "c"] as const)
			for (let major = 0; major < 4; major++)
				for (let minor = 0; minor < 4; minor++)
					for (let access = 1; access <= ALL_ACCESS; access++)
						if (decides(rules, type, major, minor, access) !== decides(form, type, major, minor, access))
							wrong = `${type} ${major}:${minor} ${access}: ${JSON.stringify([rules, form].map((list) => list.map(formatRule)))}`;
		if (form.length > rules.length) wrong = "longer";
		if (JSON.stringify(normalise(form)) !== JSON.stringify(form)) wrong = `not stable: ${JSON.stringify(form.map(formatRule))}`;
	}
	t.equal(wrong, "");
});

t.test("a list can be written down and read again", async (t) => {
	const random = seeded(2);
	for (let i = 0; i < 500; i++) {
		const list = normalise(randomRules(random, 1 + random(8)));
		const again = list.flatMap((rule) => parseRule(formatRule(rule))).reduce(addRule, [] as DeviceRule[]);
		if (JSON.stringify(again) !== JSON.stringify(list)) return t.same(again, list);
	}
	t.pass("500 lists");
});
