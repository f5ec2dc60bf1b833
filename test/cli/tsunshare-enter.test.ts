/** `tsunshare enter` beside nsenter(1), as root and as an ordinary user. */
import t, { type Test } from "tap";
import { NOBODY, run, same } from "../support/peers.ts";
import { start } from "../support/target.ts";
import { tool } from "../support/tools.ts";

const tsunshare = tool("tsunshare");
const isRoot = process.getuid?.() === 0;

/** PID stands for the target's. */
const anyone: string[][] = [
	["-t", "PID", "-u", "hostname"],
	["-tPID", "-u", "hostname"],
	["--target=PID", "--uts", "hostname"],
	["-t", "PID", "-a", "readlink", "/proc/self/ns/uts", "/proc/self/ns/net", "/proc/self/ns/ipc", "/proc/self/ns/pid", "/proc/self/ns/mnt"],
	["-t", "PID", "-a", "sh", "-c", "hostname; id -u; cat /proc/1/comm"],
	["-t", "PID", "-m", "ls", "/mnt"],
	["-t", "PID", "-m", "-p", "ps", "-o", "comm=", "1"],
	["-t", "PID", "-m", "-p", "-F", "true"],
	["-t", "PID", "-n", "ip", "-o", "link"],
	["-t", "PID", "-i", "true"],
	["-t", "PID", "-C", "cat", "/proc/self/cgroup"],
	["-t", "PID", "-T", "readlink", "/proc/self/ns/time"],
	["-t", "PID", "-m", "pwd"],
	["-t", "PID", "-m", "-w", "pwd"],
	["-t", "PID", "-m", "-w/", "pwd"],
	["-t", "PID", "-m", "--wd=/tmp", "pwd"],
	["-t", "PID", "-m", "-W", "/mnt", "pwd"],
	["-t", "PID", "-m", "-W/mnt", "pwd"],
	["-t", "PID", "-m", "-r", "ls", "/mnt"],
	["-t", "PID", "-m", "-r", "-w", "pwd"],
	["-t", "PID", "-a", "-r/", "ls", "/mnt"],
	["-t", "PID", "-m", "-r/nonexistent", "true"],
	["-t", "PID", "-m", "-r/etc/passwd", "true"],
	["-t", "PID", "-m", "-w/nonexistent", "true"],
	["-t", "PID", "-a", "-S", "0", "-G", "0", "id", "-u"],
	["-t", "PID", "-a", "-S", "nonsense", "true"],
	["-t", "PID", "-a", "--preserve-credentials", "id", "-u"],
	["--uts=/proc/PID/ns/uts", "hostname"],
	["-u/proc/PID/ns/uts", "hostname"],
	["-m/proc/PID/ns/mnt", "ls", "/mnt"],
	["-t", "PID", "-u", "--net=/proc/PID/ns/net", "sh", "-c", "hostname; ip -o link"],
	["--uts=/etc/passwd", "true"],
	["--uts=/proc/PID/ns/net", "true"],
	["--uts=/nonexistent", "true"],
	["-t", "PID", "-a", "sh", "-c", "exit 9"],
	["-t", "PID", "-u", "sh", "-c", "kill -TERM $$"],
	["-t", "PID", "-a", "sh", "-c", "kill -TERM $$"],
	["-t", "PID", "-a", "sh", "-c", "kill -KILL $$"],
	["-t", "PID", "-a", "nosuchprogram"],
	["-t", "PID", "-u", "/etc/passwd"],
	["-t", "PID", "-u", "--", "echo", "-r"],
	["-t", "PID", "-u", "echo", "-a"],
	["-t", "999999999", "-u", "true"],
	["-t", "x", "-u", "true"],
	["-t", "0", "-u", "true"],
	["-a", "true"],
	["--nonsense"],
	["-t"],
];

/** Into a user namespace. */
const users: string[][] = [
	["-t", "PID", "-U", "id"],
	["-t", "PID", "-a", "id"],
	["-t", "PID", "-U", "--preserve-credentials", "id"],
	["-t", "PID", "-U", "-S", "0", "-G", "0", "id"],
	["-t", "PID", "-U", "-m", "ls", "/mnt"],
	["-t", "PID", "-U", "-S", "77", "true"],
	["--user=/proc/PID/ns/user", "--preserve-credentials", "id", "-u"],
];

const script = "hostname inside; mount -t tmpfs t /mnt; mkdir /mnt/seen; cd /mnt";

function table(t: Test, lines: string[][], pid: number, uid?: number) {
	for (const line of lines) {
		const words = line.map((word) => word.replace("PID", String(pid)));
		same(t, line.join(" "), ["nsenter", ...words], [tsunshare, "enter", ...words], {
			...(uid !== undefined && { uid }),
			env: { LC_ALL: "C" },
		});
	}
}

t.test("prints and ends as nsenter does, as root", { skip: isRoot ? false : "needs root" }, async (t) => {
	table(t, anyone, await start(t, ["unshare", "-muinpfCT", "--mount-proc"], { script }));
});

t.test(
	"prints and ends as nsenter does for a target with a user namespace, as root",
	{ skip: isRoot ? false : "needs root" },
	async (t) => {
		table(t, [...anyone, ...users], await start(t, ["unshare", "-rmuinpfCT", "--mount-proc"], { script }));
	},
);

t.test("prints and ends as nsenter does for a target of one's own, as an ordinary user", async (t) => {
	const uid = isRoot ? NOBODY : undefined;
	const options = { script, ...(uid !== undefined && { uid }) };
	table(t, [...anyone, ...users], await start(t, ["unshare", "-rmuinpfCT", "--mount-proc"], options), uid);
});

t.test(
	"an ordinary user cannot enter another's namespaces, and is told what is missing",
	{ skip: isRoot ? false : "needs root" },
	async (t) => {
		const pid = await start(t, ["unshare", "-muinpfCT", "--mount-proc"]);
		for (const option of ["-u", "-m", "-a", "-e", "-r"]) {
			const { status, stderr } = run([tsunshare, "enter", "-t", String(pid), option, "true"], { uid: NOBODY });
			t.equal(status, 1, option);
			t.match(stderr, /^tsunshare: .*: (Operation not permitted|Permission denied)\ntsunshare: hint: .*\n$/, option);
		}
	},
);

t.test("without a program it starts $SHELL, or sh, as a login shell", { skip: isRoot ? false : "needs root" }, async (t) => {
	const pid = String(await start(t, ["unshare", "-u"]));
	for (const shell of ["SHELL=/bin/sh", "SHELL=/bin/bash", "-uSHELL"])
		same(t, shell, ["env", shell, "nsenter", "-t", pid, "-u"], ["env", shell, tsunshare, "enter", "-t", pid, "-u"], {
			env: { HOME: "/nonexistent" },
			input: "echo $0\nexit 3\n",
		});
});
