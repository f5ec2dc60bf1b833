import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { copyTree } from "../../native/linux/copy-tree.ts";

const folder = mkdtempSync(join(tmpdir(), "tsbox-copy-"));
t.teardown(() => rmSync(folder, { recursive: true }));
const isRoot = process.getuid?.() === 0;

function copy(from: string, to: string, options = {}) {
	const [source, target] = [from, to].map((path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)) as [number, number];
	copyTree(source, target, options);
	for (const fd of [source, target]) closeSync(fd);
}

const sh = (script: string) => spawnSync("sh", ["-ec", script], { cwd: folder, encoding: "utf8" });

t.test(
	"a copy is the same in content, types, owners, modes, times, attributes, hard links and holes",
	isRoot ? {} : { skip: "needs root" },
	async (t) => {
		const made = sh(`mkdir a b; cd a; mkdir -p d/e; echo 1 >f; ln f d/g; ln -s ../nowhere d/l; mkfifo -m 604 p; mknod -m 640 n c 1 3
		truncate -s 50M hole; echo end >>hole; chown 5:6 f d; chown -h 7:8 d/l; chmod 4711 f; chmod 1777 d; setfattr -n user.x -v y f
		setfattr -n trusted.t -v u d; touch -hd @1234567890.123456789 d/l; touch -d @987654321.5 f d/e; touch -d @11.25 .; chmod 2750 .`);
		t.equal(made.stderr, "");
		copy(join(folder, "a"), join(folder, "b"), { devices: true, withRoot: true });
		const list = (name: string) =>
			sh(
				`cd ${name}; find . -printf '%p %y %m %U %G %T@ %n %l\\n' | grep -v ' p \\.' | sort; getfattr -Rhd -m - . ; find . -type f | sort | xargs sha1sum; stat -c '%t %T' n`,
			).stdout;
		t.equal(list("b"), list("a"));
		t.ok(Number(sh("stat -c %b b/hole").stdout) < 100, "the hole is none");
		t.equal(sh("stat -c %i b/f").stdout, sh("stat -c %i b/d/g").stdout);
		mkdirSync(join(folder, "c"));
		copy(join(folder, "a"), join(folder, "c"));
		t.equal(sh("ls c").stdout, "d\nf\nhole\np\n", "device nodes only where they are wanted");
	},
);
