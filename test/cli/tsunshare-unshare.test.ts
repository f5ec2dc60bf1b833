/** `tsunshare` beside unshare(1): the same command lines, as root and as an ordinary user. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { folder, NOBODY, run, same } from "../support/peers.ts";
import { tool } from "../support/tools.ts";

const tsunshare = tool("tsunshare");
const isRoot = process.getuid?.() === 0;
t.jobs = 1;

/** Command lines that root and ordinary users can give. */
const anyone: string[][] = [
	/* namespaces */
	["true"],
	["-U", "id"],
	["-U", "cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"],
	["-m", "true"],
	["-rm", "sh", "-c", "mount -t tmpfs t /mnt && findmnt -no FSTYPE /mnt"],
	["-ru", "sh", "-c", "hostname inside && hostname && uname -n"],
	["-ri", "sh", "-c", "ipcmk -Q >/dev/null && ipcs -q | grep -c 0x"],
	["-rn", "ip", "-o", "link"],
	["-rpf", "sh", "-c", "echo $$"],
	["-rp", "sh", "-c", "true"],
	["-rpf", "--mount-proc", "ps", "-eo", "pid,ppid,args"],
	["-rpf", "--mount-proc=/mnt", "sh", "-c", "ls -d /mnt/[0-9]*"],
	["-rC", "cat", "/proc/self/cgroup"],
	["-rTf", "--monotonic", "1000", "--boottime=-5", "cat", "/proc/self/timens_offsets"],
	["-rmpfinuCT", "--mount-proc", "sh", "-c", "echo $$; id -u; hostname x; hostname; ip -o link | wc -l"],
	/* users */
	["-r", "id"],
	["-r", "cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"],
	["-c", "id"],
	["-rc", "id"],
	["-cr", "id"],
	["--map-user=5", "id", "-u"],
	["--map-user=5", "--map-group=6", "id"],
	["--map-user", "root", "--map-group", "root", "id"],
	["-r", "--map-user=7", "cat", "/proc/self/uid_map"],
	["-r", "--setgroups=deny", "cat", "/proc/self/setgroups"],
	["-U", "--setgroups=deny", "cat", "/proc/self/setgroups"],
	["-r", "--setgroups=allow", "true"],
	["-r", "-S", "0", "-G", "0", "id"],
	["-r", "-S", "5", "id"],
	["-c", "--keep-caps", "grep", "^Cap", "/proc/self/status"],
	["-r", "grep", "^Cap", "/proc/self/status"],
	/* set-up inside */
	["-rm", "findmnt", "-no", "PROPAGATION", "/"],
	...["private", "slave", "shared", "unchanged", "nonsense"].map((mode) => [
		"-rm",
		`--propagation=${mode}`,
		"findmnt",
		"-no",
		"PROPAGATION",
		"/",
	]),
	["-rm", "--propagation=slave", "-pf", "--mount-proc", "findmnt", "-no", "PROPAGATION", "/proc"],
	["-w", "/tmp", "pwd"],
	["-w", "/nonexistent", "true"],
	["-r", "-R", "/", "pwd"],
	["-r", "-R", "/usr", "/bin/true"],
	["-r", "-R", "/nonexistent", "true"],
	["-r", "-R", "/", "-w", "/tmp", "pwd"],
	["-R", "/etc/passwd", "true"],
	/* how it ends */
	["sh", "-c", "exit 7"],
	["-f", "sh", "-c", "exit 200"],
	["-r", "-f", "--kill-child", "sh", "-c", "exit 3"],
	["--kill-child=TERM", "sh", "-c", "exit 3"],
	...["HUP", "INT", "QUIT", "USR1", "SEGV", "PIPE", "TERM"].flatMap((signal) => [
		["sh", "-c", `kill -${signal} $$`],
		["-f", "sh", "-c", `ulimit -c 0; kill -${signal} $$`],
		["-rpf", "sh", "-c", `ulimit -c 0; sh -c 'kill -${signal} $$'; echo $?`],
	]),
	["nosuchprogram"],
	["-f", "nosuchprogram"],
	["/nonexistent/program"],
	["/etc/passwd"],
	["/"],
	["-f", "/etc/passwd"],
	[""],
	/* command lines */
	["--", "echo", "-r"],
	["echo", "-r", "--", "-m"],
	["-r", "--", "id", "-u"],
	["--map-root", "id", "-u"],
	["--map", "id", "-u"],
	["--nonsense"],
	["-k"],
	["-w"],
	["--root"],
	["--fork=yes", "true"],
	["--setgroups=x", "true"],
	["--kill-child=NOSUCH", "true"],
	["--monotonic", "1", "true"],
	["-rT", "--monotonic", "x", "true"],
	["-S", "x", "true"],
	["--map-user=nosuchuser", "true"],
	["--map-users=nonsense", "true"],
	["--map-groups=1,2", "true"],
];

/** Those that need root. */
const rootOnly: string[][] = [
	["-m", "sh", "-c", "mount -t tmpfs t /mnt && findmnt -no FSTYPE /mnt"],
	["-mpfinu", "--mount-proc", "ps", "-eo", "pid,args"],
	["-n", "ip", "-o", "link"],
	["-C", "cat", "/proc/self/cgroup"],
	["-S", "33", "-G", "33", "id"],
	["-S", "33", "grep", "^Cap", "/proc/self/status"],
	["-R", "/usr", "/bin/pwd"],
];

/** Ranges of ids; unshare 2.38, which the tests run beside, takes them as OUTER,INNER,COUNT. */
const ranges: string[][] = [
	["--map-users=100000,0,1000", "--map-groups=100000,0,1000", "cat", "/proc/self/uid_map", "/proc/self/gid_map"],
	["--map-users=100000,1,1000", "--map-groups=100000,1,1000", "-r", "cat", "/proc/self/uid_map", "/proc/self/gid_map"],
	[
		"--map-users=100000,0,1000",
		"--map-groups=100000,0,1000",
		"--map-user=500",
		"--map-group=7",
		"cat",
		"/proc/self/uid_map",
		"/proc/self/gid_map",
	],
	["--map-users=100000,1,1000", "-r", "-f", "id", "-u"],
	["--map-auto", "cat", "/proc/self/uid_map", "/proc/self/gid_map"],
	["--map-auto", "-r", "id"],
	["--map-users=auto", "-r", "-S", "5", "id", "-u"],
	["--map-auto", "-S", "5", "-G", "6", "id"],
	["--map-users=5,0,10", "id"],
];

const table = (t: Test, lines: string[][], uid?: number) => {
	for (const words of lines)
		same(t, words.join(" "), ["unshare", ...words], [tsunshare, ...words], { ...(uid !== undefined && { uid }), env: { LC_ALL: "C" } });
};

t.test("prints and ends as unshare does, as root", { skip: isRoot ? false : "needs root" }, async (t) =>
	table(t, [...anyone, ...rootOnly]),
);

t.test("prints and ends as unshare does, as an ordinary user", async (t) => table(t, anyone, isRoot ? NOBODY : undefined));

t.test("maps ranges as unshare does, as root and as an ordinary user", { skip: isRoot ? false : "needs root" }, async (t) => {
	const ids = join(folder(t, "subids"), "ids");
	writeFileSync(ids, "root:100000:65536\nnobody:100000:65536\n", { mode: 0o644 });
	const prepare = ["unshare", "-m", "sh", "-c", `mount --bind ${ids} /etc/subuid && mount --bind ${ids} /etc/subgid && exec "$@"`, "sh"];
	const drop = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
	for (const who of [[], drop])
		for (const words of ranges) {
			const name = `${who.length === 0 ? "root" : "nobody"}: ${words.join(" ")}`;
			/* unshare 2.38 has newuidmap write for root, too, and so cannot map what is not in /etc/subuid. */
			if (who.length === 0 && words[0] === "--map-users=5,0,10") continue;
			same(t, name, [...prepare, ...who, "unshare", ...words], [...prepare, ...who, tsunshare, ...words]);
		}
});

t.test("without a program it starts $SHELL, or sh, as a login shell", async (t) => {
	const options = { env: { HOME: "/nonexistent" }, input: "echo $0\nexit 3\n" };
	for (const shell of ["SHELL=/bin/sh", "SHELL=/bin/bash", "-uSHELL"])
		same(t, shell, ["env", shell, "unshare", "-r"], ["env", shell, tsunshare, "-r"], options);
});

t.test("a status of each value is passed on", async (t) => {
	for (const [first, last] of [
		[0, 127],
		[128, 255],
	] as const) {
		const { stdout } = run([
			"sh",
			"-c",
			`for n in $(seq ${first} ${last}); do ${tsunshare} -f sh -c "exit $n"; [ $? = $n ] || echo wrong $n $?; done`,
		]);
		t.equal(stdout, "");
	}
});
