import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { needsRoot } from "../support/sandbox.ts";
import { tool } from "../support/tools.ts";

const folder = mkdtempSync(join(tmpdir(), "tsbox-unionmount-"));
t.teardown(() => rmSync(folder, { recursive: true }));

let count = 0;

/** Runs a script in a mount namespace of its own and an empty folder; $T is the tool. */
function shell(script: string) {
	const own = join(folder, String(count++));
	const { status, stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", `mkdir ${own} && cd ${own} && mkdir a b u w m && ${script}`], {
		encoding: "utf8",
		env: { ...process.env, T: tool("tsunionmount"), TSBOX_RUN: join(folder, "run"), TSBOX_DATA: folder },
		timeout: 30_000,
	});
	return { status, stdout, stderr, own };
}

t.test("a write goes to the upper layer, a delete makes a whiteout, the lower layers stay", needsRoot, async (t) => {
	const { stdout } = shell(`echo 1 >a/one; echo 2 >b/two
		$T mount --lower a --lower b --upper u --work w m && ls m
		echo new >m/one; rm m/two; cat a/one u/one; stat -c %F,%t,%T u/two; cat b/two; ls m`);
	t.equal(stdout, "one\ntwo\n1\nnew\ncharacter special file,0,0\n2\none\n");
});

t.test("the layers stand in the order of the command line, whatever way they are given", needsRoot, async (t) => {
	for (const way of [
		"mount -l a -l b -u u -w w",
		"-o lowerdir=a:b,upperdir=u,workdir=w",
		"none -t fuse.tsunionmount -o rw,lowerdir=a:b,upperdir=u,workdir=w",
	]) {
		const { stdout, own } = shell(`echo top >a/f; echo base >b/f; $T ${way} m && cat m/f && findmnt -no FSTYPE,OPTIONS m`);
		t.match(stdout, /^top\noverlay /, way);
		t.match(stdout, `lowerdir+=${own}/a,lowerdir+=${own}/b,upperdir=${own}/u,workdir=${own}/w`, way);
	}
});

t.test("containers-storage's mount_program has layers relative to its working folder", needsRoot, async (t) => {
	const { stdout } = shell(`mkdir l && ln -s ../a l/AAAA && ln -s ../b l/BBBB && touch a/1 b/2
		$T -o lowerdir=l/AAAA:l/BBBB,upperdir=$PWD/u,workdir=$PWD/w,nodev $PWD/m && ls m && findmnt -no VFS-OPTIONS m`);
	t.match(stdout, /^1\n2\n.*nodev/);
});

t.test("paths with colons, commas, backslashes, quotation marks and blanks mount", needsRoot, async (t) => {
	const odd = ["c:d", "e,f", "g\\h", "i j", 'k"l', "m=n", "ü"];
	const quoted = odd.map((name) => `'${name}'`);
	const { stdout, stderr } = shell(`mkdir ${quoted.join(" ")} 'U:,\\ x' 'W:,\\ x'; for d in ${quoted.join(" ")}; do touch "$d/in $d"; done
		$T mount ${quoted.map((name) => `-l ${name}`).join(" ")} -u 'U:,\\ x' -w 'W:,\\ x' m && touch m/new && ls -1 m && ls 'U:,\\ x' && $T ls --json m`);
	t.equal(stderr, "");
	for (const name of odd) t.match(stdout, `in ${name}\n`);
	const json = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as { lowerdir: string[]; upperdir: string }[];
	t.same(
		json[0]?.lowerdir.map((path) => path.replace(/^.*\//, "")),
		odd,
	);
	t.match(json[0]?.upperdir, /U:,\\ x$/);
	const string = shell(String.raw`mkdir 'c:d' 'e,f' && touch 'c:d/1' 'e,f/2'
		$T -o 'lowerdir=c\:d:e\,f,upperdir=u,workdir=w' m && ls m`);
	t.equal(string.stdout, "1\n2\n");
});

t.test("500 lower layers mount from a long path, 501 are refused with a way out", needsRoot, async (t) => {
	const long = `${"x".repeat(150)}/${"y".repeat(150)}`;
	const many = (n: number) =>
		`mkdir -p ${long}; i=0; while [ $i -lt ${n} ]; do mkdir ${long}/$i; touch ${long}/$i/f$i; set -- "$@" -l ${long}/$i; i=$((i+1)); done`;
	const { stdout } = shell(`${many(500)}; $T mount "$@" -u u -w w m && ls m | wc -l && $T ls -n m | wc -l`);
	t.equal(stdout, "500\n501\n");
	const over = shell(`${many(501)}; $T mount "$@" m`);
	t.equal(over.status, 1);
	t.match(over.stderr, /501 lower layers: the kernel takes 500 at most\n.*layer squash/);
});

t.test("--tmp throws away what is written, and leaves nothing", needsRoot, async (t) => {
	const { stdout } = shell(`echo 1 >a/f; $T mount --lower a --lower b --tmp=1m m && echo 2 >m/f && touch m/g && cat m/f a/f
		dd if=/dev/zero of=m/big bs=64k count=32 2>/dev/null || echo full; umount m; ls m; findmnt -no TARGET -t tmpfs | grep -c unionmount`);
	t.equal(stdout, "2\n1\nfull\n0\n");
});

t.test("idmapped lower layers show other owners, on the disk nothing changes", needsRoot, async (t) => {
	const { stdout } =
		shell(`touch a/f; chown 5:6 a/f; $T mount -l a -l b -u u -w w --map-users 0:100000:65536 --map-groups 0:200000:65536 m &&
		stat -c %u:%g m/f a/f; touch m/g; stat -c %u:%g u/g`);
	t.equal(stdout, "100005:200006\n5:6\n0:0\n");
});

t.test("in a user namespace the mount has userxattr", needsRoot, async (t) => {
	const { stdout, stderr } = shell(
		`mkdir a/d; touch a/d/f; unshare -Urm sh -c '$T mount -l a -l b -u u -w w m && rm -r m/d && mkdir m/d && ls m/d && findmnt -no OPTIONS m'; getfattr -d -m - u/d`,
	);
	t.match(stdout, /userxattr/, stderr);
	t.match(stdout, /user\.overlay\.opaque="y"/);
});

t.test("a single layer is bound read-only", needsRoot, async (t) => {
	const { stdout } = shell("echo 1 >a/f; $T mount -l a m && cat m/f; touch m/g 2>/dev/null || echo read-only; $T umount m; ls m");
	t.equal(stdout, "1\nread-only\n");
});

t.test("each error says what is wrong, and mounts nothing", needsRoot, async (t) => {
	const cases: [string, RegExp][] = [
		["$T mount -l a -l nope m", /lowerdir nope: No such file or directory/],
		["$T mount -l a -l /proc/version m", /lowerdir .*: Not a directory/],
		["$T mount -l a -l b nope", /target nope: No such file or directory/],
		["$T mount -l a -u u m", /upperdir without a workdir\n.*beside/],
		["mkdir u/w; $T mount -l a -u u -w u/w m", /within each other/],
		["mount -t tmpfs x w; $T mount -l a -u u -w w m", /not on the same mount/],
		["$T mount -l a -l a m", /given twice/],
		["$T mount -l a -l b -o nonsense=1 m", /option nonsense: this kernel's overlay does not know it/],
		["$T mount -l a -l b -u '' m", /a path is empty/],
		["$T mount -l a -l b -o squash_to_root m", /squash_to_root/],
		["$T mount m", /no lower layer/],
		["$T mount --type zfs -l a m", /not overlay, aufs or auto/],
		["$T mount -l a -l b -o uidmapping=1:2 m", /INNER:OUTER:COUNT/],
		["$T mount -l a -l b -u u -w w m && mkdir m/u m/w x && $T mount -l a -u m/u -w m/w x", /upperdir m\/u: is on an overlay/],
		["mkdir x y z; $T mount -l a -l b x && $T mount -l x -l u y && $T mount -l y -l w z", /on an overlay of overlays\n.*two deep/],
		["$T mount -l a -l b -u u -w w m && mkdir x && $T mount -o index=on -l a -u u -w w x", /in use by another overlay mount/],
		["$T mount --type aufs -l a m", /aufs: this kernel does not have it\n.*--type overlay/],
		["$T umount m", /m: nothing is mounted there/],
		["$T umount ''", /empty/],
		["$T ls m", /no union is mounted there/],
		["$T mout m", /mout: unknown command/],
	];
	for (const [script, message] of cases) {
		const { stdout, stderr, status } = shell(`{ ${script}; } ; echo $?; findmnt -n m | wc -l`);
		t.match(stderr, message, script);
		t.notMatch(stderr, /at .*\.ts|throw/, script);
		t.not(stdout.split("\n")[0], "0", script);
		t.equal(status, 0);
	}
});

t.test("as mount(8)'s helper it fails with 32, as fuse-overlayfs with 1", needsRoot, async (t) => {
	t.equal(shell("$T none m -o lowerdir=a:nope").status, 32);
	t.equal(shell("$T -o lowerdir=a:nope m").status, 1);
	t.equal(shell("$T -o lowerdir=a: m").status, 1);
	t.equal(
		shell(
			"mkdir sbin && cp $T /sbin/mount.tsunionmount-$$ && mount -t tsunionmount-$$ none m -o lowerdir=a:b && findmnt -no FSTYPE m; rm /sbin/mount.tsunionmount-$$",
		).stdout,
		"overlay\n",
	);
});

t.test("a dry run prints the calls and makes none", needsRoot, async (t) => {
	const { stdout, own } = shell("$T mount --dry-run -l a -u u -w w -o volatile,nodev m; findmnt -n m");
	t.equal(
		stdout,
		`fsopen("overlay", FSOPEN_CLOEXEC)
fsconfig(3, FSCONFIG_SET_STRING, "source", "overlay", 0)
fsconfig(3, FSCONFIG_SET_FLAG, "volatile", NULL, 0)
fsconfig(3, FSCONFIG_SET_STRING, "lowerdir+", "${own}/a", 0)
fsconfig(3, FSCONFIG_SET_STRING, "upperdir", "${own}/u", 0)
fsconfig(3, FSCONFIG_SET_STRING, "workdir", "${own}/w", 0)
fsconfig(3, FSCONFIG_CMD_CREATE, NULL, NULL, 0)
fsmount(3, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV)
move_mount(4, "", 3, "", 0x44)
`,
	);
});

t.test("a dry run for aufs is the mount call, by the grammar of aufs(5)", needsRoot, async (t) => {
	const cases: [string, string][] = [
		["-l a -l b -u u -w w m", 'mount("none", "m", "aufs", 0, "dirs=u=rw:a=ro:b=ro")\n'],
		["-l /x/a -l b m", 'mount("none", "m", "aufs", MS_RDONLY, "dirs=/x/a=ro:b=ro")\n'],
		[
			"-l a -u u --lower-mode ro+wh -o udba=none,xino=/run/x,noexec m",
			'mount("none", "m", "aufs", MS_NOEXEC, "dirs=u=rw:a=ro+wh,udba=none,xino=/run/x")\n',
		],
		["-o dirs=u=rw:a=ro:b=rr m", 'mount("none", "m", "aufs", 0, "dirs=u=rw:a=ro:b=rr")\n'],
	];
	for (const [words, call] of cases) t.equal(shell(`$T mount --dry-run --type aufs ${words}`).stdout, call, words);
	/* Nothing can be escaped there: descriptors stand for odd paths, relative to /proc/self/fd. */
	const odd = shell("mkdir c:d; $T mount --dry-run --type aufs -l c:d -u u $PWD/m");
	t.match(odd.stdout, /^mount\("none", "\/.*\/m", "aufs", 0, "dirs=\d+=rw:\d+=ro"\)\n$/);
});

t.test("what does not fit in a page is appended by remounts to aufs", needsRoot, async (t) => {
	const long = "z".repeat(200);
	const { stdout } = shell(
		`i=0; while [ $i -lt 60 ]; do set -- "$@" -l /${long}/$i; i=$((i+1)); done; $T mount --dry-run --type aufs "$@" -u u m`,
	);
	const calls = stdout.trim().split("\n");
	t.equal(calls.length, 4);
	const data = calls.map((call) => /"([^"]*)"\)$/.exec(call)?.[1] as string);
	t.ok(data.every((text) => text.length <= 4095));
	t.match(calls[1], /^mount\("none", "m", "aufs", MS_REMOUNT, "append:\/z/);
	const branches = data.flatMap((text) =>
		text
			.split(/,append:|:/)
			.filter((word) => word !== "append")
			.map((word) => word.replace(/^dirs=/, "")),
	);
	t.same(branches, ["u=rw", ...Array.from({ length: 60 }, (_, i) => `/${long}/${i}=ro`)]);
});

t.test("info says what can be mounted here, and leaves nothing behind", needsRoot, async (t) => {
	const { stdout, own } = shell("$T info --json $PWD; ls -A");
	const end = stdout.lastIndexOf("}") + 1;
	const facts = JSON.parse(stdout.slice(0, end)) as Record<string, unknown>;
	t.equal(facts.kernel, spawnSync("uname", ["-r"], { encoding: "utf8" }).stdout.trim());
	t.equal(facts.overlay, true);
	t.match(facts["backing file system"], {
		value: spawnSync("stat", ["-f", "-c", "%T", own], { encoding: "utf8" }).stdout.trim().replace("ext2/ext3", "ext4"),
	});
	t.equal(stdout.slice(end), "\na\nb\nm\nu\nw\n");
});

t.test("ls lists each union with its layers, and those of another process", needsRoot, async (t) => {
	const { stdout, own } = shell(
		"$T mount -l a -l b -u u -w w m; $T ls -n m; unshare -m sleep 9 & sleep 0.3; umount m; $T ls -n -p $! m; kill $!",
	);
	const lines = `${own}/m  overlay  3  ${own}/u=rw\n`;
	const [first = "", second = ""] = stdout.split(/(?<=b=ro\n)/);
	t.ok(first.startsWith(lines), stdout);
	t.equal(first, second);
});

t.test("a busy mount's users are named", needsRoot, async (t) => {
	const { stderr, stdout } = shell(
		"$T mount -l a -l b -u u -w w m; (cd m && exec sleep 9) & sleep 0.3; $T umount m; $T umount --lazy m; findmnt -n m; kill $!",
	);
	t.match(stderr, /^tsunionmount: umount m: in use by \d+ \(sleep\)\ntsunionmount: hint: --lazy/);
	t.equal(stdout, "");
});
