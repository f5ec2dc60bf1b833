/** A container's command line, read: all that can be wrong with it is found here, before anything is done. */
import { CAPABILITIES, capabilityNumber } from "../../../native/linux/capability.ts";
import {
	MOUNT_ATTR_NODEV,
	MOUNT_ATTR_NOEXEC,
	MOUNT_ATTR_NOSUID,
	MOUNT_ATTR_NOSYMFOLLOW,
	MOUNT_ATTR_RDONLY,
	MS_PRIVATE,
	MS_SHARED,
	MS_SLAVE,
	MS_UNBINDABLE,
} from "../../../native/linux/mount.ts";
import { CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS, NAMESPACES } from "../../../native/linux/namespace.ts";
import { RLIM_INFINITY, RLIMITS } from "../../../native/linux/rlimit.ts";
import { type CommandLine, notA } from "../../common/command-line/options.ts";
import { UsageError } from "../../common/errors.ts";
import { descriptorCount, keptEnvironment } from "../../common/program.ts";
import type { PlannedMount, PlanRecord } from "../../common/record.ts";
import { name } from "../../common/state.ts";
import { duration, parseSize } from "../../common/units.ts";
import { type IdMaps, idMaps, wantedMaps } from "../idmap.ts";
import { propagationFlags } from "../inside.ts";
import { namespaceFlags, type TimeOffsets, timeOffsets } from "../namespaces.ts";
import type { unshareOptions } from "../options.ts";
import { type Kept, keptNamespaces } from "../persist.ts";
import type { sandboxOptions } from "./options.ts";

export type SandboxLine = CommandLine<readonly [...typeof unshareOptions, ...typeof sandboxOptions]>;

/** How a mount is to be: MOUNT_ATTR_* to set, MS_* for its propagation, and the file system's own options. */
export interface MountOptions {
	set: number;
	propagation: number;
	recursive: boolean;
	/** A source that is not there is skipped. */
	optional: boolean;
	data: Record<string, string>;
}

/** What is mounted in the container, in the order in which it is written. */
export interface MountStep {
	kind: "bind" | "tmpfs" | "proc" | "sysfs" | "dev" | "mask" | "readonly";
	/** A path outside, for a bind. */
	source: string;
	target: string;
	options: MountOptions;
}

/** An existing namespace to be in. */
export interface Joined {
	flag: number;
	file: string;
}

export interface Limit {
	resource: number;
	soft: number;
	hard: number;
}

export interface Plan {
	flags: number;
	maps: IdMaps | undefined;
	setgroups: string | undefined;
	offsets: TimeOffsets;
	kept: Kept[];
	joined: Joined[];
	hostname: string | undefined;
	domainname: string | undefined;
	rootfs: string | undefined;
	readOnly: boolean;
	/** Of all that is mounted already, where the root is not changed. */
	propagation: number;
	mounts: MountStep[];
	setup: string[];
	user: string | undefined;
	cwd: string | undefined;
	environment: string[];
	/** HOME is set by --env, and not by what the root's /etc/passwd says. */
	hasHome: boolean;
	capDrop: string[];
	capAdd: string[];
	keepCaps: boolean;
	noNewPrivs: boolean;
	seccomp: string | undefined;
	/** No device nodes but those of /dev: without a cgroup of devices nothing else keeps the program from the host's. */
	noDevices: boolean;
	/** The folders of the cgroups that the process enters by itself, one a hierarchy. */
	cgroups: string[];
	/** The plan that came as a record: what other tools have prepared. */
	record: PlanRecord | undefined;
	limits: Limit[];
	tty: boolean;
	newSession: boolean;
	dieWithParent: boolean;
	preserve: number;
	stdio: (string | undefined)[];
	pidfile: string | undefined;
	hold: boolean;
	/** Seconds; 0 for no end. */
	holdTimeout: number;
	id: string | undefined;
	/** The state is removed as soon as the sandbox has ended. */
	transient: boolean;
	argv: string[];
	argv0: string | undefined;
}

/** Without a time of their own, held sandboxes end after so many seconds. */
const HOLD_TIMEOUT = 60;

/** The command line with what the plan, if one was read, has to add to it. Options are mounted after what the plan names. */
export function readPlan({ options, ordered, operands }: SandboxLine, record?: PlanRecord): Plan {
	for (const long of ["root", "mountBinfmt", "loadInterp", "owner"] as const)
		if (options[long] !== undefined)
			throw new UsageError(`--${dashed(long)}: not for a container${long === "root" ? "; use --rootfs" : ""}`);
	if (options.readOnly && options.record === undefined && options.rootfs === undefined) throw new UsageError("--read-only: needs --rootfs");

	if (!options.hold && options.holdTimeout !== undefined) throw new UsageError("--hold-timeout: needs --hold");
	if (options.rm && !options.hold && options.id === undefined && options.record === undefined)
		throw new UsageError("--rm: needs --hold, --id or --record");
	if (options.hold && (options.stdout === "1" || options.stderr === "1"))
		throw new UsageError("--stdout: with --hold, descriptor 1 is where the record goes", "duplicate it: --stdout 3 3>&1");

	/* --user names a namespace's file if there is a slash in it, else the program's user. */
	const users = ordered.filter(({ long }) => long === "user").map(({ value }) => value as string | true);
	const user = users.filter((value): value is string => value !== true && !value.includes("/")).pop();
	const { user: _, ...others } = options;
	const namespaces = users.find((value) => value === true || value.includes("/"));
	const asked = namespaces === undefined ? others : { ...others, user: namespaces };

	if (record?.rootfs !== undefined && options.rootfs !== undefined) throw new UsageError("--rootfs: the plan has a root already");
	const rootfs = options.rootfs ?? record?.rootfs;
	const mounts = [...mountSteps(ordered), ...(record?.mounts ?? []).map(plannedMount)];
	const joined = (options.join ?? []).map(readJoined);
	let flags = namespaceFlags(asked);
	if (rootfs !== undefined || mounts.length > 0) flags |= CLONE_NEWNS;
	if (options.hostname !== undefined || options.domainname !== undefined) flags |= CLONE_NEWUTS;
	if (options.shareNet) flags &= ~CLONE_NEWNET;
	for (const { flag, file } of joined)
		if ((flags & flag) !== 0) throw new UsageError(`--join: ${file}: a new namespace of this kind is asked for, too`);
	const maps = (flags & CLONE_NEWUSER) === 0 ? undefined : idMaps(wantedMaps(ordered));
	const ids = [options.setuid, options.setgid];

	return {
		flags,
		maps,
		setgroups: options.setgroups,
		offsets: timeOffsets(options, flags),
		kept: keptNamespaces(asked).filter(({ flag }) => (flags & flag) !== 0),
		joined,
		hostname: options.hostname,
		domainname: options.domainname,
		rootfs,
		readOnly: options.readOnly === true,
		propagation: propagationFlags(options.propagation),
		mounts,
		setup: options.setup ?? [],
		user: user ?? (ids.some((id) => id !== undefined) ? ids.map((id) => id ?? "0").join(":") : undefined),
		cwd: options.cwd ?? options.wd,
		environment: environment(options),
		hasHome: (options.env ?? []).some((text) => text.startsWith("HOME=")),
		capDrop: capabilityNames(options.capDrop, "--cap-drop"),
		capAdd: capabilityNames(options.capAdd, "--cap-add"),
		keepCaps: options.keepCaps === true,
		noNewPrivs: options.noNewPrivs === true,
		seccomp: options.seccomp,
		noDevices: options.noDevices === true,
		cgroups: record?.cgroups ?? [],
		record,
		limits: (options.rlimit ?? []).map(readLimit),
		tty: options.tty === true,
		/* Else a program could put input into the terminal that tsunshare was started on, and read what is typed there later. */
		newSession: true,
		dieWithParent: options.dieWithParent === true,
		preserve: descriptorCount(options.preserveFds),
		stdio: [options.stdin ?? (options.record === "0" ? "/dev/null" : undefined), options.stdout, options.stderr],
		pidfile: options.pidfile,
		hold: options.hold === true,
		holdTimeout: options.holdTimeout === undefined ? HOLD_TIMEOUT : duration(options.holdTimeout, "--hold-timeout"),
		id: options.id === undefined ? record?.id : sandboxName(options.id),
		transient: options.rm === true || (options.id ?? record?.id) === undefined,
		argv: operands,
		argv0: options.argv0,
	};
}

/** Digits only would be read as a PID. */
function sandboxName(text: string): string {
	return /^\d+$/.test(text) ? notA("--id", text, "a name: it would be taken for a PID") : name(text, "--id");
}

function dashed(camel: string): string {
	return camel.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What Docker hides in /proc and /sys, since the files tell of the host or change it (moby, oci/defaults.go). */
const MASKED =
	"/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/system/cpu/cpu*/thermal_throttle /sys/devices/virtual/powercap /sys/firmware";
const READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger";

function mountSteps(ordered: SandboxLine["ordered"]): MountStep[] {
	const steps: MountStep[] = [];
	const add = (kind: MountStep["kind"], target: string, set = 0, source = "") =>
		steps.push({ kind, source, target, options: { set, propagation: MS_PRIVATE, recursive: false, optional: false, data: {} } });
	const pseudo = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	for (const { long, value } of ordered) {
		const target = (standard: string) => destination(value === true ? standard : (value as string), `--${long}`);
		if (long === "bind") steps.push(readBind(value as string));
		else if (long === "tmpfs") steps.push(readTmpfs(value as string));
		else if (long === "proc" || long === "mount-proc") add("proc", target("/proc"), pseudo);
		else if (long === "sysfs") add("sysfs", target("/sys"), pseudo | MOUNT_ATTR_RDONLY);
		else if (long === "dev") add("dev", target("/dev"), MOUNT_ATTR_NOSUID);
		else if (long === "mask") add("mask", target(""));
		else if (long === "readonly-path") add("readonly", target(""), MOUNT_ATTR_RDONLY);
		else if (long === "mask-defaults") {
			for (const path of MASKED.split(" ")) add("mask", path);
			for (const path of READONLY.split(" ")) add("readonly", path, MOUNT_ATTR_RDONLY);
		}
	}
	return steps;
}

/** A place below the container's root. */
function destination(text: string, option: string): string {
	const parts = text.split("/").filter((part) => part !== "" && part !== ".");
	if (!text.startsWith("/") || parts.length === 0 || parts.includes(".."))
		return notA(option, text, 'an absolute path below / without ".."');
	return `/${parts.join("/")}`;
}

function readBind(text: string): MountStep {
	const [source = "", target = "", options, ...more] = text.split(":");
	if (source === "" || target === "" || more.length > 0) notA("--bind", text, "SRC:DST[:OPT,...]");
	return { kind: "bind", source, target: destination(target, "--bind"), options: mountOptions("--bind", options, 0) };
}

function readTmpfs(text: string): MountStep {
	const [target = "", options, ...more] = text.split(":");
	if (more.length > 0) notA("--tmpfs", text, "DST[:OPT,...]");
	/* Docker's defaults; `exec` and the like take one back. */
	const read = mountOptions("--tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return { kind: "tmpfs", source: "", target: destination(target, "--tmpfs"), options: { ...read, data: { mode: "1777", ...read.data } } };
}

const ATTRIBUTES: Record<string, number> = {
	ro: MOUNT_ATTR_RDONLY,
	nosuid: MOUNT_ATTR_NOSUID,
	nodev: MOUNT_ATTR_NODEV,
	noexec: MOUNT_ATTR_NOEXEC,
	nosymfollow: MOUNT_ATTR_NOSYMFOLLOW,
};
const OPPOSITES: Record<string, string> = { rw: "ro", suid: "nosuid", dev: "nodev", exec: "noexec", symfollow: "nosymfollow" };
const PROPAGATIONS: Record<string, number> = { private: MS_PRIVATE, slave: MS_SLAVE, shared: MS_SHARED, unbindable: MS_UNBINDABLE };

/** `ro,nosuid,rec`, as mount(8) and Docker spell them: an `r` before a propagation makes it recursive. */
function mountOptions(option: string, text: string | undefined, set: number): MountOptions {
	const read: MountOptions = { set, propagation: MS_PRIVATE, recursive: false, optional: false, data: {} };
	for (const word of text ? text.split(",") : []) {
		const isBind = option === "--bind";
		const propagation = PROPAGATIONS[word.replace(/^r(?=[psu])/, "")];
		const [key = "", value] = word.split("=", 2);
		if (ATTRIBUTES[word] !== undefined) read.set |= ATTRIBUTES[word] as number;
		else if (OPPOSITES[word] !== undefined) read.set &= ~(ATTRIBUTES[OPPOSITES[word] as string] as number);
		else if (isBind && (word === "rec" || word === "rbind")) read.recursive = true;
		else if (isBind && word === "bind") read.recursive = false;
		else if (isBind && word === "try") read.optional = true;
		else if (isBind && propagation !== undefined) {
			read.propagation = propagation;
			read.recursive = read.recursive || word.startsWith("r");
		} else if (!isBind && value !== undefined && isTmpfsOption(key, value)) read.data[key] = value;
		else
			notA(
				option,
				word,
				isBind
					? "an option of a bind mount (ro, nosuid, nodev, noexec, rec, try, slave ...)"
					: "an option of tmpfs (size=64m, mode=1777 ...)",
			);
	}
	return read;
}

function isTmpfsOption(key: string, value: string): boolean {
	if (key === "size") return parseSize(value) !== undefined || /^\d+%$/.test(value);
	if (key === "mode") return /^[0-7]{1,4}$/.test(value);
	return ["uid", "gid", "nr_inodes", "nr_blocks"].includes(key) && /^\d+[kmg]?$/.test(value);
}

/** A mount of the plan as a step. */
function plannedMount({ type, source = "", target, readonly, recursive, propagation, options }: PlannedMount): MountStep {
	const words = [...(readonly ? ["ro"] : []), ...(recursive ? ["rec"] : []), ...(propagation === undefined ? [] : [propagation])];
	if (type !== "tmpfs")
		return { kind: "bind", source, target: destination(target, "the plan"), options: mountOptions("--bind", words.join(","), 0) };
	const data = Object.entries(options ?? {}).map(([key, value]) => `${key}=${value}`);
	return readTmpfs([target, [...words, ...data].join(",")].join(":"));
}

/** Those whose namespace can be entered by a process that then goes on here. */
function readJoined(text: string): Joined {
	const [kind = "", file = ""] = text.split(/=(.*)/s, 2);
	const found = NAMESPACES.find((namespace) => namespace.name === kind && kind !== "mnt");
	if (!found || file === "") return notA("--join", text, "KIND=FILE or KIND=PID (user cgroup ipc uts net pid time)");
	return { flag: found.flag, file: /^\d+$/.test(file) ? `/proc/${file}/ns/${kind}` : file };
}

function readLimit(text: string): Limit {
	const match = /^(?:RLIMIT_)?(\w+)=(\d+|unlimited)(?::(\d+|unlimited))?$/i.exec(text);
	const resource = RLIMITS.indexOf((match?.[1] ?? "").toLowerCase());
	if (!match || resource < 0) return notA("--rlimit", text, `NAME=SOFT[:HARD], NAME one of ${RLIMITS.join(" ")}`);
	const value = (number: string) => (number === "unlimited" ? RLIM_INFINITY : Number(number));
	const soft = value(match[2] as string);
	const hard = match[3] === undefined ? soft : value(match[3]);
	if (hard !== RLIM_INFINITY && (soft === RLIM_INFINITY || soft > hard)) notA("--rlimit", text, "a limit: SOFT is greater than HARD");
	return { resource, soft, hard };
}

function capabilityNames(lists: string[] | undefined, option: string): string[] {
	const names = (lists ?? []).flatMap((list) => list.split(",")).filter((word) => word !== "");
	for (const word of names)
		if (!/^(ALL|DEFAULT)$/i.test(word) && capabilityNumber(word) === undefined)
			notA(option, word, `a capability (ALL, ${CAPABILITIES.slice(0, 3).join(", ")} ...; man 7 capabilities)`);
	return names;
}

/** What a program finds where nobody says anything: Docker's. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function environment(options: SandboxLine["options"]): string[] {
	let variables = keptEnvironment(options);
	const whole = keptEnvironment({});
	for (const text of options.env ?? []) {
		const name = text.split("=", 1)[0] as string;
		if (name === "") notA("--env", text, "NAME=VALUE or NAME");
		const entry = text.includes("=") ? text : whole.find((known) => known.startsWith(`${name}=`));
		variables = variables.filter((known) => !known.startsWith(`${name}=`));
		if (entry !== undefined) variables.push(entry);
	}
	if (!variables.some((entry) => entry.startsWith("PATH="))) variables.push(`PATH=${PATH}`);
	return variables;
}
