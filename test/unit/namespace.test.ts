/** Namespaces, beside /proc, uname(1), ip(8) and the netlink package: of this thread, which comes back to where it was. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import t, { type Test } from "tap";
import { close, O_RDONLY, open } from "../../native/linux/fd.ts";
import { setLoopbackUp } from "../../native/linux/loopback.ts";
import {
	CLONE_NEWNET,
	CLONE_NEWNS,
	CLONE_NEWUTS,
	cloneFlagNames,
	NAMESPACES,
	namespaceInode,
	namespaceOwner,
	namespaceType,
	owningUserNamespace,
	parentNamespace,
	setdomainname,
	sethostname,
	setns,
	uname,
	unshare,
	writeIdMap,
} from "../../native/linux/namespace.ts";
import { stat } from "../../native/linux/stat.ts";
import { failing } from "../support/failing.ts";

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };
const ns = (name: string, pid: number | "thread-self" = "thread-self") => `/proc/${pid}/ns/${name}`;
const inodeAt = (path: string) => Number(/\d+/.exec(readlinkSync(path))?.[0]);

/** Starts a program that sleeps in new namespaces. */
async function sleeper(t: Test, ...options: string[]): Promise<number> {
	const child = spawn("unshare", [...options, "sh", "-c", "echo; exec sleep 1000"], { stdio: ["ignore", "pipe", "ignore"] });
	t.teardown(() => child.kill("SIGKILL"));
	await new Promise((resolve) => child.stdout.once("data", resolve));
	return child.pid as number;
}

/** Unshares for the time of `work`. */
async function inNew(kind: "net" | "uts", flag: number, work: () => void | Promise<void>) {
	const before = open(ns(kind), O_RDONLY);
	unshare(flag);
	try {
		await work();
	} finally {
		setns(before, flag);
		close(before);
	}
}

t.test("each kind of namespace has its name, its flag and its file", async (t) => {
	for (const { name, flag, clone } of NAMESPACES) {
		const fd = open(ns(name), O_RDONLY);
		t.equal(namespaceType(fd), flag, clone);
		t.equal(namespaceInode("self", name), inodeAt(ns(name)));
		t.equal(stat("", fd).ino, statSync(ns(name)).ino);
		close(fd);
	}
	const file = open("/etc/passwd", O_RDONLY);
	t.equal(namespaceType(file), undefined);
	close(file);
	t.equal(cloneFlagNames(CLONE_NEWNS | CLONE_NEWNET), "CLONE_NEWNET|CLONE_NEWNS");
	t.equal(cloneFlagNames(0), "");
	t.equal(namespaceInode(2 ** 22 + 1, "net"), undefined);
});

t.test("a namespace's parent, owner and maker are told as lsns tells them", needsRoot, async (t) => {
	const pid = await sleeper(t, "--user", "--map-root-user", "--uts");
	const listed = JSON.parse(
		spawnSync("lsns", ["--json", "--list", "--task", String(pid), "--output", "TYPE,NS,PNS,ONS"], { encoding: "utf8" }).stdout,
	).namespaces;
	for (const { type, pns, ons } of listed as { type: string; pns: number; ons: number }[]) {
		const fd = open(ns(type, pid), O_RDONLY);
		for (const [ask, theirs] of [
			[parentNamespace, pns],
			[owningUserNamespace, ons],
		] as const)
			if (theirs === 0) t.throws(() => ask(fd), { name: "SysError" }, `${type} has none`);
			else {
				const other = ask(fd);
				t.equal(stat("", other).ino, theirs, type);
				close(other);
			}
		close(fd);
	}
	const user = open(ns("user", pid), O_RDONLY);
	t.equal(namespaceOwner(user), process.getuid?.());
	close(user);
});

t.test("an identity map is written as one, and is what /proc shows", needsRoot, async (t) => {
	const pid = await sleeper(t, "--user");
	writeIdMap(pid, "uid_map", [
		{ inner: 0, outer: 1000, count: 1 },
		{ inner: 1, outer: 100000, count: 65536 },
	]);
	writeIdMap(pid, "gid_map", [{ inner: 5, outer: 6, count: 7 }]);
	const map = (file: string) =>
		readFileSync(`/proc/${pid}/${file}`, "utf8")
			.trim()
			.split("\n")
			.map((line) => line.trim().split(/\s+/).map(Number));
	t.same(map("uid_map"), [
		[0, 1000, 1],
		[1, 100000, 65536],
	]);
	t.same(map("gid_map"), [[5, 6, 7]]);
	failing(t, () => writeIdMap(pid, "uid_map", [{ inner: 0, outer: 0, count: 1 }]), {
		call: "write",
		errno: 1,
		object: `/proc/${pid}/uid_map`,
	});
});

t.test("a host's name is set in a namespace of its own, and nowhere else", needsRoot, async (t) => {
	const before = uname();
	t.equal(before.nodename, spawnSync("uname", ["-n"], { encoding: "utf8" }).stdout.trim());
	t.equal(before.release, spawnSync("uname", ["-r"], { encoding: "utf8" }).stdout.trim());
	t.equal(before.machine, spawnSync("uname", ["-m"], { encoding: "utf8" }).stdout.trim());
	await inNew("uts", CLONE_NEWUTS, () => {
		for (const name of ["inside", "x".repeat(64), "a-b.c"]) {
			sethostname(name);
			setdomainname(`${name.slice(0, 50)}.example`);
			t.match(uname(), { nodename: name, domainname: `${name.slice(0, 50)}.example` });
			t.equal(spawnSync("uname", ["-n"], { encoding: "utf8" }).stdout, `${name}\n`);
		}
		failing(t, () => sethostname("x".repeat(65)), { call: "sethostname", errno: 22 });
	});
	t.equal(uname().nodename, before.nodename);
});

t.test("a namespace is entered by its file, as what it is", needsRoot, async (t) => {
	const pid = await sleeper(t, "--uts", "--net");
	const before = open(ns("uts"), O_RDONLY);
	const theirs = open(ns("uts", pid), O_RDONLY);
	setns(theirs, CLONE_NEWUTS, "there");
	t.equal(inodeAt(ns("uts")), inodeAt(ns("uts", pid)));
	setns(before, 0);
	t.not(inodeAt(ns("uts")), inodeAt(ns("uts", pid)));
	failing(t, () => setns(theirs, CLONE_NEWNET, "there"), {
		call: "setns(CLONE_NEWNET)",
		errno: 22,
		object: "there",
		message: "setns(CLONE_NEWNET) there: Invalid argument",
	});
	for (const fd of [before, theirs]) close(fd);
});

t.test("the loopback interface is brought up, as ip and the netlink package see it", needsRoot, async (t) => {
	const { createRtNetlink } = createRequire(import.meta.url)("netlink");
	await inNew("net", CLONE_NEWNET, async () => {
		/* A socket stays in the namespace in which it was made. */
		const socket = createRtNetlink({ ref: true });
		const isUp = async () =>
			(await socket.getLinks()).find((link: { attrs: { ifname: string } }) => link.attrs.ifname === "lo").data.flags.up === true;
		t.equal(await isUp(), false);
		setLoopbackUp();
		t.equal(await isUp(), true);
		const addresses = (await socket.getAddresses()).map((address: { attrs: { address: Buffer } }) => [...address.attrs.address].join("."));
		t.ok(addresses.includes("127.0.0.1"));
		t.match(spawnSync("ip", ["-brief", "address"], { encoding: "utf8" }).stdout, /^lo +UNKNOWN +127\.0\.0\.1\/8 ::1\/128/);
		socket.socket.close();
	});
});
