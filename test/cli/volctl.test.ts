import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeWorld, needsRoot } from "../support/sandbox.ts";
import { tool } from "../support/tools.ts";

const world = makeWorld("volctl");
const data = join(world.folder, "data");
mkdirSync(data, { mode: 0o700 });
t.teardown(() => {
	spawnSync("sh", ["-c", `for m in $(grep -o '${world.folder}/[^ ]*' /proc/mounts | sort -r); do umount -l $m; done`]);
	world.remove();
});

/** Runs a script; $V is tsvolctl, $T tsunshare, $R a root of busybox, $D where volumes are. */
const sh = (script: string, input?: string) =>
	world.shell(script, { env: { V: tool("tsvolctl"), TSBOX_DATA: data, D: join(data, "volumes") }, ...(input !== undefined && { input }) });
const ok = (script: string, input?: string) => {
	const { status, stdout, stderr } = sh(script, input);
	if (status !== 0) throw new Error(`${script}: ${status}: ${stderr}`);
	return stdout;
};
const inspect = (name: string) => (JSON.parse(ok(`$V inspect ${name}`)) as Record<string, unknown>[])[0] as Record<string, unknown>;
/** A sandbox that runs in the background until it is removed. */
const start = (id: string, options: string, command = "sleep 60") =>
	ok(`$T --hold --id ${id} --pid --mount --rootfs $R --proc -- ${command} 2>/dev/null | $V attach ${options} | $T start >/dev/null`);

t.test("a volume has the members that docker volume inspect documents, in their order, and its users", needsRoot, async (t) => {
	t.equal(ok("$V create data --label app=web --label empty"), "data\n");
	const found = inspect("data");
	t.same(Object.keys(found), ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope", "UsedBy"]);
	t.match(found.CreatedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
	t.ok(Math.abs(Date.parse(found.CreatedAt as string) - Date.now()) < 60_000);
	t.match(found, {
		Driver: "local",
		Labels: { app: "web", empty: "" },
		Mountpoint: `${data}/volumes/data/_data`,
		Name: "data",
		Options: {},
		Scope: "local",
	});
	t.match(ok("$V inspect data"), /^\[\n {4}\{\n {8}"CreatedAt": /, "with docker's indentation");
});

t.test("the layout on disk is that of docker's local driver", needsRoot, async (t) => {
	ok("$V create tm --opt type=tmpfs --opt device=tmpfs --opt o=size=1m,uid=5");
	t.equal(ok("stat -c '%a %n' $D/tm $D/tm/_data"), `701 ${data}/volumes/tm\n755 ${data}/volumes/tm/_data\n`);
	t.same(JSON.parse(ok("cat $D/tm/opts.json")), {
		MountType: "tmpfs",
		MountOpts: "size=1m,uid=5",
		MountDevice: "tmpfs",
		Quota: { Size: 0 },
	});
	ok(
		`mkdir -p $D/dockers/_data; echo '{"MountType":"nfs","MountOpts":"addr=10.0.0.1,rw","MountDevice":":/x","Quota":{"Size":0}}' >$D/dockers/opts.json`,
	);
	t.match(inspect("dockers"), { Options: { type: "nfs", o: "addr=10.0.0.1,rw", device: ":/x" } });
	ok("$V rm tm dockers");
});

t.test("a volume without a name is anonymous: 64 hexadecimal digits, and pruned", needsRoot, async (t) => {
	const name = ok("$V create").trim();
	t.match(name, /^[0-9a-f]{64}$/);
	t.same(inspect(name).Labels, { "com.docker.volume.anonymous": "" });
	t.match(ok("$V prune", "n\n"), /^WARNING! .*anonymous local volumes.*\nAre you sure you want to continue\? \[y\/N\] $/);
	t.equal(ok("$V prune -f"), `Deleted Volumes:\n${name}\n\nTotal reclaimed space: 0B\n`);
	t.match(ok("$V ls -q"), /^data$/m, "a named one stays");
});

t.test("ls has docker's columns, filters and templates", needsRoot, async (t) => {
	ok("$V create other --label x=y");
	t.equal(ok("$V ls"), "DRIVER    VOLUME NAME\nlocal     data\nlocal     other\n");
	t.equal(ok("$V ls -q --filter label=app=web"), "data\n");
	t.equal(ok("$V ls -q -f name=the -f label=x"), "other\n");
	t.equal(ok("$V ls -q -f dangling=false; $V ls -q -f dangling=true"), "data\nother\n");
	t.equal(ok("$V ls --format '{{.Name}} {{.Label \"x\"}}'"), "data \nother y\n");
	t.equal(ok("$V ls --format 'table {{.Name}}\\t{{.Driver}}' -f name=other"), "VOLUME NAME   DRIVER\nother         local\n");
	t.match(JSON.parse(ok("$V ls --format json -f name=other")), {
		Driver: "local",
		Labels: "x=y",
		Name: "other",
		Scope: "local",
		Size: "N/A",
	});
	t.equal(ok("$V inspect -f '{{.Labels.x}} {{json .Options}} {{index .Labels \"x\"}}' other"), "y {} y\n");
	for (const wrong of ["-f foo=1", "-f dangling=maybe", "-f name", "--format '{{'", "--format '{{.Nope}}'", "operand"])
		t.equal(sh(`$V ls ${wrong}`).status, 2, wrong);
});

t.test("options are checked when a volume is made, and a wrong one makes none", needsRoot, async (t) => {
	const cases: [string, RegExp][] = [
		["-o foo=1", /foo is not an option/],
		["-o type=tmpfs", /type: needs --opt device/],
		["-o device=tmpfs", /device: needs --opt type/],
		["-o o=bind", /needs --opt type/],
		["-o type=none -o o=bind -o device=/absent", /no such file/],
		["-o type=none -o device=/tmp", /needs --opt o=bind/],
		["-o type=nfs -o device=/x", /HOST:\/PATH/],
		["-o type=nfs -o device=:/x", /addr=HOST/],
		["-o type=cifs -o device=/x", /\/\/HOST\/SHARE/],
		["-o type=ext4 -o device=/tmp", /not a block device/],
		["-o size=much", /not a size/],
		["-o size=1m -o type=ext4 -o device=/tmp", /block device|as large as/],
		["-o mode=9", /not a mode/],
		["-o uid=nobody-of-this-name", /not a user/],
		["-o size=", /needs a value/],
	];
	for (const [options, message] of cases) {
		const { status, stderr } = sh(`$V create wrong ${options}`);
		t.equal(status, 2, options);
		t.match(stderr, message, options);
	}
	for (const name of ["''", "a", "a/b", "-- -x", ".x", "'a b'", "x".repeat(129)]) t.equal(sh(`$V create ${name}`).status, 2, name);
	t.equal(ok("ls -A $D | sort"), "data\nother\n");
});

t.test("passwords are masked where people see them, and kept for the mount", needsRoot, async (t) => {
	ok("$V create share -o type=cifs -o device=//host/share -o o=username=u,password=secret,vers=3");
	t.same(inspect("share").Options, { type: "cifs", device: "//host/share", o: "username=u,password=********,vers=3" });
	t.match(ok("cat $D/share/opts.json; stat -c %a $D/share/opts.json"), /password=secret.*600/s);
	ok("$V rm share");
});

t.test("a volume keeps to its size, and has the owner and mode that it was made with", needsRoot, async (t) => {
	ok("$V create small -o size=4m -o uid=5 -o gid=6 -o mode=2770");
	t.equal(ok("stat -c %u:%g:%a $D/small/_data"), "5:6:2770\n");
	t.not(sh("dd if=/dev/zero of=$D/small/_data/big bs=64k count=200").status, 0);
	const { UsageData } = (JSON.parse(ok("$V inspect --size small")) as { UsageData: { Size: number; Limit: number } }[])[0] as {
		UsageData: { Size: number; Limit: number };
	};
	t.ok(UsageData.Limit >= 4 << 20 && UsageData.Limit < 5 << 20, String(UsageData.Limit));
	t.ok(UsageData.Size > 3 << 20 && UsageData.Size <= UsageData.Limit);
	t.match(ok("$V du small"), /^VOLUME NAME +SIZE +LIMIT +USED BY\nsmall +4(\.\d)? MiB +4(\.\d)? MiB +-\n$/);
	ok("$V rm small");
	t.equal(ok("grep -c small /proc/mounts; losetup -a | grep -c volumes/small || true"), "0\n0\n");
});

t.test("clone, backup and restore keep content, owners, modes and links", needsRoot, async (t) => {
	ok("cd $D/data/_data && echo 1 >f && ln f g && ln -s f l && mkdir d && chown 7:8 d && chmod 1750 d && touch -d @1234567890 d f");
	ok("$V clone data copy && $V backup data | $V restore back && $V backup data | $V restore --force back");
	const list = (name: string) => ok(`cd $D/${name}/_data && find . -printf '%p %y %m %U %G %T@ %n %l\\n' | sort`);
	const without = (text: string) => text.replace(/^\. .*\n/m, "");
	t.equal(list("copy"), list("data"));
	t.equal(without(list("back")), without(list("data")));
	t.match(sh("$V backup data | $V restore back").stderr, /the volume is not empty\n.*--force/);
	t.match(sh("echo no | $V restore fresh").stderr, /^tsvolctl: standard input: /);
	t.not(sh("$V exists fresh").status, 0, "nothing is left of what failed");
	t.equal(inspect("copy").Labels && (inspect("copy").Labels as Record<string, string>).app, "web");
	ok("$V rm copy back");
});

t.test("rename and update change a volume, exists tells of it", needsRoot, async (t) => {
	ok("$V rename other new && $V exists new");
	t.equal(sh("$V exists other").status, 1);
	t.match(sh("$V rename new data").stderr, /there is a volume of this name/);
	ok("$V update new --label z=1 --label-rm x");
	t.same(inspect("new").Labels, { z: "1" });
	ok("$V rm new");
});

t.test("an empty volume is filled from the root, is written inside and seen outside, and outlives the sandbox", needsRoot, async (t) => {
	const id = `v${process.pid}a`;
	ok("mkdir -p $R/srv && echo page >$R/srv/page && chown 7:8 $R/srv/page && chmod 2775 $R/srv && $V create site");
	start(id, "-v site:/srv -v /anon");
	t.equal(ok("stat -c %a:%u:%g $D/site/_data $D/site/_data/page"), "2775:0:0\n644:7:8\n");
	ok(`$T enter ${id} -- sh -c 'echo new >/srv/new; echo x >/anon/x'`);
	t.equal(ok("cat $D/site/_data/new"), "new\n");
	t.match(inspect("site"), { UsedBy: [{ Name: id, Kind: "sandbox", Running: true, Mounts: [{ Destination: "/srv", RW: true }] }] });
	const refused = sh("$V rm site");
	t.equal(refused.status, 1);
	t.match(refused.stderr, `site: in use by sandbox ${id}`);
	t.equal(ok("$V ls -q -f dangling=false | wc -l"), "2\n");
	ok(`$T rm -f ${id}`);
	t.equal(ok("cat $D/site/_data/new"), "new\n");
	start(`${id}2`, "-v site:/srv:ro");
	t.equal(ok(`$T enter ${id}2 -- sh -c 'cat /srv/new; touch /srv/y 2>/dev/null || echo read-only'`), "new\nread-only\n");
	ok(`$T rm -f ${id}2; $V rm site; $V prune -f >/dev/null`);
});

t.test("attach and detach mount and unmount in a running sandbox", needsRoot, async (t) => {
	const id = `v${process.pid}b`;
	start(id, "-v one:/one");
	ok(`$V attach -v two:/made/deep -v ${world.folder}/absent:/host:ro --tmpfs /tm:size=1m ${id}`);
	t.equal(
		ok(
			`$T enter ${id} -- sh -c 'echo 2 >/made/deep/f; touch /host/x 2>/dev/null || echo ro; mount' | grep -c 'made/deep\\|/host\\|/tm '; cat $D/two/_data/f; ls -d ${world.folder}/absent`,
		),
		`3\n2\n${world.folder}/absent\n`,
	);
	t.match(sh(`$V attach -v two:/one ${id}`).stderr, /something is attached there already/);
	ok(`$V detach /made/deep ${id}; $V detach one ${id}; $V detach /tm ${id}`);
	t.equal(ok(`$T enter ${id} -- mount | grep -c 'made/deep\\|/one\\|/tm' || true`), "0\n");
	ok("$V rm one two");
	t.match(sh(`$V detach one ${id}`).stderr, /nothing of the kind/);
	const busy = sh(
		`$V attach -v busy:/busy ${id}; $T enter ${id} -- sh -c 'cd /busy; exec sleep 9' & sleep 0.3; $V detach busy ${id}; $V detach --lazy busy ${id}; kill $!`,
	);
	t.match(busy.stderr, /in use\n.*--lazy/);
	t.equal(sh("$V rm busy").status, 0);
	ok(`$T rm -f ${id}`);
});

t.test("two sandboxes share by --volumes-from, and a killed one no longer counts", needsRoot, async (t) => {
	const [a, b] = [`v${process.pid}c`, `v${process.pid}d`];
	start(a, "-v shared:/s -v /only");
	start(b, `--volumes-from ${a}:ro -v mine:/m`);
	ok(`$T enter ${a} -- sh -c 'echo 1 >/s/f'`);
	t.equal(ok(`$T enter ${b} -- sh -c 'cat /s/f; touch /s/g 2>/dev/null || echo ro; ls -d /only /m'`), "1\nro\n/m\n/only\n");
	t.match(sh("$V rm shared").stderr, `in use by sandbox ${a}, sandbox ${b}`);
	ok(`$T rm -f ${b}; kill -9 $($T list --json | grep -A3 '"${a}"' | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*'); sleep 0.3`);
	t.equal(sh("$V rm shared").status, 0, "a sandbox that was killed uses nothing");
	ok(`$T rm -f ${a}; $V rm mine; $V prune -f >/dev/null; $V gc`);
});

t.test("a container that is stopped still uses its volumes, until it is removed", needsRoot, async (t) => {
	const id = `v${process.pid}e`;
	ok(`mkdir -p ${data}/containers/${id}`);
	start(id, "-v kept:/k -v /anon");
	const anonymous = ok("$V ls -q -f label=com.docker.volume.anonymous").trim();
	ok(`$T rm -f ${id}; $V leave ${id}`);
	t.match(sh("$V rm kept").stderr, `in use by container ${id}`);
	start(id, "-v kept:/k -v /anon");
	t.equal(ok("$V ls -q -f label=com.docker.volume.anonymous").trim(), anonymous, "it gets its anonymous volume again");
	ok(`$T rm -f ${id}; $V leave --volumes ${id} && rm -r ${data}/containers/${id}`);
	t.equal(sh(`$V exists ${anonymous}`).status, 1);
	ok("$V rm kept");
	t.equal(ok(`$V leave ${id} nobody; echo $?`), "0\n");
});

t.test("--remove takes the anonymous volumes away with the sandbox", needsRoot, async (t) => {
	const id = `v${process.pid}f`;
	start(id, "--remove -v /anon -v named:/n");
	ok(`$T rm -f ${id}; $V leave ${id}`);
	t.equal(ok("$V ls -q -f name=named; $V ls -q -f label=com.docker.volume.anonymous"), "named\n");
	ok("$V rm named");
});

t.test("a plan gets mounts, in the order that they can be made, and the tool that undoes them", needsRoot, async (t) => {
	ok("mkdir -p $R/filled && echo 1 >$R/filled/one");
	const plan = JSON.parse(
		ok(`echo '{"tsbox":1,"id":"v${process.pid}p","rootfs":"'$R'","other":7,"leave":["tscgctl"]}' |
			$V attach -v late:/filled/sub/deep:ro --mount type=volume,source=early,target=/filled --mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700`),
	);
	t.same(
		plan.mounts.map(({ type, target, readonly, name }: Record<string, unknown>) => [type, target, readonly, name]),
		[
			["volume", "/filled", false, "early"],
			["tmpfs", "/t", false, undefined],
			["volume", "/filled/sub/deep", true, "late"],
		],
	);
	t.match(plan, {
		other: 7,
		leave: ["tscgctl", "tsvolctl"],
		mounts: [{ source: `${data}/volumes/early/_data` }, { options: { size: "1048576", mode: "700" } }, {}],
	});
	t.equal(ok("cat $D/early/_data/one"), "1\n");
	const without = JSON.parse(ok("$V detach /t | $V detach late", JSON.stringify(plan)));
	t.same(without.mounts.length, 1);
	ok(`$V leave v${process.pid}p; $V rm early late`);
});

t.test("docker's grammar of -v and --mount, and what it refuses", needsRoot, async (t) => {
	const cases = [
		"-v ''",
		"-v relative",
		"-v a:b",
		"-v data:/",
		"-v data:/x:rx",
		"-v data:/x:ro,rw",
		"-v a:/b:c:d",
		"-v /a:ro",
		"-v data:/x:rshared",
		"-v /h:/x:nocopy",
		"-v a/b:/x",
		"-v x:/y",
		"-v ::",
		"--mount ''",
		"--mount type=foo,target=/x",
		"--mount source=data",
		"--mount type=bind,target=/x",
		"--mount type=bind,source=rel,target=/x",
		"--mount foo=1,target=/x",
		"--mount type=volume,target=/x,bind-propagation=shared",
		"--mount type=tmpfs,source=x,target=/x",
		"--mount target=/x,readonly=maybe",
		"--mount 'target=\"/x'",
		"--mount target=/",
		"--mount type=tmpfs,target=/x,tmpfs-size=q",
		"--mount type=volume,source=data,target=/x,volume-subpath=../y",
		"--tmpfs x",
		"--tmpfs /x:foo=1",
		"--volumes-from ''",
		"--volumes-from a:rx",
		"-v data:/x -v new:/x",
		"",
	];
	for (const options of cases) {
		const { status, stderr, stdout } = sh(`echo '{"tsbox":1,"id":"plan"}' | $V attach ${options}`);
		t.equal(status, 2, options);
		t.equal(stdout, "", options);
		t.match(stderr, /^tsvolctl: .*\n/, options);
	}
	t.match(
		sh(`echo '{"tsbox":1,"id":"plan"}' | $V attach --mount type=bind,source=/absent/x,target=/x`).stderr,
		/bind source \/absent\/x: no such file/,
	);
	t.match(sh(`echo '{"tsbox":1,"id":"plan"}' | $V attach -v newone:/a --volumes-from nobody`).stderr, /no volumes of it are known/);
	t.equal(sh("$V exists newone").status, 1, "what failed has made nothing");
});

t.test("a link in the container leads nowhere else", needsRoot, async (t) => {
	const id = `v${process.pid}g`;
	ok("rm -rf $R/link; ln -s /../../../../../../escape $R/link");
	start(id, "-v safe:/link");
	t.equal(ok(`ls -d /escape 2>/dev/null | wc -l; $T enter ${id} -- ls -d /escape`), "0\n/escape\n");
	ok(`$T enter ${id} -- sh -c 'mkdir /dir; ln -s ${world.folder} /dir/out'; mkdir -p $D/safe/_data/s; ln -sfn / $D/safe/_data/up`);
	ok(`$V attach -v other:/dir/out/place ${id}`);
	t.equal(ok(`ls ${world.folder} | grep -c place || true`), "0\n");
	ok(`$V attach --mount source=safe,target=/up,volume-subpath=up/s ${id}`);
	t.match(
		sh(`$V attach --mount source=safe,target=/etc2,volume-subpath=up/etc ${id}`).stderr,
		/no such folder/,
		"a link in a volume stays in it",
	);
	ok(`$V detach /up ${id}; $T rm -f ${id}; $V rm safe other`);
});

t.test("a tmpfs volume is mounted while it is used, a bind shows another folder", needsRoot, async (t) => {
	const id = `v${process.pid}h`;
	ok(
		`mkdir ${world.folder}/shown; echo 1 >${world.folder}/shown/f; $V create tm -o type=tmpfs -o device=tmpfs -o o=size=1m,mode=1777 -o uid=9; $V create bd -o type=none -o o=bind,ro -o device=${world.folder}/shown`,
	);
	start(id, "-v tm:/tm -v bd:/bd");
	t.equal(ok(`$T enter ${id} -- sh -c 'cat /bd/f; touch /bd/g 2>/dev/null || echo ro; stat -c %a:%u /tm'`), "1\nro\n1777:9\n");
	t.equal(ok("grep -c 'volumes/tm/_data tmpfs' /proc/mounts"), "1\n");
	ok(`$T rm -f ${id}; $V leave ${id}`);
	t.equal(ok("grep -c 'volumes/.*/_data' /proc/mounts || true"), "0\n");
	ok("$V rm tm bd");
	t.equal(ok(`cat ${world.folder}/shown/f`), "1\n", "what a bind shows is not removed with it");
});

t.test("rm touches nothing that somebody has mounted in a volume", needsRoot, async (t) => {
	ok(
		`$V create host; mkdir $D/host/_data/in ${world.folder}/precious; touch ${world.folder}/precious/f; mount --bind ${world.folder}/precious $D/host/_data/in`,
	);
	t.match(sh("$V rm host").stderr, /something is mounted in it/);
	ok(`umount $D/host/_data/in; $V rm host; ls ${world.folder}/precious/f`);
});

t.test("what a killed process has left is cleared by gc", needsRoot, async (t) => {
	ok("mkdir -p $D/.half.999999.new/_data $D/.gone.999999.old/_data");
	ok("$V gc");
	t.equal(ok("ls -A $D"), "data\n");
});
