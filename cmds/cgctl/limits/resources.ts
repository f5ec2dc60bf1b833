/**
 * `set --resources FILE`: the limits of an OCI runtime specification's `linux.resources` (config-linux.md), as
 * `runc update -r` takes them.
 *
 * A member of a wrong type is an error that names it; one that nothing here can express is named on standard error.
 */

import { readAll, readFile } from "../../../native/linux/fd.ts";
import { decode } from "../../../native/linux/text.ts";
import { camel, notA } from "../../common/command-line/options.ts";
import { fail, show } from "../../common/errors.ts";
import { checkKey, pageSizeName } from "./read.ts";
import { type IoMax, type LimitRow, type Limits, limitOptions, type Rate } from "./table.ts";

export interface Resources {
	limits: Limits;
	/** What only one version or kernel has a file for. */
	extra: { key: string; value: string; member: string }[];
	/** What is not carried out, and why. */
	lost: string[];
}

/** Reads the file, or standard input for `-`. */
export function readResources(path: string): Resources {
	if (path === "") notA("--resources", path, "a file");
	const text = path === "-" ? decode(readAll(0)) : readFile(path);
	let resources: unknown;
	try {
		resources = JSON.parse(text);
	} catch {
		return fail(`${show(path)}: not JSON`);
	}
	return resourcesOf(resources);
}

type Members = Record<string, unknown>;

/** null is as good as absent. */
function isAbsent(value: unknown): value is undefined | null {
	return value === undefined || value === null;
}

function wrong(member: string, value: unknown, noun: string): never {
	const text = JSON.stringify(value) ?? "";
	return fail(`resources: ${show(member)}: ${text.length > 40 ? `${text.slice(0, 40)}...` : text} is not ${noun}`);
}

function members(value: unknown, member: string): Members {
	if (isAbsent(value)) return {};
	return typeof value === "object" && !Array.isArray(value) ? (value as Members) : wrong(member, value, "an object");
}

function list(value: unknown, member: string): Members[] {
	if (isAbsent(value)) return [];
	if (!Array.isArray(value)) return wrong(member, value, "a list");
	return value.map((each, i) => (isAbsent(each) ? wrong(`${member}[${i}]`, each, "an object") : members(each, `${member}[${i}]`)));
}

function integer(value: unknown, member: string): number | undefined {
	if (isAbsent(value)) return undefined;
	return Number.isInteger(value) ? (value as number) : wrong(member, value, "a whole number");
}

function string(value: unknown, member: string): string | undefined {
	if (isAbsent(value)) return undefined;
	return typeof value === "string" ? value : wrong(member, value, "a string");
}

function truth(value: unknown, member: string): boolean | undefined {
	if (isAbsent(value)) return undefined;
	return typeof value === "boolean" ? value : wrong(member, value, "true or false");
}

function needed<T>(value: T | undefined, member: string): T {
	return value === undefined ? fail(`resources: ${member}: is not given`) : value;
}

/** In the specification -1 is no limit, and 0 most often "not given". */
function limitOf(row: LimitRow, given: unknown, member: string): unknown {
	if (row.type === "list") return string(given, member) || undefined;
	const value = integer(given, member);
	if (value === undefined) return undefined;
	if (row.type === "flag") return value === 1;
	if (row.long === "memory-reservation" && value < 0) return 0;
	if (value < 0 && row.none === Infinity) return Infinity;
	if (value === 0 && row.long !== "memory-swappiness" && row.long !== "cpu-burst") return undefined;
	const [least, most] = row.range ?? [0, Number.MAX_SAFE_INTEGER];
	/* The kernel itself takes any number of shares, and cuts it. */
	if (row.long === "cpu-shares") return Math.min(most, Math.max(least, value));
	return value >= least && value <= most ? value : wrong(member, value, `from ${least} to ${most}`);
}

/** The members that are known, by the object that they are in; the others are named as lost. */
const KNOWN: Record<string, string> = {
	"": "memory cpu pids blockIO hugepageLimits devices unified network rdma",
	memory: "limit reservation swap swappiness kernel kernelTCP disableOOMKiller useHierarchy checkBeforeUpdate",
	cpu: "shares quota period burst cpus mems idle realtimeRuntime realtimePeriod",
	pids: "limit",
	blockIO: "weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice throttleReadIOPSDevice throttleWriteIOPSDevice",
	network: "classID priorities",
};

/** Reads `linux.resources`. Throws ToolError with the member that is wrong. */
export function resourcesOf(given: unknown): Resources {
	if (typeof given !== "object" || given === null || Array.isArray(given)) fail("resources: not a JSON object");
	const all = given as Members;
	const found: Resources = { limits: {}, extra: [], lost: [] };
	for (const [name, known] of Object.entries(KNOWN))
		for (const member of Object.keys(name === "" ? all : members(all[name], name)))
			if (!known.split(" ").includes(member))
				found.lost.push(`resources: ${show(name === "" ? member : `${name}.${member}`)}: not known, and not applied`);
	for (const row of limitOptions as readonly LimitRow[]) {
		if (row.oci === undefined) continue;
		const [part = "", member = ""] = row.oci.split(".");
		const value = limitOf(row, members(all[part], part)[member], row.oci);
		if (value !== undefined) (found.limits as Members)[camel(row.long)] = value;
	}
	blockIo(members(all.blockIO, "blockIO"), found);
	const pages = list(all.hugepageLimits, "hugepageLimits").map(({ pageSize, limit }, i): [string, number] => {
		const member = `hugepageLimits[${i}]`;
		const size = needed(string(pageSize, `${member}.pageSize`), `${member}.pageSize`);
		const value = needed(integer(limit, `${member}.limit`), `${member}.limit`);
		return [pageSizeName(size) ?? wrong(`${member}.pageSize`, size, "a page size"), value < 0 ? Infinity : value];
	});
	if (pages.length > 0) found.limits.hugetlb = pages;
	if (!isAbsent(all.devices)) found.limits.device = list(all.devices, "devices").map(deviceRule);
	versionsOwn(all, found);
	for (const [key, value] of Object.entries(members(all.unified, "unified")))
		extra(found, checkKey(key), string(value, `unified.${key}`), `unified.${key}`);
	return found;
}

function extra(found: Resources, key: string, value: string | number | undefined, member: string) {
	if (value !== undefined) found.extra.push({ key, value: String(value), member: `resources: ${show(member)}` });
}

/** What v1 alone has files for, or some kernels only. */
function versionsOwn(all: Members, found: Resources) {
	const memory = members(all.memory, "memory");
	const kernel = integer(memory.kernel, "memory.kernel");
	if (kernel !== undefined && kernel > 0)
		found.lost.push("resources: memory.kernel: not applied: the kernel's memory counts within memory.limit, and is limited by that");
	const tcp = integer(memory.kernelTCP, "memory.kernelTCP");
	if (tcp !== undefined && tcp > 0) extra(found, "memory.kmem.tcp.limit_in_bytes", tcp, "memory.kernelTCP");
	if (truth(memory.disableOOMKiller, "memory.disableOOMKiller")) extra(found, "memory.oom_control", 1, "memory.disableOOMKiller");
	const cpu = members(all.cpu, "cpu");
	for (const [member, key] of [
		["realtimePeriod", "cpu.rt_period_us"],
		["realtimeRuntime", "cpu.rt_runtime_us"],
	] as const)
		extra(found, key, integer(cpu[member], `cpu.${member}`) || undefined, `cpu.${member}`);
	const network = members(all.network, "network");
	extra(found, "net_cls.classid", integer(network.classID, "network.classID") || undefined, "network.classID");
	list(network.priorities, "network.priorities").forEach(({ name, priority }, i) => {
		const member = `network.priorities[${i}]`;
		const device = needed(string(name, `${member}.name`), `${member}.name`);
		extra(found, "net_prio.ifpriomap", `${device} ${needed(integer(priority, `${member}.priority`), `${member}.priority`)}`, member);
	});
	for (const [device, limits] of Object.entries(members(all.rdma, "rdma"))) {
		const member = `rdma.${device}`;
		const { hcaHandles, hcaObjects } = members(limits, member);
		const handles = integer(hcaHandles, `${member}.hcaHandles`) ?? "max";
		const objects = integer(hcaObjects, `${member}.hcaObjects`) ?? "max";
		extra(found, "rdma.max", `${device} hca_handle=${handles} hca_object=${objects}`, member);
	}
}

function blockIo(io: Members, found: Resources) {
	const disks = new Map<string, IoMax>();
	const deviceOf = ({ major, minor }: Members, member: string) =>
		`${needed(integer(major, `${member}.major`), `${member}.major`)}:${needed(integer(minor, `${member}.minor`), `${member}.minor`)}`;
	const throttle = (rate: Rate, name: string) =>
		list(io[name], `blockIO.${name}`).forEach((each, i) => {
			const member = `blockIO.${name}[${i}]`;
			const device = deviceOf(each, member);
			const value = needed(integer(each.rate, `${member}.rate`), `${member}.rate`);
			const disk = disks.get(device) ?? { device, rates: {} };
			disk.rates[rate] = value <= 0 ? Infinity : value;
			disks.set(device, disk);
		});
	throttle("rbps", "throttleReadBpsDevice");
	throttle("wbps", "throttleWriteBpsDevice");
	throttle("riops", "throttleReadIOPSDevice");
	throttle("wiops", "throttleWriteIOPSDevice");
	if (disks.size > 0) found.limits.ioMax = [...disks.values()];
	/* Of CFQ, which Linux 5.0 took away: the share of a cgroup's own processes beside those below it. */
	extra(found, "blkio.leaf_weight", integer(io.leafWeight, "blockIO.leafWeight") || undefined, "blockIO.leafWeight");
	list(io.weightDevice, "blockIO.weightDevice").forEach((each, i) => {
		const member = `blockIO.weightDevice[${i}]`;
		const device = deviceOf(each, member);
		const weight = integer(each.weight, `${member}.weight`);
		if (weight) {
			if (weight < 10 || weight > 1000) wrong(`${member}.weight`, weight, "from 10 to 1000");
			found.limits.blkioWeightDevice = [...(found.limits.blkioWeightDevice ?? []), { device, weight }];
		}
		const leaf = integer(each.leafWeight, `${member}.leafWeight`);
		if (leaf) extra(found, "blkio.leaf_weight_device", `${device} ${leaf}`, `${member}.leafWeight`);
	});
}

function deviceRule({ allow, type, major, minor, access }: Members, i: number): string {
	const member = `devices[${i}]`;
	const number = (value: unknown, name: string) => {
		const n = integer(value, `${member}.${name}`) ?? -1;
		return n < 0 ? "*" : String(n);
	};
	const kind = string(type, `${member}.type`) || "a";
	if (!/^[abcpu]$/.test(kind)) wrong(`${member}.type`, kind, "a, b or c");
	const letters = string(access, `${member}.access`) || "rwm";
	if (!/^[rwm]+$/.test(letters)) wrong(`${member}.access`, letters, "letters of rwm");
	const allowed = needed(truth(allow, `${member}.allow`), `${member}.allow`);
	return `${allowed ? "allow" : "deny"} ${kind === "u" ? "c" : kind} ${number(major, "major")}:${number(minor, "minor")} ${letters}`;
}
