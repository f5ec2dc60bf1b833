/** Disks. Sources: Documentation/admin-guide/cgroup-v1/blkio-controller.rst, cgroup-v2.rst. */

import { camel } from "../../common/command-line/options.ts";
import { fail } from "../../common/errors.ts";
import { add, type Facts, max, type Plan, version } from "./step.ts";
import type { Limits, Rate } from "./table.ts";
import { blkioToIoWeight, ioToBfqWeight, ioToBlkioWeight } from "./weights.ts";

/** The file of weights that there is, which depends on the kernel and the scheduler: CFQ or BFQ on v1, BFQ or the cost model on v2. */
function weightFile(v: 1 | 2, facts: Facts, option: string, files: [string, string, string, string]): string {
	const there = (v === 1 ? files.slice(0, 2) : files.slice(2)).find((file) => facts.read("io", file) !== undefined);
	return (
		there ??
		fail(
			`${option}: this kernel shares disks by no weight`,
			v === 1
				? "the BFQ scheduler would (CONFIG_BFQ_GROUP_IOSCHED; modprobe bfq); --io-max limits the rate instead"
				: "the cost model (CONFIG_BLK_CGROUP_IOCOST) or the BFQ scheduler (modprobe bfq) would; --io-max limits the rate instead",
		)
	);
}

/** A weight in io's or in blkio's words as the file takes it. */
function weightIn(file: string, io: number | undefined, blkio: number | undefined): number {
	if (file === "io.weight") return io ?? blkioToIoWeight(blkio as number);
	if (file.includes("bfq")) return blkio ?? ioToBfqWeight(io as number);
	return blkio ?? ioToBlkioWeight(io as number);
}

export function ioWeight(limits: Limits, facts: Facts, steps: Plan) {
	const { ioWeight: io, blkioWeight: blkio } = limits;
	const option = io !== undefined ? `--io-weight ${io}` : `--blkio-weight ${blkio}`;
	const v = version(facts, "io", option);
	const file = weightFile(v, facts, option, ["blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"]);
	const value = weightIn(file, io, blkio);
	add(steps, "io", file, String(value), option);
	if (value !== (io ?? blkio)) steps.notes.push(`${file} ${value}: ${option}`);
}

/** The weight of one disk; without one of its own ("default") it has the cgroup's. */
export function ioDeviceWeight(limits: Limits, facts: Facts, steps: Plan) {
	for (const name of ["io-weight-device", "blkio-weight-device"] as const)
		for (const { device, weight } of limits[camel(name) as "ioWeightDevice" | "blkioWeightDevice"] ?? []) {
			const option = `--${name} ${device}:${weight}`;
			const v = version(facts, "io", option);
			const file = weightFile(v, facts, option, ["blkio.weight_device", "blkio.bfq.weight_device", "io.bfq.weight", "io.weight"]);
			const value = name === "io-weight-device" ? weightIn(file, weight, undefined) : weightIn(file, undefined, weight);
			add(steps, "io", file, `${facts.device(device)} ${value}`, option);
			if (value !== weight) steps.notes.push(`${file} ${facts.device(device)} ${value}: ${option}`);
		}
}

export function ioMax(limits: Limits, facts: Facts, steps: Plan) {
	for (const { device, rates } of limits.ioMax ?? []) {
		const option = `--io-max ${device}`;
		const v = version(facts, "io", option);
		const number = facts.device(device);
		const names = Object.keys(rates) as Rate[];
		if (v === 2) {
			add(steps, "io", "io.max", [number, ...names.map((name) => `${name}=${max(rates[name] as number)}`)].join(" "), option);
			continue;
		}
		const files: Record<Rate, string> = { rbps: "read_bps", wbps: "write_bps", riops: "read_iops", wiops: "write_iops" };
		/* v1 takes 0 for "no limit". */
		for (const name of names)
			add(steps, "io", `blkio.throttle.${files[name]}_device`, `${number} ${rates[name] === Infinity ? 0 : rates[name]}`, option);
	}
}
