/** Capabilities: man 7 capabilities, man 2 capset; linux/capability.h. */
import * as nr from "./nr.ts";
import { PR_CAP_AMBIENT, PR_CAPBSET_DROP, PR_CAPBSET_READ, prctl } from "./process.ts";
import { struct } from "./struct.ts";
import { call, change, tryCall } from "./syscall.ts";

/** By number, from 0 on, without their `CAP_`. */
export const CAPABILITIES =
	"CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE".split(
		" ",
	);

export const CAP_SETGID = 6;
export const CAP_SETUID = 7;
export const CAP_NET_ADMIN = 12;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_RESOURCE = 24;
export const CAP_MKNOD = 27;

/** "CAP_NET_RAW", "net_raw" or a number as its number; undefined if there is none such. */
export function capabilityNumber(text: string): number | undefined {
	const at = /^\d+$/.test(text) ? Number(text) : CAPABILITIES.indexOf(text.toUpperCase().replace(/^CAP_/, ""));
	return at >= 0 && at < 64 ? at : undefined;
}

const header = struct([
	["version", "u32"],
	["pid", "s32"],
]);
const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** The three sets of a thread, each a list of capability numbers. */
export interface CapabilitySets {
	effective: number[];
	permitted: number[];
	inheritable: number[];
}

const SETS = ["effective", "permitted", "inheritable"] as const;

/** capget(2) of this process. Data: two times {u32 effective, permitted, inheritable}, the low 32 bits first. */
export function capget(): CapabilitySets {
	const data = new Uint32Array(6);
	call("capget", nr.SYS_capget, header.pack({ version: _LINUX_CAPABILITY_VERSION_3 }), data);
	const list = (set: number) => {
		const numbers: number[] = [];
		for (let i = 0; i < 64; i++) if ((((data[set + 3 * (i >> 5)] as number) >>> (i & 31)) & 1) === 1) numbers.push(i);
		return numbers;
	};
	return { effective: list(0), permitted: list(1), inheritable: list(2) };
}

export function capset(sets: CapabilitySets) {
	const data = new Uint32Array(6);
	SETS.forEach((name, set) => {
		for (const i of sets[name]) data[set + 3 * (i >> 5)] = (data[set + 3 * (i >> 5)] as number) | (1 << (i & 31));
	});
	change("capset", nr.SYS_capset, header.pack({ version: _LINUX_CAPABILITY_VERSION_3 }), data);
}

/** How many capabilities the kernel knows: the first number that PR_CAPBSET_READ refuses. */
export function lastCapability(): number {
	let last = CAPABILITIES.length - 1;
	while (last >= 0 && tryCall("prctl", nr.SYS_prctl, PR_CAPBSET_READ, last, 0, 0, 0) < 0) last--;
	while (tryCall("prctl", nr.SYS_prctl, PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) last++;
	return last;
}

export function dropFromBoundingSet(capability: number) {
	prctl("PR_CAPBSET_DROP", PR_CAPBSET_DROP, capability);
}

const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;

/** Raises a capability (permitted and inheritable already) in the ambient set, so that an exec keeps it. Linux 4.3. */
export function raiseAmbient(capability: number) {
	prctl("PR_CAP_AMBIENT_RAISE", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability);
}

export function clearAmbient() {
	prctl("PR_CAP_AMBIENT_CLEAR_ALL", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
}
