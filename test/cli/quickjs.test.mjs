/**
 * The tools on a newer QuickJS than the one that the package qjsc carries: that of Debian 13, from its source package. It keeps the
 * way off the older sources open: what works there, works here without a change of ours.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { privateApt } from "../support/apt.mjs";
import { hasCompiler } from "../support/c.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = join(root, "build/quickjs-debian");
/* The build is named after the sources' folder. */
const bin = "build/release-quickjs-debian/bin";

/** The sources, downloaded once. Returns why they cannot be had, or "". */
async function fetchSources() {
	if (existsSync(join(sources, "quickjs.c"))) return "";
	const work = `${sources}-${process.pid}`;
	mkdirSync(work, { recursive: true });
	try {
		const apt = await privateApt(work, ["trixie"], "deb-src");
		await apt("apt-get", "source", "--download-only", "quickjs");
		const archive = readdirSync(work).find((name) => /^quickjs_.*\.orig\.tar\./.test(name));
		if (archive === undefined) return "no source archive of quickjs came";
		mkdirSync(join(work, "unpacked"));
		const { status, stderr } = spawnSync("tar", ["-xf", archive, "-C", "unpacked", "--strip-components=1"], {
			cwd: work,
			encoding: "utf8",
		});
		if (status !== 0) return stderr;
		renameSync(join(work, "unpacked"), sources);
		return "";
	} catch (error) {
		return error.message.split("\n")[0];
	} finally {
		rmSync(work, { recursive: true });
	}
}

/* Two engines are compiled, once: the build keeps them. */
t.setTimeout(600_000);

const lacking = hasCompiler ? await fetchSources() : "there is no gcc";
const skip = lacking ? { skip: `Debian's sources of quickjs cannot be had: ${lacking}` } : {};

function node(args, env) {
	return spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", env: { ...process.env, ...env } });
}

t.test("the tools are built with the QuickJS of Debian 13, and do what they do with our own", skip, async (t) => {
	const built = node(["native/build.mjs", "initd", "unshare", "cgctl"], { TSBOX_QUICKJS: sources });
	t.same({ status: built.status, stderr: built.stderr }, { status: 0, stderr: "" });
	for (const tool of ["tsinit", "tsunshare", "tscgctl"]) {
		const words = ["--help", "man", "--version", "--no-such-option"];
		for (const word of words) {
			const [ours, theirs] = ["bin", bin].map((folder) => {
				const { status, stdout, stderr } = spawnSync(join(root, folder, tool), [word], { encoding: "utf8" });
				return { status, stdout, stderr };
			});
			t.same(theirs, ours, `${tool} ${word}`);
		}
	}
	for (const file of ["tsinit", "tsunshare-unshare"]) {
		const { status, stdout } = node(["--import=./test/support/typescript.mjs", `test/cli/${file}.test.ts`], { TSBOX_BIN: bin });
		t.equal(status, 0, `${file}: ${(stdout.match(/^ *not ok .*$/gm) ?? []).join("; ")}`);
	}
});

t.test("a folder without the engine's sources is refused", async (t) => {
	const { status, stderr } = node(["native/build.mjs", "initd"], { TSBOX_QUICKJS: "/usr" });
	t.same({ status, stderr }, { status: 1, stderr: "TSBOX_QUICKJS=/usr: there is no quickjs.c in it\n" });
});
