/**
 * Device rules, as v1's devices.allow and OCI's runtime specification have them: an ordered list. Each access (read,
 * write, mknod) to a device is decided by the last rule that names it.
 *
 * A list is kept in a normal form: its first rule is `allow a` or `deny a` and decides what no other does; no rule is
 * in it that decides nothing.
 */
import { S_IFBLK, S_IFCHR, S_IFMT, stat } from "../../../native/linux/stat.ts";
import { fail, show, UsageError } from "../../common/errors.ts";

/** DEVCG_ACC_* of the kernel's security/device_cgroup.c, BPF_DEVCG_ACC_* of linux/bpf.h. */
export const MKNOD = 1;
export const READ = 2;
export const WRITE = 4;
export const ALL_ACCESS = 7;

export interface DeviceRule {
	allow: boolean;
	/** "a" is every device, and every access. */
	type: "a" | "b" | "c";
	/** Undefined for any. */
	major: number | undefined;
	minor: number | undefined;
	/** MKNOD, READ and WRITE. */
	access: number;
}

/** What `standard` stands for: the devices that Docker and the OCI runtimes give every container. */
const STANDARD = "c *:* m, b *:* m, c 1:3 rwm, c 1:5 rwm, c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, c 5:0 rwm, c 5:2 rwm, c 136:* rwm";

/** The numbers' widths in the kernel: linux/kdev_t.h. */
const MAX_MAJOR = 0xfff;
const MAX_MINOR = 0xfffff;

/**
 * A rule as it is written: `[allow|deny] TYPE [MAJOR:MINOR] [ACCESS]`, `[allow|deny] PATH[:ACCESS]` or `standard`; `+`
 * and `-` in front are short for allow and deny, `allow` is what a rule without either means (or `allow`, if it is given).
 * `a` with numbers or a part of the accesses is made two rules, for c and b.
 */
export function parseRule(text: string, allow = true): DeviceRule[] {
	const sign = /^\s*(?:(allow|deny)\s+|([+-])\s*)?(.*?)\s*$/s.exec(text) as RegExpExecArray;
	const allows = sign[1] ? sign[1] === "allow" : sign[2] ? sign[2] === "+" : allow;
	const rest = sign[3] as string;
	if (rest === "standard") return STANDARD.split(", ").flatMap((rule) => parseRule(rule, allows));
	if (rest.startsWith("/")) return [pathRule(rest, allows)];

	const match = /^([abc])(?:\s+(\d+|\*):(\d+|\*))?(?:\s+([rwm]+))?$/.exec(rest);
	if (!match) badRule(text);
	const major = number(match[2], MAX_MAJOR, text);
	const minor = number(match[3], MAX_MINOR, text);
	const access = parseAccess(match[4]);
	const type = match[1] as DeviceRule["type"];
	if (type === "a" && (major !== undefined || minor !== undefined || access !== ALL_ACCESS))
		return (["c", "b"] as const).map((one) => ({ allow: allows, type: one, major, minor, access }));
	if (type !== "a" && match[2] === undefined) badRule(text);
	return [{ allow: allows, type, major, minor, access }];
}

function badRule(text: string): never {
	throw new UsageError(
		`${show(text)}: not a device rule`,
		"a rule is 'c 1:3 rwm', 'b 8:* r', a device's path as in '/dev/null:rw', 'a' for all devices, or 'standard'; 'deny' or '-' in front denies",
	);
}

function number(text: string | undefined, most: number, rule: string): number | undefined {
	if (text === undefined || text === "*") return undefined;
	if (Number(text) > most) throw new UsageError(`${show(rule)}: ${text} is more than a device number can be (${most})`);
	return Number(text);
}

/** Any order, and letters twice, as the kernel takes them. */
function parseAccess(text = "rwm"): number {
	return (text.includes("m") ? MKNOD : 0) | (text.includes("r") ? READ : 0) | (text.includes("w") ? WRITE : 0);
}

function pathRule(text: string, allow: boolean): DeviceRule {
	const colon = /:([rwm]+)$/.exec(text);
	const path = colon ? text.slice(0, colon.index) : text;
	const { mode, rdev } = stat(path);
	const type = (mode & S_IFMT) === S_IFCHR ? "c" : (mode & S_IFMT) === S_IFBLK ? "b" : undefined;
	if (!type) fail(`${show(path)}: not a device`, "a device rule may also be given by numbers: 'c 1:3 rwm'");
	const [major, minor] = rdev.split(":").map(Number);
	return { allow, type, major, minor, access: parseAccess(colon?.[1]) };
}

/** `c 1:3 rwm`, as the devices.* files of v1 have it. */
export function formatDevice({ type, major, minor, access }: DeviceRule): string {
	const letters = (access & READ ? "r" : "") + (access & WRITE ? "w" : "") + (access & MKNOD ? "m" : "");
	return `${type} ${major ?? "*"}:${minor ?? "*"} ${letters}`;
}

/** `allow c 1:3 rwm` */
export function formatRule(rule: DeviceRule): string {
	return `${rule.allow ? "allow" : "deny"} ${formatDevice(rule)}`;
}

export function everything(allow: boolean): DeviceRule {
	return { allow, type: "a", major: undefined, minor: undefined, access: ALL_ACCESS };
}

/** Whether all devices that `inner` names are named by `outer` too, whatever the access. */
export function covers(outer: DeviceRule, inner: DeviceRule): boolean {
	return (
		(outer.type === "a" || outer.type === inner.type) &&
		(outer.major === undefined || outer.major === inner.major) &&
		(outer.minor === undefined || outer.minor === inner.minor)
	);
}

/** Whether there may be an access to a device that both decide. */
export function meet(one: DeviceRule, other: DeviceRule): boolean {
	return (
		(one.access & other.access) !== 0 &&
		one.type === other.type &&
		(one.major === undefined || other.major === undefined || one.major === other.major) &&
		(one.minor === undefined || other.minor === undefined || one.minor === other.minor)
	);
}

/**
 * The list with a rule more, in normal form. The first rule of a list says what it is: one that allows is of a list of all
 * that is allowed, one that denies of a list of all that is forbidden.
 */
export function addRule(list: DeviceRule[], rule: DeviceRule): DeviceRule[] {
	if (rule.type === "a") return [rule];
	const [base, ...older] = list.length > 0 ? (list as [DeviceRule, ...DeviceRule[]]) : [everything(!rule.allow)];
	const added = { ...rule, access: rule.access | joined(older, rule) };
	/* What the new rule decides, the older ones do not any more. */
	const rules = older
		.map((old) => (old.access & added.access && covers(added, old) ? { ...old, access: old.access & ~added.access } : old))
		.filter((old) => old.access !== 0);
	/* A rule that says what the first one says is for nothing, unless one between them says otherwise. */
	const needed: DeviceRule[] = [];
	for (const one of [...rules, added]) {
		const contrary = needed.filter((before) => before.allow !== base.allow && meet(before, one));
		const access = one.allow === base.allow ? contrary.reduce((bits, before) => bits | before.access, 0) & one.access : one.access;
		if (access !== 0) needed.push(access === one.access ? one : { ...one, access });
	}
	const isLonger = needed.length > older.length && older.every((old, i) => old === needed[i]);
	/* Where older rules have changed, others that they stood between may be joined now. */
	return isLonger ? [base, ...needed] : normalise([base, ...needed]);
}

/** The accesses of an older rule for the same device, if nothing changes when they are decided by the new one, after all others. */
function joined(rules: DeviceRule[], rule: DeviceRule): number {
	for (let i = rules.length - 1; i >= 0; i--) {
		const old = rules[i] as DeviceRule;
		if (old.allow !== rule.allow || !covers(old, rule) || !covers(rule, old)) continue;
		return rules.slice(i + 1).some((later) => later.allow !== old.allow && meet(later, old)) ? 0 : old.access;
	}
	return 0;
}

/** Rules in the order in which they are written, in normal form. */
export function normalise(rules: DeviceRule[]): DeviceRule[] {
	return rules.reduce(addRule, [] as DeviceRule[]);
}
