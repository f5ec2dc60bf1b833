/** The tables of system calls beside the kernel's headers. */
import { existsSync } from "node:fs";
import t from "tap";
import { type Architecture, callsOf, isCall } from "../../native/linux/seccomp/calls.ts";
import { IPC_CALLS, SOCKET_CALLS } from "../../native/linux/seccomp/multiplexed.ts";
import { hasCompiler, macros, values } from "../support/c.ts";

/* Debian's linux-libc-dev-armhf-cross. */
const ARM = "/usr/arm-linux-gnueabihf/include";

/** How the headers of each architecture are asked for on this machine, and those names of theirs that are no calls. */
const HEADERS: Record<Architecture, { text: string; flags?: string[]; lacks?: string }> = {
	x86_64: { text: "#include <asm/unistd_64.h>" },
	x32: { text: "#define __X32_SYSCALL_BIT 0x40000000\n#include <asm/unistd_x32.h>" },
	i386: { text: "#include <asm/unistd_32.h>" },
	/* arch/arm64/include/uapi/asm/unistd.h */
	aarch64: {
		text: `#define __ARCH_WANT_RENAMEAT
			#define __ARCH_WANT_NEW_STAT
			#define __ARCH_WANT_SET_GET_RLIMIT
			#define __ARCH_WANT_TIME32_SYSCALLS
			#define __ARCH_WANT_SYS_CLONE3
			#define __ARCH_WANT_MEMFD_SECRET
			#include <asm-generic/unistd.h>`,
	},
	arm: {
		text: `#define __ARM_EABI__\n#include "${ARM}/asm/unistd.h"`,
		flags: [`-I${ARM}`],
		lacks: existsSync(ARM) ? "" : "linux-libc-dev-armhf-cross",
	},
};

/** Calls that are newer than the headers of Debian 12 (Linux 6.1), by the version that brought them: arch/x86/entry/syscalls. */
const NEWER: Record<string, [number, string]> = {
	cachestat: [451, "6.5"],
	fchmodat2: [452, "6.6"],
	map_shadow_stack: [453, "6.6"],
	futex_wake: [454, "6.7"],
	futex_wait: [455, "6.7"],
	futex_requeue: [456, "6.7"],
	statmount: [457, "6.8"],
	listmount: [458, "6.8"],
	lsm_get_self_attr: [459, "6.8"],
	lsm_set_self_attr: [460, "6.8"],
	lsm_list_modules: [461, "6.8"],
	mseal: [462, "6.10"],
	setxattrat: [463, "6.13"],
	getxattrat: [464, "6.13"],
	listxattrat: [465, "6.13"],
	removexattrat: [466, "6.13"],
	open_tree_attr: [467, "6.15"],
	file_getattr: [468, "6.17"],
	file_setattr: [469, "6.17"],
	listns: [470, "6.19"],
	/* x86_64 alone has these. */
	uretprobe: [335, "6.11"],
	uprobe: [336, "6.18"],
};

const NO_CALLS = /^(syscalls|SYSCALL_BASE|OABI_SYSCALL_BASE|arch_specific_syscall|SYSCALL_MASK|3264\w+|SYSCALL_COMPAT_\w+)$/;

for (const [architecture, { text, flags = [], lacks }] of Object.entries(HEADERS) as [Architecture, (typeof HEADERS)["x32"]][]) {
	const skip = hasCompiler ? lacks : "there is no gcc";
	t.test(`each system call of ${architecture} has the name and number that the headers have`, skip ? { skip } : {}, async (t) => {
		const theirs = [...macros(text, flags).keys()].filter((name) => /^__(ARM_)?NR_/.test(name) && name !== "__ARM_NR_BASE");
		const names = theirs.filter((name) => !NO_CALLS.test(name.replace(/^__(ARM_)?NR_/, "")));
		const numbers = values(text, names, flags);
		const wanted = new Map(names.map((name, i) => [name.replace(/^__(ARM_)?NR_/, ""), numbers[i] as number]));
		t.ok(wanted.size > 290);
		const ours = callsOf(architecture);
		for (const [name, number] of wanted)
			if (ours.get(name) !== number) t.fail(`${name} is ${ours.get(name)}, and ${number} in the headers`);
		const bit = architecture === "x32" ? 0x40000000 : 0;
		for (const [name, number] of ours) {
			if (wanted.has(name)) continue;
			t.equal(number - bit, NEWER[name]?.[0], `${name} is newer than the headers`);
		}
		/* An exception that nobody needs any more would hide the next mistake. */
		for (const name of Object.keys(NEWER)) t.notOk(wanted.has(name), `${name} is in no header yet`);
	});
}

t.test("the calls that are newer than the headers are there on each architecture, two of x86_64's aside", async (t) => {
	for (const [name, [number]] of Object.entries(NEWER))
		for (const architecture of Object.keys(HEADERS) as Architecture[]) {
			const isThere = number > 423 || architecture === "x86_64";
			t.equal(callsOf(architecture).has(name), isThere, `${architecture} ${name}`);
		}
});

t.test("what socketcall and ipc call has the headers' numbers", hasCompiler ? {} : { skip: "there is no gcc" }, async (t) => {
	const socket = Object.keys(SOCKET_CALLS);
	t.same(
		values(
			"#include <linux/net.h>",
			socket.map((name) => `SYS_${name.toUpperCase()}`),
		),
		Object.values(SOCKET_CALLS),
	);
	const ipc = Object.keys(IPC_CALLS);
	t.same(
		values(
			"#include <linux/ipc.h>",
			ipc.map((name) => name.toUpperCase()),
		),
		Object.values(IPC_CALLS),
	);
	for (const name of [...socket, ...ipc]) t.ok(isCall(name), name);
});

t.test("a name is a call on any architecture of Linux, or none", async (t) => {
	for (const name of ["read", "socketcall", "breakpoint", "s390_pci_mmio_read", "listns"]) t.ok(isCall(name), name);
	for (const name of ["", "reed", "READ", "__NR_read", "constructor", "0"]) t.notOk(isCall(name), name);
});
