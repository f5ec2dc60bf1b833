/**
 * native/linux beside the headers of the kernel and of the C library: each struct, each constant, each name.
 *
 * The modules are looked at as they are, so what is added to them is compared without a word here: unless its name is not
 * that of the headers, or these are too old to have it. Then it belongs into one of the lists below.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import t from "tap";
import { CAPABILITIES, capabilityNumber } from "../../native/linux/capability.ts";
import { RLIMITS } from "../../native/linux/rlimit.ts";
import { signalName, signalNumber } from "../../native/linux/signal.ts";
import { errnoName, strerror } from "../../native/linux/strerror.ts";
import type { Struct } from "../../native/linux/struct.ts";
import { formatCall } from "../../native/linux/trace.ts";
import { hasCompiler, include, macros, runC, undeclared, values } from "../support/c.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const linux = join(root, "native/linux");
const needsCompiler = hasCompiler ? {} : { skip: "there is no gcc" };

/** Sets of headers that go together in one program. What the first does not have is looked for in the next. */
const HEADERS = [
	`stddef asm/fcntl asm/ioctls asm/poll asm/resource asm/signal asm/socket asm/stat asm/statfs asm/termbits asm/unistd linux/audit linux/bpf
	linux/bpf_common linux/capability linux/close_range linux/dqblk_xfs linux/errno linux/eventfd linux/eventpoll linux/falloc
	linux/fcntl linux/fiemap linux/filter linux/fs linux/fsverity linux/inotify linux/ioprio linux/kcmp linux/keyctl linux/landlock
	linux/limits linux/posix_acl linux/posix_acl_xattr linux/loop linux/magic linux/major linux/memfd linux/mount linux/nsfs linux/openat2 linux/pidfd linux/prctl linux/quota
	linux/random linux/reboot linux/resource linux/sched linux/seccomp linux/securebits linux/signalfd linux/stat linux/time linux/timerfd
	linux/tty linux/types linux/utsname linux/wait linux/xattr`,
	`sys/socket netinet/in linux/ioctl linux/dm-ioctl linux/fib_rules linux/if linux/if_addr linux/if_arp linux/if_bridge linux/if_link linux/if_packet linux/if_tun
	linux/in linux/inet_diag linux/ip linux/neighbour linux/net_namespace linux/netfilter linux/netfilter_ipv4
	linux/netfilter/nf_conntrack_common linux/netfilter/nf_conntrack_tuple_common linux/netfilter/nf_nat linux/netfilter/nf_tables
	linux/netfilter/nfnetlink linux/netfilter/nfnetlink_conntrack linux/netlink linux/pkt_sched linux/rtnetlink linux/sock_diag
	linux/sockios linux/tcp linux/udp linux/veth linux/vm_sockets`,
	`dirent fcntl netinet/tcp poll sched signal sys/epoll sys/eventfd sys/ioctl sys/ipc sys/mman sys/mount sys/reboot sys/resource sys/sem sys/shm
	sys/signalfd sys/stat sys/statvfs sys/swap sys/timerfd sys/un sys/wait sys/xattr termios time unistd`,
].map((names) => include(names.split(/\s+/).map((name) => `${name}.h`)));

/** Constants that have no name of their own in the headers, as C has them. */
const EXPRESSIONS: Record<string, string> = {
	ALL_SEALS: "F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE",
	SECCOMP_DATA_ARCH: "__builtin_offsetof(struct seccomp_data, arch)",
	SECCOMP_DATA_ARGS: "__builtin_offsetof(struct seccomp_data, args)",
	SECCOMP_DATA_NR: "__builtin_offsetof(struct seccomp_data, nr)",
	SECCOMP_DATA_SIZE: "sizeof(struct seccomp_data)",
	SOCK_FILTER_SIZE: "sizeof(struct sock_filter)",
	SOCKADDR_STORAGE_SIZE: "sizeof(struct sockaddr_storage)",
	TERMIOS_SIZE: "sizeof(struct termios)",
	X32_SYSCALL_BIT: "__X32_SYSCALL_BIT",
};

/** Constants that the kernel has too, but with another value than the C library, whose value is meant. */
const OF_THE_LIBRARY = ["SIGRTMIN"];

/** Constants that are newer than the headers of Debian 12 (Linux 6.1). */
const NEWER: Record<string, string> = {
	EXT4_IOC_RESIZE_FS: "Linux 6.0 (linux/ext4.h)",
	XFS_IOC_FSGROWFSDATA: "xfs_fs.h, of xfslibs-dev",
	FD_NSFS_ROOT: "Linux 6.18",
	FILEID_NSFS: "Linux 6.18",
	NS_GET_ID: "Linux 6.18",
	NS_MNT_GET_NEXT: "Linux 6.12",
	NS_MNT_GET_PREV: "Linux 6.12",
};

/** Constants that are ours. */
const OURS: Record<string, string> = {
	ALL_BITS: "seccomp/graph.ts: a mask that changes nothing",
	FOREIGN: "seccomp/compile.ts: the answer to other architectures' calls",
	MOST_STATES: "seccomp/graph.ts: when it gives up",
	NEW_NAMESPACES: "seccomp/default.ts: several CLONE_NEW*",
	NO_CALL: "seccomp/compile.ts: -1",
	REACH: "seccomp/assemble.ts: how far a jump goes",
	LOG_SIZE: "bpf.ts: how much of the verifier's log is kept",
	HEADER: "sockmsg.ts: the size of struct cmsghdr",
	SCM_MAX_FD: "include/net/scm.h, which is the kernel's own",
};

/** System calls that are newer than those headers. */
const NEWER_CALLS = ["cachestat", "fchmodat2", "statmount", "listmount", "open_tree_attr", "listns"];

interface Declared {
	/** The type's name in C; undefined where the headers may be too old for it. */
	type?: string;
	/** What stands before a field's name. */
	within?: string;
	/** We declare its beginning, or one member of a union. */
	partial?: true;
	/** Fields that are ours, to fill a place. */
	ours?: string[];
}

/** Structs whose name in C is not ours in lower case with underscores, or which are not the same throughout. */
const STRUCTS: Record<string, Declared> = {
	"blockdev.xfsGrowfsData": {},
	"bpf.bpfGetIdAttr": { type: "union bpf_attr", partial: true },
	"bpf.bpfInfoAttr": { type: "union bpf_attr", within: "info.", partial: true },
	"bpf.bpfInsn": { type: "struct bpf_insn", ours: ["regs"] },
	"bpf.bpfProgAttachAttr": { type: "union bpf_attr", partial: true },
	"bpf.bpfProgInfo": { type: "struct bpf_prog_info", partial: true },
	"bpf.bpfProgLoadAttr": { type: "union bpf_attr", partial: true },
	"bpf.bpfProgQueryAttr": { type: "union bpf_attr", within: "query.", partial: true },
	"capability.header": { type: "struct __user_cap_header_struct" },
	"lock.flockStruct": { type: "struct flock" },
	"stat.statxStruct": { type: "struct statx", ours: ["__spare3"] },
	"quota.fsQuotaStat": { type: "struct fs_quota_stat", partial: true },
	"copy-tree.timespecs": {},
	"loopback.ifreqFlags": { type: "struct ifreq", ours: ["ifr_pad"] },
	"namespace.nsfsFileHandle": {},
	"route/link.rtnlLinkStats64": { type: "struct rtnl_link_stats64", partial: true },
	"sockmsg.mmsghdr": { type: "struct mmsghdr", ours: ["padding"] },
};

/** The values of C expressions, each by the first headers that have it; undefined where none do. */
function ask(expressions: string[], sets: readonly string[] = HEADERS): (number | undefined)[] {
	const found = new Map<string, number>();
	let rest = [...new Set(expressions)];
	for (const set of sets) {
		const lacking = undeclared(set, rest);
		const known = rest.filter((expression) => !lacking.includes(expression));
		values(set, known).forEach((value, i) => {
			found.set(known[i] as string, value);
		});
		rest = lacking;
	}
	return expressions.map((expression) => found.get(expression));
}

interface Declarations {
	structs: { name: string; struct: Struct<readonly []>; declared: Declared }[];
	constants: { name: string; file: string; value: number }[];
}

mkdirSync(join(root, "build"), { recursive: true });

/** What the modules below a folder declare, what they keep to themselves as well: copies export all of it. */
async function declarationsBelow(t: { teardown(handler: () => void): void }, folder: string): Promise<Declarations> {
	const copies = mkdtempSync(join(root, "build/abi-"));
	t.teardown(() => rmSync(copies, { recursive: true }));
	const files = readdirSync(folder, { recursive: true })
		.map(String)
		.filter((file) => file.endsWith(".ts"));
	for (const file of files) {
		mkdirSync(dirname(join(copies, file)), { recursive: true });
		writeFileSync(join(copies, file), readFileSync(join(folder, file), "utf8").replace(/^const /gm, "export const "));
	}
	const found: Declarations = { structs: [], constants: [] };
	for (const file of files.filter((name) => name !== "nr.ts")) {
		const module = (await import(pathToFileURL(join(copies, file)).href)) as Record<string, unknown>;
		for (const [name, value] of Object.entries(module)) {
			if (typeof value === "number" && /^_?[A-Z][A-Z0-9_]*$/.test(name)) found.constants.push({ name, file, value });
			if (typeof value !== "object" || value === null || !("pack" in value && "offset" in value)) continue;
			const known = `${file.slice(0, -3)}.${name}`;
			const declared = STRUCTS[known] ?? { type: `struct ${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}` };
			found.structs.push({ name: known, struct: value as Struct<readonly []>, declared });
		}
	}
	return found;
}

/** What is wrong with constants: one line each. */
function wrongConstants(constants: Declarations["constants"]): string[] {
	const asked = constants.filter(({ name }) => !OURS[name]);
	const isOfTheLibrary = ({ name }: { name: string }) => OF_THE_LIBRARY.includes(name);
	return (
		[
			[asked.filter((constant) => !isOfTheLibrary(constant)), HEADERS],
			[asked.filter(isOfTheLibrary), HEADERS.slice(-1)],
		] as const
	).flatMap(([list, sets]) => {
		const found = ask(
			list.map(({ name }) => EXPRESSIONS[name] ?? name),
			sets,
		);
		return list.flatMap(({ name, file, value }, i) => {
			if (found[i] === undefined) return NEWER[name] ? [] : [`${file}: ${name} is in no header`];
			return value === found[i] ? [] : [`${file}: ${name} is ${value}, the headers have ${found[i]}`];
		});
	});
}

/** What is wrong with structs: one line each. */
function wrongStructs(structs: Declarations["structs"]): string[] {
	const questions: { what: string; expression: string; ours: number }[] = [];
	for (const { name, struct, declared } of structs) {
		const { type, within = "", ours = [] } = declared;
		if (type === undefined) continue;
		if (!declared.partial) questions.push({ what: `${name}: size`, expression: `sizeof(${type})`, ours: struct.size });
		const lengths = struct.length as Record<string, number>;
		for (const [field, offset] of Object.entries(struct.offset as Record<string, number>)) {
			if (ours.includes(field)) continue;
			const member = within + field;
			questions.push({ what: `${name}.${field}: offset`, expression: `__builtin_offsetof(${type}, ${member})`, ours: offset });
			questions.push({ what: `${name}.${field}: size`, expression: `sizeof(((${type} *)0)->${member})`, ours: lengths[field] as number });
		}
	}
	const found = ask(questions.map(({ expression }) => expression));
	return questions.flatMap(({ what, ours }, i) => (ours === found[i] ? [] : [`${what} is ${ours}, the headers have ${found[i]}`]));
}

const { structs, constants } = await declarationsBelow(t, linux);

t.test("each constant has the value of the headers", needsCompiler, async (t) => {
	t.ok(constants.length > 300);
	t.same(wrongConstants(constants), []);
	/* An exception that nobody needs any more would hide the next mistake. */
	for (const name of [...Object.keys(OURS), ...Object.keys(NEWER), ...Object.keys(EXPRESSIONS)])
		t.ok(
			constants.some((constant) => constant.name === name),
			`${name} is still there`,
		);
});

t.test("each struct has the size, the fields, their offsets and sizes of the headers", needsCompiler, async (t) => {
	t.ok(structs.length > 10);
	t.same(wrongStructs(structs), []);
	for (const name of Object.keys(STRUCTS))
		t.ok(
			structs.some((struct) => struct.name === name),
			`${name} is still there`,
		);
});

t.test("what is planted is found, in a folder's folder as well, and what is not exported", needsCompiler, async (t) => {
	const folder = mkdtempSync(join(root, "build/abi-planted-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	mkdirSync(join(folder, "deep/er"), { recursive: true });
	writeFileSync(
		join(folder, "deep/er/planted.ts"),
		`import { struct } from ${JSON.stringify(join(linux, "struct.ts"))};
const EPERM = 2;
export const O_RDONLY = 0;
export const O_TSBOX = 1;
const timespec = struct([["tv_sec", "s64"], ["tv_nsec", "s32"]]);
`,
	);
	const planted = await declarationsBelow(t, folder);
	t.same(wrongConstants(planted.constants), [
		"deep/er/planted.ts: EPERM is 2, the headers have 1",
		"deep/er/planted.ts: O_TSBOX is in no header",
	]);
	t.same(wrongStructs(planted.structs), ["deep/er/planted.timespec.tv_nsec: size is 4, the headers have 8"]);
});

/** nr.ts as it is on an architecture: the choice is made when it is built. */
function callNumbers(arch: "x64" | "arm64"): Map<string, number> {
	const text = readFileSync(join(linux, "nr.ts"), "utf8").replace(/^export const (SYS_\w+) = /gm, "numbers.$1 = ");
	const numbers: Record<string, number> = {};
	new Function("process", "numbers", text)({ arch }, numbers);
	return new Map(Object.entries(numbers).map(([name, number]) => [name.replace("SYS_", ""), number]));
}

for (const [arch, headers] of [
	["x64", "#define __x86_64__ 1\n#include <asm/unistd_64.h>"],
	[
		"arm64",
		/* arch/arm64/include/uapi/asm/unistd.h */
		`#define __ARCH_WANT_RENAMEAT
		#define __ARCH_WANT_NEW_STAT
		#define __ARCH_WANT_SET_GET_RLIMIT
		#define __ARCH_WANT_TIME32_SYSCALLS
		#define __ARCH_WANT_SYS_CLONE3
		#define __ARCH_WANT_MEMFD_SECRET
		#include <asm-generic/unistd.h>`,
	],
] as const)
	t.test(`each system call has the number that ${arch} has for it`, needsCompiler, async (t) => {
		const numbers = callNumbers(arch);
		t.ok(numbers.size > 280);
		const lacking = undeclared(
			headers,
			[...numbers.keys()].map((name) => `__NR_${name}`),
		).map((name) => name.replace("__NR_", ""));
		t.same(
			lacking.filter((name) => !NEWER_CALLS.includes(name)),
			[],
		);
		const asked = [...numbers].filter(([name]) => !lacking.includes(name));
		const found = values(
			headers,
			asked.map(([name]) => `__NR_${name}`),
		);
		asked.forEach(([name, number], i) => {
			if (number !== found[i]) t.fail(`SYS_${name} is ${number}, the headers have ${found[i]}`);
		});
		t.equal(found.length, asked.length);
	});

t.test("the calls that are newer than the headers have the same number on both architectures", async (t) => {
	const [x64, arm64] = [callNumbers("x64"), callNumbers("arm64")];
	/* Since Linux 5.1 (424) a new call has the same number everywhere. */
	for (const name of NEWER_CALLS) t.equal(x64.get(name), arm64.get(name), name);
	t.same([...x64.keys()], [...arm64.keys()]);
	t.equal(new Set(x64.values()).size, x64.size);
	t.equal(new Set(arm64.values()).size, arm64.size);
});

t.test("each error number has the name and the text of the C library", needsCompiler, async (t) => {
	const lines = runC(`#include <stdio.h>
		#include <string.h>
		int main(void) { for (int i = 1; i < 134; i++) printf("%d %s %s\\n", i, strerrorname_np(i) ?: "-", strerror(i)); }`);
	for (const line of lines.trim().split("\n")) {
		const [, number, name, text] = /^(\d+) (\S+) (.*)$/.exec(line) ?? [];
		t.equal(strerror(Number(number)), text);
		t.equal(errnoName(Number(number)), name === "-" ? number : name);
	}
});

t.test("each signal has the name and number that bash has for it", async (t) => {
	const { stdout } = spawnSync("bash", ["-c", "for i in {1..64}; do echo $i $(kill -l $i); done"], { encoding: "utf8" });
	for (const line of stdout.trim().split("\n")) {
		const [number, name] = line.split(" ") as [string, string];
		if (name === "" || number === "32" || number === "33") continue; /* the C library's own */
		t.equal(signalNumber(name), Number(number), line);
		t.equal(signalNumber(`SIG${name}`), Number(number), line);
		/* bash counts the upper half of the real-time signals from RTMAX down. */
		if (!name.startsWith("RTMAX")) t.equal(signalName(Number(number)), `SIG${name}`, line);
	}
	t.equal(stdout.trim().split("\n").length, 64);
	for (const wrong of ["", "0", "65", "TERMS", "SIG", "RTMIN-1", "RTMAX+1", "RTMIN+31", "-1", "1.5"])
		t.equal(signalNumber(wrong), undefined, wrong);
});

t.test("each capability has the name and number of the headers", needsCompiler, async (t) => {
	const all = macros("#include <linux/capability.h>");
	const names = [...all].filter(([name, text]) => /^CAP_[A-Z_]+$/.test(name) && /^\d+$/.test(text));
	t.equal(names.length, CAPABILITIES.length);
	for (const [name, text] of names) {
		t.equal(`CAP_${CAPABILITIES[Number(text)]}`, name);
		for (const spelling of [name, name.toLowerCase(), name.slice(4), name.slice(4).toLowerCase(), text])
			t.equal(capabilityNumber(spelling), Number(text), spelling);
	}
});

t.test("each resource limit has the name and number of the headers", needsCompiler, async (t) => {
	const all = [...macros("#include <asm/resource.h>")].filter(([name]) => /^RLIMIT_/.test(name));
	t.equal(all.length, RLIMITS.length);
	for (const [name, text] of all) t.equal(RLIMITS[Number(text)], name.slice(7).toLowerCase());
});

t.test("--trace calls each flag by the name that the headers have for it", needsCompiler, async (t) => {
	const bits = Array.from({ length: 30 }, (_, i) => 2 ** i);
	for (const [call, before] of [
		["unshare", []],
		["setns", [3]],
		["mount", ["a", "b", "c"]],
		["umount2", ["a"]],
		["openat", [-100, "a"]],
		["unlinkat", [-100, "a"]],
	] as [string, (string | number)[]][]) {
		const named = bits
			.map((bit) => /(\w+)\)$/.exec(formatCall(call, [...before, bit]))?.[1] ?? "")
			.map((name, i) => ({ name, bit: bits[i] as number }));
		const flags = named.filter(({ name }) => /^[A-Z]/.test(name));
		t.ok(flags.length >= 4, call);
		t.same(
			ask(flags.map(({ name }) => name)),
			flags.map(({ bit }) => bit),
			call,
		);
	}
});
