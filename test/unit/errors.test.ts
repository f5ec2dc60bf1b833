/** What a person reads when something is wrong. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { hintFor } from "../../cmds/common/command-line/hints.ts";
import { fail, show, ToolError, UsageError } from "../../cmds/common/errors.ts";
import { unshareHint } from "../../cmds/unshare/hints.ts";
import { EBUSY, EINVAL, ENOENT, ENOSPC, ENOSYS, EPERM } from "../../native/linux/errno.ts";
import { SysError } from "../../native/linux/syscall.ts";

t.test("a plain name is shown as it is", async (t) => {
	for (const name of ["web", "/run/netns/blue", "a.b-c_d", "é", "日本", "😀", "it's", "$HOME", "a=b", "*"]) t.equal(show(name), name);
});

t.test("a name that could be mistaken is quoted, and what could reach the terminal is escaped", async (t) => {
	for (const [name, shown] of [
		["", '""'],
		[" ", '" "'],
		["a b", '"a b"'],
		['say "x"', '"say \\"x\\""'],
		["a\nb", '"a\\x0ab"'],
		["\u001b[31mred", '"\\x1b[31mred"'],
		["\u0007", '"\\x07"'],
		["\u007f", '"\\x7f"'],
		["\u009b31m", '"\\x9b31m"'],
		["\udcff\udc80", '"\\xff\\x80"'],
		["a\u0000b", '"a\\x00b"'],
		["\t", '"\\x09"'],
	] as const)
		t.equal(show(name), shown);
});

t.test("whatever the name, only printable characters are shown, and different names differ", async (t) => {
	const seen = new Map<string, string>();
	for (let code = 0; code < 0x3000; code++)
		for (const name of [String.fromCharCode(code), `a${String.fromCharCode(code)} `]) {
			const shown = show(name);
			if (/[\x00-\x1f\x7f-\x9f]/.test(shown)) t.fail(`U+${code.toString(16)}`);
			if (seen.has(shown)) t.fail(`U+${code.toString(16)} is shown like ${JSON.stringify(seen.get(shown))}`);
			seen.set(shown, name);
		}
	/* The characters beyond the first plane are two code units, which are no stray bytes. */
	t.equal(show("\u{1f480}"), "\u{1f480}");
	for (let code = 0x10000; code < 0x110000; code += 0x101) t.equal(show(String.fromCodePoint(code)), String.fromCodePoint(code));
});

t.test("an error has its hint and status, and is told from a bug by its class", async (t) => {
	try {
		fail("web: no such sandbox", "look", 3);
	} catch (error) {
		t.ok(error instanceof ToolError);
		t.match(error, { message: "web: no such sandbox", hint: "look", status: 3 });
	}
	t.match(new UsageError("x", "y"), { message: "x", hint: "y" });
});

t.test("a failed call says what was called, on what, and why", async (t) => {
	t.equal(new SysError("mount", EBUSY, "/mnt").message, "mount /mnt: Device or resource busy");
	t.equal(new SysError("unshare(CLONE_NEWUSER)", EPERM).message, "unshare(CLONE_NEWUSER): Operation not permitted");
	t.equal(new SysError("x", 4000).message, "x: Unknown error 4000");
});

t.test("where the error number misleads there is a hint, and elsewhere there is none", async (t) => {
	t.match(hintFor(new SysError("mount", ENOSPC, "/x")), /mount-max/);
	t.match(unshareHint(new SysError("pivot_root", EINVAL, ".")), /mount point/);
	t.match(unshareHint(new SysError("unshare(CLONE_NEWUSER)", ENOSPC)), /max_(user|\*)_namespaces/);
	t.match(hintFor(new SysError("statmount", ENOSYS)), /this kernel does not have statmount/);
	t.equal(hintFor(new SysError("openat", ENOENT, "/x")), undefined);
});

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };

t.test("a limit on namespaces is named where it is what stands in the way", needsRoot, async (t) => {
	/* The sysctl is that of the new user namespace; below it, no other can be made. */
	const script = `echo 0 >/proc/sys/user/max_uts_namespaces && exec node --import ./test/support/typescript.mjs --input-type=module -e '
		const { unshare, CLONE_NEWUTS } = await import("./native/linux/namespace.ts");
		const { unshareHint } = await import("./cmds/unshare/hints.ts");
		try { unshare(CLONE_NEWUTS); } catch (error) { console.log(error.message); console.log(unshareHint(error)); }'`;
	const { stdout } = spawnSync("unshare", ["-Ur", "sh", "-c", script], { encoding: "utf8" });
	t.equal(
		stdout,
		"unshare(CLONE_NEWUTS): No space left on device\n/proc/sys/user/max_uts_namespaces is 0 here; raise it to allow uts namespaces\n",
	);
});
