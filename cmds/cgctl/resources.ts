/** `set --resources FILE`: the limits of an OCI runtime specification's `linux.resources`, as `runc update -r` takes them. */
import * as host from "#host";
import { readAll, readFile } from "../../native/linux/fd.ts";
import { notA } from "../common/command-line/options.ts";
import { fail } from "../common/errors.ts";
import { checkKey, type IoMax, type Limits, pageSizeName, type Rate } from "./limits.ts";

interface Throttle {
	major: number;
	minor: number;
	rate: number;
}

/** config-linux.md of the specification, the parts that cgroups carry out. */
interface Resources {
	memory?: { limit?: number; reservation?: number; swap?: number; swappiness?: number };
	cpu?: { shares?: number; quota?: number; period?: number; burst?: number; cpus?: string; mems?: string; idle?: number };
	pids?: { limit?: number };
	blockIO?: {
		weight?: number;
		throttleReadBpsDevice?: Throttle[];
		throttleWriteBpsDevice?: Throttle[];
		throttleReadIOPSDevice?: Throttle[];
		throttleWriteIOPSDevice?: Throttle[];
	};
	hugepageLimits?: { pageSize: string; limit: number }[];
	devices?: { allow: boolean; type?: string; major?: number; minor?: number; access?: string }[];
	unified?: Record<string, string>;
}

/** Reads the file, or standard input for `-`. */
export function readResources(path: string): Limits {
	if (path === "") notA("--resources", path, "a file");
	const text = path === "-" ? host.decode(readAll(0)) : readFile(path);
	let resources: Resources;
	try {
		resources = JSON.parse(text) as Resources;
	} catch {
		return fail(`${path}: not JSON`);
	}
	if (typeof resources !== "object" || resources === null) fail(`${path}: not a JSON object`);
	return limitsOf(resources);
}

/** In the specification -1 is no limit, and 0 most often "not given". */
export function limitsOf({ memory, cpu, pids, blockIO, hugepageLimits, devices, unified }: Resources): Limits {
	const limits: Limits = {};
	const size = (value: number | undefined) => (value === undefined || value === 0 ? undefined : value < 0 ? Infinity : value);
	const give = <K extends keyof Limits>(key: K, value: Limits[K] | undefined) => {
		if (value !== undefined) limits[key] = value;
	};
	give("memory", size(memory?.limit));
	give("memorySwap", size(memory?.swap));
	give("memoryReservation", size(memory?.reservation));
	give("memorySwappiness", memory?.swappiness);
	give("cpuShares", cpu?.shares || undefined);
	give("cpuQuota", size(cpu?.quota));
	give("cpuPeriod", cpu?.period || undefined);
	give("cpuBurst", cpu?.burst);
	give("cpusetCpus", cpu?.cpus || undefined);
	give("cpusetMems", cpu?.mems || undefined);
	give("cpuIdle", cpu?.idle === undefined ? undefined : cpu.idle === 1);
	give("pids", size(pids?.limit));
	give("blkioWeight", blockIO?.weight || undefined);
	const disks = new Map<string, IoMax>();
	const throttle = (rate: Rate, list: Throttle[] = []) => {
		for (const { major, minor, rate: value } of list) {
			const device = `${major}:${minor}`;
			const disk = disks.get(device) ?? { device, rates: {} };
			disk.rates[rate] = value === 0 ? Infinity : value;
			disks.set(device, disk);
		}
	};
	throttle("rbps", blockIO?.throttleReadBpsDevice);
	throttle("wbps", blockIO?.throttleWriteBpsDevice);
	throttle("riops", blockIO?.throttleReadIOPSDevice);
	throttle("wiops", blockIO?.throttleWriteIOPSDevice);
	if (disks.size > 0) limits.ioMax = [...disks.values()];
	if (hugepageLimits) limits.hugetlb = hugepageLimits.map(({ pageSize, limit }) => [pageSizeName(pageSize) ?? pageSize, limit]);
	if (devices) limits.devices = devices.map(deviceRule);
	if (unified) limits.set = Object.entries(unified).map(([key, value]) => [checkKey(key), value]);
	return limits;
}

function deviceRule({ allow, type = "a", major = -1, minor = -1, access = "rwm" }: NonNullable<Resources["devices"]>[number]): string {
	const number = (value: number) => (value < 0 ? "*" : String(value));
	return `${allow ? "allow" : "deny"} ${type} ${number(major)}:${number(minor)} ${access}`;
}
