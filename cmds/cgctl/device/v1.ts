/**
 * Device rules of cgroup v1: Documentation/admin-guide/cgroup-v1/devices.rst.
 *
 * The kernel keeps a default, allow or deny, and a list of exceptions from it, and takes changes one by one through
 * devices.allow and devices.deny. It shows the exceptions when the default is deny; when it is allow, it shows `a *:* rwm`
 * whatever is forbidden. A child may have what its parent has, at most.
 */
import { EINVAL, EPERM } from "../../../native/linux/errno.ts";
import { close, O_WRONLY, open, readFile, writeKernelFile, write as writeText } from "../../../native/linux/fd.ts";
import { exists } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { addRule, covers, type DeviceRule, everything, formatDevice, formatRule, meet, normalise, parseRule } from "./rules.ts";

/** The rules of the cgroup in a folder of v1's devices hierarchy; without those that forbid something where all else is allowed. */
export function readRulesV1(folder: string): DeviceRule[] {
	/* A new cgroup has its parent's rules. */
	if (isDryRun() && !exists(folder)) return readRulesV1(parentOf(folder));
	const lines = readFile(`${folder}/devices.list`).split("\n");
	if (lines[0] === "a *:* rwm") return [everything(true)];
	return [everything(false), ...lines.filter((line) => line !== "").flatMap((line) => parseRule(line))];
}

/**
 * Gives the cgroup these rules (in normal form) in place of those that it has: `now`. Rules that someone adds meanwhile
 * are not touched.
 */
export function setRulesV1(folder: string, rules: DeviceRule[], now = readRulesV1(folder)) {
	const wanted = exceptions(folder, rules);
	const isAllowed = (rules[0] as DeviceRule).allow;
	if (isAllowed) {
		/* What is forbidden now cannot be seen, so it is allowed first. */
		write(folder, true, everything(true));
		for (const rule of wanted) write(folder, false, rule);
		return;
	}
	/* A whitelist that is changed is never without what stays in it. */
	if (now[0]?.allow) write(folder, false, everything(false));
	const present = now.slice(1);
	const missing = wanted.flatMap((rule) => {
		const access = rule.access & ~(present.find((old) => isSameDevice(old, rule))?.access ?? 0);
		return access ? [{ ...rule, access }] : [];
	});
	writeAll(folder, true, missing);
	for (const old of present) {
		const surplus = old.access & ~(wanted.find((rule) => isSameDevice(old, rule))?.access ?? 0);
		if (surplus) write(folder, false, { ...old, access: surplus });
	}
}

/** Adds rules to those that the cgroup has, in their order. */
export function addRulesV1(folder: string, rules: DeviceRule[]) {
	for (const rule of rules) {
		const now = readRulesV1(folder);
		/* Where all is allowed but for what we cannot see, the kernel must do the sum. */
		if (rule.type === "a" || now[0]?.allow) write(folder, rule.allow, rule);
		else setRulesV1(folder, addRule(now, rule), now);
	}
}

/** Takes all rules of its own from the cgroup: it has its parent's then. */
export function clearRulesV1(folder: string) {
	const parent = readRulesV1(parentOf(folder));
	setRulesV1(folder, normalise(parent));
}

/**
 * What is excepted from the first rule of a list. Fails where there is an exception from an exception: v1 cannot say it.
 * Since v1 asks for one entry that has all of the accesses, rw, each has those of the wider ones too.
 */
function exceptions(folder: string, rules: DeviceRule[]): DeviceRule[] {
	const [base, ...others] = rules as [DeviceRule, ...DeviceRule[]];
	const wrong = others.find((rule) => rule.allow === base.allow);
	if (wrong) {
		const wider = others.find((rule) => rule.allow !== base.allow && meet(rule, wrong)) as DeviceRule;
		fail(
			`${show(folder)}: cgroup v1 cannot ${formatRule(wrong)} and ${formatRule(wider)} in all else`,
			`${base.allow ? "allow" : "deny"} '${formatDevice(wider)}' as a whole, and then ${base.allow ? "deny" : "allow"} one by one what it is for`,
		);
	}
	return others.map((rule) => ({
		...rule,
		access: others.filter((wider) => covers(wider, rule)).reduce((access, wider) => access | wider.access, rule.access),
	}));
}

function isSameDevice(one: DeviceRule, other: DeviceRule): boolean {
	return covers(one, other) && covers(other, one);
}

function parentOf(folder: string): string {
	return folder.replace(/\/+[^/]+\/*$/, "");
}

function write(folder: string, allow: boolean, rule: DeviceRule) {
	writeAll(folder, allow, [rule]);
}

/** One write(2) a rule, as the kernel takes them, through one descriptor. */
function writeAll(folder: string, allow: boolean, rules: DeviceRule[]) {
	const path = `${folder}/devices.${allow ? "allow" : "deny"}`;
	const text = (rule: DeviceRule) => (rule.type === "a" ? "a" : formatDevice(rule));
	if (isDryRun() || rules.length === 0) {
		for (const rule of rules) writeKernelFile(path, text(rule));
		return;
	}
	const fd = open(path, O_WRONLY);
	try {
		for (const rule of rules) {
			try {
				writeText(fd, text(rule));
			} catch (error) {
				if (!(error instanceof SysError)) throw error;
				explain(folder, allow, rule, error.errno);
				throw new SysError(error.call, error.errno, path);
			}
		}
	} finally {
		close(fd);
	}
}

function explain(folder: string, allow: boolean, rule: DeviceRule, errno: number) {
	const what = `${show(folder)}: ${formatRule({ ...rule, allow })}`;
	if (errno === EINVAL && rule.type === "a")
		fail(
			`${what}: Invalid argument`,
			"v1 changes between 'all but' and 'nothing but' only where a cgroup has no children: do it before they are made",
		);
	if (errno !== EPERM || !allow) return;
	const parent = parentOf(folder);
	if (exists(`${parent}/devices.list`))
		fail(
			`${what}: Operation not permitted`,
			`on v1 a cgroup can have no device that its parent does not have: see ${show(parent)}/devices.list; it also takes CAP_SYS_ADMIN`,
		);
}
