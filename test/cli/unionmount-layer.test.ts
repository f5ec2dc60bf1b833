import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { needsRoot } from "../support/sandbox.ts";
import { tool } from "../support/tools.ts";

const folder = mkdtempSync(join(tmpdir(), "tsbox-layer-"));
t.teardown(() => rmSync(folder, { recursive: true }));

let count = 0;

/** Runs a script in a mount namespace, with a data folder and a working folder of its own; $T is the tool. */
function shell(script: string, own = join(folder, String(count++))) {
	mkdirSync(join(own, "w"), { recursive: true });
	const { status, stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", script], {
		encoding: "utf8",
		cwd: join(own, "w"),
		env: { ...process.env, T: tool("tsunionmount"), TSBOX_RUN: join(own, "run"), TSBOX_DATA: join(own, "data"), D: join(own, "data") },
		timeout: 60_000,
		maxBuffer: 1 << 26,
	});
	return { status, stdout, stderr, own };
}

const twoLayers = `{ mkdir a b; echo 1 >a/one; echo 2 >b/two
	tar -C a -c . | $T layer import --id base; tar -C b -c . | $T layer import --id second --parent base; $T layer create web --parent second
	$T layer mount web; } >/dev/null; m=$D/layers/web/merged`;

t.test("a container writes to its own layer only; diff lists what it added, changed and deleted", needsRoot, async (t) => {
	const { stdout, stderr } = shell(`${twoLayers}
		echo 3 >$m/three; echo changed >$m/one; rm $m/two; ls $m | tr '\\n' ' '
		cat $D/layers/base/diff/one $D/layers/second/diff/two; stat -c %F,%t,%T $D/layers/web/diff/two
		$T layer diff web; $T layer diff second; $T layer umount web; ls $D/layers/web | tr '\\n' ' '`);
	t.equal(stderr, "");
	t.equal(stdout, "dev etc one proc sys three 1\n2\ncharacter special file,0,0\nC /one\nA /three\nD /two\nA /two\ndiff link lower work ");
});

t.test("the store is laid out as overlay2's", needsRoot, async (t) => {
	const { own } = shell(twoLayers);
	const layers = join(own, "data/layers");
	t.same(readdirSync(join(layers, "base")), ["diff", "link"]);
	t.same(readdirSync(join(layers, "web")), ["diff", "link", "lower", "merged", "work"]);
	const link = (id: string) => readFileSync(join(layers, id, "link"), "utf8");
	t.match(link("web"), /^[A-Z0-9]{26}$/);
	t.equal(readFileSync(join(layers, "web/lower"), "utf8"), `l/${link("web-init")}:l/${link("second")}:l/${link("base")}`);
	t.equal(execFileSync("readlink", [join(layers, "l", link("base"))], { encoding: "utf8" }), "../base/diff\n");
	t.same(readdirSync(join(layers, "web-init/diff/etc")), ["hostname", "hosts", "mtab", "resolv.conf"]);
	t.equal(JSON.parse(shell("$T layer inspect web", own).stdout)[0].GraphDriver.Data.UpperDir, join(layers, "web/diff"));
	t.equal(shell("$T layer check", own).status, 0);
});

t.test("--layout aufs keeps diff, layers and mnt, and whiteouts as files", needsRoot, async (t) => {
	const { stdout, stderr } = shell(`mkdir -p a/d b/d; echo 1 >a/one; echo x >a/d/x; touch b/.wh.one b/d/.wh..wh..opq
		tar -C a -c . | $T layer import --layout aufs --id base; tar -C b -c . | $T layer import --id top --parent base
		cat $D/aufs/layers/top; ls -A $D/aufs/diff/top $D/aufs/diff/top/d $D/aufs/mnt; $T layer diff top; $T layer export top | tar -t
		$T convert --to overlay2 $D/aufs/diff/top >/dev/null; stat -c %F $D/aufs/diff/top/one; getfattr --only-values -n trusted.overlay.opaque $D/aufs/diff/top/d
		$T convert --to aufs $D/aufs/diff/top >/dev/null; ls -A $D/aufs/diff/top $D/aufs/diff/top/d`);
	t.match(stdout, /^base\ntop\nbase\n/);
	t.match(stdout, "D /d/x\nD /one\n");
	t.match(stdout, "character special file\ny");
	t.equal(stdout.match(/\.wh\.\.wh\.\.opq/g)?.length, 3, stdout + stderr);
});

t.test("128 and 500 layers mount", needsRoot, async (t) => {
	const { stdout, stderr } = shell(`mkdir one $D; mount -t tmpfs -o mode=755 none $D; p=; i=0
		while [ $i -lt 499 ]; do i=$((i+1)); rm -f one/*; echo $i >one/f$i; tar -C one -cf l.tar .; $T layer import --id l$i $p l.tar >/dev/null; p="--parent l$i"
			if [ $i = 128 ] || [ $i = 499 ]; then $T layer create c$i $p >/dev/null && $T layer mount c$i >/dev/null; ls $D/layers/c$i/merged | grep -c ^f; cat $D/layers/c$i/merged/f1; fi
		done`);
	t.equal(stdout, "128\n1\n499\n1\n", stderr);
});

t.test("a tree survives import, mount and export to the last bit, and gives the same bytes twice", needsRoot, async (t) => {
	const { stdout, stderr } =
		shell(`mkdir s x; cp -a /etc s/etc; mkdir -p s/d/e; cd s; touch f; ln f hard; mknod n c 1 3; mkfifo p; chown 3000000:4000000 d
		chmod 4755 f; truncate -s 5M holes; echo end >>holes; touch -d '1960-01-02 03:04:05.678' d/e
		command -v setfattr >/dev/null && { setfattr -n user.a -v b f; setfattr -n trusted.t -v 1 d; }
		command -v setcap >/dev/null && setcap cap_net_raw+ep hard; cd ..
		tar --xattrs --xattrs-include='*' -S --format=posix -cf in.tar -C s . && $T layer import --id whole in.tar >/dev/null
		mkdir m; $T layer mount whole m >/dev/null
		tar --compare -f in.tar -C m; find s -mindepth 1 -printf '%P %y %m %U %G %s %T@ %n %l\\n' | sort >1; find m -mindepth 1 -printf '%P %y %m %U %G %s %T@ %n %l\\n' | sort >2
		sed -i '/ d /s/ [0-9]* \\([-0-9.]*\\) [0-9]* $/ \\1/' 1 2; cmp 1 2 && echo same listing
		(cd s; getfattr -R -m - -d . 2>/dev/null | sort) >1; (cd m; getfattr -R -m - -d . 2>/dev/null | sort) >2; cmp 1 2 && echo same attributes
		$T layer export whole >o1; $T layer export whole >o2; cmp o1 o2 && tar --compare -f o1 -C s && echo same archive
		[ $(du -k $D/layers/whole/diff/holes | cut -f1) -le 8 ] && echo holes`);
	t.equal(stdout, "same listing\nsame attributes\nsame archive\nholes\n", stderr);
});

t.test("whiteouts and opaque folders are converted both ways, whatever the order of the archive", needsRoot, async (t) => {
	const { stdout } = shell(`mkdir -p a/d/sub b/d; echo 1 >a/d/old; echo 2 >a/gone; echo 3 >b/d/new; touch b/d/.wh..wh..opq b/.wh.gone
		tar -C a -c . | $T layer import --id base >/dev/null
		tar -C b -c d/new .wh.gone d d/.wh..wh..opq | $T layer import --id top --parent base >/dev/null
		mkdir m; $T layer mount top m >/dev/null; find m | sort | tr '\\n' ' '
		getfattr --only-values -n trusted.overlay.opaque $D/layers/top/diff/d; echo
		$T layer export top | tar -t | sort | tr '\\n' ' '; umount m
		$T layer squash top --id flat >/dev/null; find $D/layers/flat/diff | sort | sed s,.*diff,, | tr '\\n' ' '`);
	t.equal(stdout, "m m/d m/d/new y\n./ .wh.gone d/ d/.wh..wh..opq d/new  /d /d/new ");
});

t.test("a folder that the archive has files in only looks as in the layer below", needsRoot, async (t) => {
	const { stdout } =
		shell(`mkdir -p a/d b/d; chmod 1777 a/d; chown 7:8 a/d; touch b/d/f; tar -C a -c . | $T layer import --id base >/dev/null
		tar -C b -c d/f | $T layer import --id top --parent base >/dev/null; stat -c '%a %u %g' $D/layers/top/diff/d`);
	t.equal(stdout, "1777 7 8\n");
});

t.test("hostile archives are refused or stay in their layer, and leave nothing", needsRoot, async (t) => {
	const own = join(folder, "hostile");
	mkdirSync(own);
	execFileSync("python3", ["-c", hostile, own]);
	const refused = [
		"dotdot",
		"wh-bare",
		"wh-dotdot",
		"hard-outside",
		"hard-missing",
		"truncated",
		"bad-checksum",
		"file-parent",
		"pax-nul",
		"negative",
		"root-file",
		"bomb",
		"sparse-bomb",
		"etc-link",
	];
	const contained = ["absolute", "link-then-through", "redirect", "dir-with-data", "many-links"];
	writeFileSync(join(own, "canary"), "alive");
	for (const name of [...refused, ...contained]) {
		const { status, stdout, stderr } = shell(`$T layer import --id x --max-size 100m ${own}/${name}.tar`, join(own, "box"));
		if (refused.includes(name)) {
			t.equal(status, 1, name);
			t.match(stderr, /^tsunionmount: .*\n/, name);
			t.notMatch(stderr, /internal error| at /, name);
			t.same(
				readdirSync(join(own, "box/data/layers")).sort(),
				[".lock", "l"].filter((file) => readdirSync(join(own, "box/data/layers")).includes(file)),
				name,
			);
			t.same(readdirSync(join(own, "box/data/layerdb")), [], name);
		} else {
			t.equal(`${status}${stdout}`, "0x\n", `${name}: ${stderr}`);
			if (name === "redirect") {
				const { stdout } = shell("getfattr -R -m - -d $D/layers/x/diff", join(own, "box"));
				t.notMatch(stdout, /redirect|metacopy/);
			}
			if (name === "link-then-through") t.equal(readFileSync(join(own, "box/data/layers/x/diff", own, "canary"), "utf8"), "dead");
			t.equal(shell("$T layer rm x", join(own, "box")).status, 0);
		}
		t.equal(readFileSync(join(own, "canary"), "utf8"), "alive", name);
	}
});

const hostile = `
import tarfile, io, sys, os
out = sys.argv[1]
def make(name, *entries, format=tarfile.PAX_FORMAT):
    with tarfile.open(os.path.join(out, name + ".tar"), "w", format=format) as tar:
        for e in entries:
            info = tarfile.TarInfo(e[0]); info.type = e[1]
            if len(e) > 2 and e[1] in (b"1", b"2"): info.linkname = e[2]
            data = e[2] if len(e) > 2 and isinstance(e[2], bytes) else None
            if data: info.size = len(data)
            if len(e) > 3: info.pax_headers = e[3]
            tar.addfile(info, io.BytesIO(data) if data else None)
F, H, S, D = b"0", b"1", b"2", b"5"
make("dotdot", ("a/../../canary", F, b"dead"))
make("absolute", (os.path.join(out, "canary"), F, b"dead"))
make("link-then-through", ("link", S, "/"), ("link" + out + "/canary", F, b"dead"))
make("etc-link", ("etc", S, "/etc"), ("dev", S, out), ("etc/passwd", F, b"dead"), ("dev/canary", F, b"dead"))
make("hard-outside", ("h", H, "../../../../canary"))
make("hard-missing", ("h", H, "/etc/passwd"))
make("wh-bare", ("d/.wh.", F))
make("wh-dotdot", ("d/.wh...", F))
make("file-parent", ("f", F, b"x"), ("f/g", F, b"x"))
make("root-file", ("./", S, "/"))
make("redirect", ("d", D, None, {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.overlay.redirect": "/etc"}), ("f", F, b"x", {"SCHILY.xattr.trusted.overlay.metacopy": "x"}))
make("pax-nul", ("f", F, b"x", {"path": "a\\0b"}))
make("many-links", ("f", F, b"x"), *[("l%d" % i, H, "f") for i in range(2000)])
make("dir-with-data", ("d", D), ("f", F, b"x"))
def patch(source, name, change):
    data = bytearray(open(os.path.join(out, source + ".tar"), "rb").read()); change(data)
    open(os.path.join(out, name + ".tar"), "wb").write(data)
def fix(d, at=0):
    d[at+148:at+156] = b" " * 8; d[at+148:at+156] = b"%06o\\0 " % sum(d[at:at+512])
def negative(d): d[124:136] = b"\\xff" * 12; fix(d)
def withdata(d): d[124:136] = b"00000000777\\0"; fix(d)
make("one", ("f", F, b"x" * 5000)); make("dir", ("d", D), ("f", F, b"x"))
patch("one", "truncated", lambda d: d.__delitem__(slice(2000, None)))
patch("one", "bad-checksum", lambda d: d.__setitem__(5, 65))
patch("one", "negative", negative)
patch("dir", "dir-with-data", withdata)
import subprocess
with open(os.path.join(out, "zero"), "wb") as f: f.truncate(200 << 20)
subprocess.run(["tar", "-C", out, "-czf", os.path.join(out, "bomb.tar"), "zero"])
with open(os.path.join(out, "zero"), "wb") as f: f.truncate(10 << 30)
subprocess.run(["tar", "-S", "-C", out, "-cf", os.path.join(out, "sparse-bomb.tar"), "zero"])
os.unlink(os.path.join(out, "zero"))
`;

t.test("an import that is killed leaves no layer, and what gc clears", needsRoot, async (t) => {
	const own = join(folder, "killed");
	mkdirSync(own);
	const env = { ...process.env, TSBOX_DATA: join(own, "data"), TSBOX_RUN: join(own, "run") };
	const child = spawn(tool("tsunionmount"), ["layer", "import", "--id", "x", "-"], { env, stdio: ["pipe", "ignore", "ignore"] });
	const archive = execFileSync("tar", ["-C", "/etc", "-c", "."], { maxBuffer: 1 << 28 });
	child.stdin.on("error", () => {});
	child.stdin.write(archive.subarray(0, archive.length / 2));
	for (let i = 0; i < 100; i++) {
		await new Promise((done) => setTimeout(done, 20));
		const found =
			readdirSync(own).includes("data") &&
			readdirSync(join(own, "data")).includes("layers") &&
			readdirSync(join(own, "data/layers")).some((name) => name.startsWith(".new."));
		if (found) break;
	}
	t.equal(spawnSync(tool("tsunionmount"), ["gc"], { env, encoding: "utf8" }).stdout, "", "what lives is left alone");
	child.kill("SIGKILL");
	await new Promise((done) => child.on("exit", done));
	t.equal(spawnSync(tool("tsunionmount"), ["layer", "ls", "-q"], { env, encoding: "utf8" }).stdout, "");
	t.match(spawnSync(tool("tsunionmount"), ["gc"], { env, encoding: "utf8" }).stdout, /layers\/\.new\.\d+\.\d+\.x\n/);
	t.same(
		readdirSync(join(own, "data/layers")).filter((name) => name !== ".lock"),
		["l"],
	);
	t.equal(
		spawnSync(tool("tsunionmount"), ["layer", "import", "--id", "x", "-"], { env, input: archive }).status,
		0,
		"and the name is free",
	);
});

t.test("rm refuses a layer that another stands on or that is mounted, also in another namespace", needsRoot, async (t) => {
	const { stderr, stdout } = shell(`${twoLayers}; $T layer rm base; $T layer rm web
		unshare -m sh -c "umount $m; exec sleep 60" & sleep 0.2; umount -l $m; rmdir $m; nsenter -t $! -m true
		$T layer umount web 2>/dev/null; kill $!; wait; $T layer rm web; $T layer rm second base; $T layer rm base; $T layer rm -f base; $T layer ls -q`);
	t.match(stderr, "base: is in use: layer second stands on it");
	t.match(stderr, "web: is in use: it is mounted on");
	t.match(stderr, /base: no such layer\n$/);
	t.equal(stdout, "web\nsecond\nbase\n");
});

t.test("rm refuses a layer that is bound read-only, as a single one is", needsRoot, async (t) => {
	const { stdout, stderr } =
		shell(`mkdir a m; tar -C a -c . | $T layer import --id base; $T layer mount base m >/dev/null; touch m/x 2>/dev/null || echo read-only
		$T layer rm base; umount m; $T layer rm base`);
	t.equal(stdout, "base\nread-only\nbase\n");
	t.match(stderr, /^tsunionmount: base: is in use: it is mounted on .*\/m\n$/);
});

t.test("layer mount --record prints a plan; leave undoes it, twice too", needsRoot, async (t) => {
	const { stdout } = shell(`${twoLayers}; $T layer umount web
		$T layer mount web --record; $T leave web && $T leave web && grep -c $D/layers/web/merged /proc/self/mountinfo
		echo '{"tsbox":1,"id":"other","layer":{"parent":"second"},"mounts":[1]}' | $T layer mount; $T leave other; ls $D/layers/other`);
	const [first = "", none, second = "", ...rest] = stdout.split("\n");
	const plan = JSON.parse(first);
	t.equal(plan.id, "web");
	t.equal(plan.pid, undefined);
	t.match(plan.rootfs, /layers\/web\/merged$/);
	t.equal(plan.layer.lowerdir.length, 3);
	t.equal(none, "0");
	t.match(JSON.parse(second), { id: "other", mounts: [1], layer: { id: "other", driver: "overlay2", parent: "second" } });
	t.same(rest, ["diff", "link", "lower", "work", ""]);
});

t.test("--host-root is a view of the host that can be written to", needsRoot, async (t) => {
	const { stdout, stderr } = shell(
		`$T layer mount --host-root view >/dev/null && cat $D/layers/view/merged/etc/hostname | cmp - /etc/hostname && touch $D/layers/view/merged/written-here && ls /written-here 2>&1 | grep -c cannot; ls $D/layers/view/diff; $T layer umount view; $T layer rm view`,
	);
	t.equal(stdout, "1\nwritten-here\nview\n", stderr);
});

t.test("a container's changes become a layer of an image, without the mount points of -init", needsRoot, async (t) => {
	const { stdout, stderr } =
		shell(`${twoLayers}; echo n >$m/new; rm $m/one; $T layer commit web --id third >/dev/null; $T layer export third | tar -t | tr '\\n' ' '
		$T layer inspect third | grep -c '"DiffID": "sha256:'; $T layer export third | sha256sum | cut -c1-8; $T layer inspect third | sed -n 's/.*sha256:\\(........\\).*/\\1/p'`);
	t.match(stdout, /^\.\/ new \.wh\.one 1\n(\w{8})\n\1\n$/, stderr);
});

t.test("a container's tree of any depth is listed, packed, squashed, checked and removed", needsRoot, async (t) => {
	const { stdout, stderr, status } = shell(`${twoLayers}
		python3 -c 'import os,sys
os.chdir(sys.argv[1])
for i in range(1300): os.mkdir("dd"); os.chdir("dd")
open("deep", "w").write("x")' $m
		$T layer diff web | wc -l; $T layer export web | tar -t | wc -l; $T layer check && $T layer umount web && $T layer rm web`);
	t.equal(stdout, "1301\n1302\nweb\n", stderr);
	t.equal(status, 0);
});

t.test("--map-users shows a layer's owners as others without a chown", needsRoot, async (t) => {
	const { stdout, stderr } = shell(`mkdir a; touch a/f; chown 5:6 a/f; tar -C a -c . | $T layer import --id base >/dev/null
		$T layer mount web --parent base --map-users 0:100000:65536 >/dev/null; stat -c %u:%g $D/layers/base/diff/f $D/layers/web/merged $D/layers/web/merged/f`);
	t.equal(stdout, "5:6\n100000:100000\n100005:100006\n", stderr);
});

const saved = `
import tarfile, io, sys, json, hashlib
def layer(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/.wh.")); info.size = len(text); tar.addfile(info, io.BytesIO(text))
    return out.getvalue()
layers = [layer(a=b"1", b=b"2"), layer(c=b"3"), layer(**{"__b": b""})]
ids = ["sha256:" + hashlib.sha256(l).hexdigest() for l in layers]
if sys.argv[2:] == ["lie"]: ids[1] = ids[0]
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]}, "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
with tarfile.open(sys.argv[1], "w") as tar:
    def add(name, data, link=None):
        info = tarfile.TarInfo(name); info.size = len(data)
        if link: info.type, info.linkname, info.size = tarfile.SYMTYPE, link, 0
        tar.addfile(info, None if link else io.BytesIO(data))
    for i, l in enumerate(layers): add("%d/layer.tar" % i, l)
    add("3/layer.tar", b"", "../1/layer.tar")
    add("conf.json", config)
    add("manifest.json", json.dumps([{"Config": "conf.json", "RepoTags": ["some/image:1", "other:2"], "Layers": ["0/layer.tar", "3/layer.tar", "2/layer.tar"]}]).encode())
`;

t.test("an archive of docker save from before Docker 25 becomes an image, which is saved and read again", needsRoot, async (t) => {
	const own = join(folder, "saved");
	mkdirSync(own);
	for (const words of [[], ["lie"]]) execFileSync("python3", ["-c", saved, join(own, `in${words.join("")}.tar`), ...words]);
	const { stdout, stderr } = shell(
		`$T image import ../in.tar; $T image ls -q | wc -l; mkdir m; $T image mount other:2 m >/dev/null; ls m; umount m
		$T image save some/image:1 -o out.tar; tar -tf out.tar | grep -c blobs/sha256/.; $T image rm other:2; $T image rm some/image:1 | tail -1 | cut -c1-8
		ls $D/images/blobs/sha256; $T layer ls -q; $T image import out.tar; $T image inspect some/image:1 | grep -c '"x"'`,
		own,
	);
	t.equal(stdout, "some/image:1\n1\na\nc\n5\nUntagged: other:2\nDeleted:\nsome/image:1\n1\n", stderr);
	const lied = shell("$T image rm some/image:1 >/dev/null; $T image import ../inlie.tar; ls $D/images/blobs/sha256; $T layer ls -q", own);
	t.equal(lied.stdout, "");
	t.match(lied.stderr, /^tsunionmount: layer 2: its archive's digest is sha256:\w+, and should be sha256:\w+\n$/);
});

t.test("wrong command lines and names change nothing and say what is wrong", needsRoot, async (t) => {
	for (const [script, status, error] of [
		["$T layer import --id '' /dev/null", 2, '"" is not a layer'],
		["$T layer import --id ../x /dev/null", 2, "is not a layer's name"],
		["$T layer import --parent nothing /dev/null", 1, "nothing: no such layer"],
		["$T layer rm ''", 2, '"" is not a layer'],
		["$T layer mount", 2, "which layer"],
		["$T layer export x </dev/null", 1, "x: no such layer"],
		["$T leave ''", 2, "not a sandbox's id"],
		["$T image import /dev/null", 1, "neither index.json nor manifest.json"],
		["$T image rm nothing", 1, "nothing: no such image"],
		["$T image tag x Y", 1, "x: no such image"],
	] as const) {
		const result = shell(`${script} </dev/null`);
		t.equal(result.status, status, script);
		t.match(result.stderr, error, script);
		t.notMatch(result.stderr, "internal error", script);
	}
});
