import { fail } from "../../common/errors.ts";
import { add, type Facts, max, minusOne, type Plan, size, v1Limit, v2Limit, version } from "./step.ts";
import { DOUBLE, type Limits } from "./table.ts";

/** Memory, swap and huge pages. Sources: Documentation/admin-guide/cgroup-v1/memory.rst and hugetlb.rst, cgroup-v2.rst. */
export function memory(limits: Limits, facts: Facts, steps: Plan) {
	const { memory: ram, memorySwapMax: swap } = limits;
	let { memorySwap: total } = limits;
	const ramOption = `--memory ${size(ram ?? 0)}`;
	const totalOption = total === DOUBLE ? "--memory-swap double" : `--memory-swap ${size(total ?? 0)}`;
	const swapOption = `--memory-swap-max ${size(swap ?? 0)}`;
	const v = version(facts, "memory", ram !== undefined ? ramOption : total !== undefined ? totalOption : swapOption);
	if (total === DOUBLE) {
		total = 2 * (ram as number);
		/* docker says so and goes on, where the kernel does not count swap. */
		if (facts.read("memory", v === 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes") === undefined) {
			total = undefined;
			steps.notes.push("memory is limited without swap: this kernel does not limit swap");
		}
	}
	if (v === 2) {
		if (ram !== undefined) add(steps, "memory", "memory.max", max(ram), ramOption);
		if (swap !== undefined) add(steps, "memory", "memory.swap.max", max(swap), swapOption);
		if (total === undefined) return;
		const beside = ram ?? v2Limit(facts.read("memory", "memory.max"));
		if (total !== Infinity && beside === Infinity)
			fail(
				`${totalOption}: cgroup v2 limits swap by itself, so this needs a limit of memory too`,
				"give --memory as well, or --memory-swap-max",
			);
		if (total < beside && beside !== Infinity)
			fail(`${totalOption}: less than the limit of memory, ${size(beside)}`, "it is the limit of both together; lower --memory too");
		/* runc's rule: the total in v1's words, less the memory, is swap's part. */
		add(steps, "memory", "memory.swap.max", total === Infinity ? "max" : String(total - beside), totalOption);
		return;
	}
	if (swap !== undefined) {
		const beside = ram ?? v1Limit(facts.read("memory", "memory.limit_in_bytes"));
		if (beside === Infinity && swap !== Infinity)
			fail(`${swapOption}: cgroup v1 limits memory and swap together, so this needs a limit of memory too`, "give --memory as well");
		total = beside + swap;
	}
	const now = {
		ram: v1Limit(facts.read("memory", "memory.limit_in_bytes")),
		total: v1Limit(facts.read("memory", "memory.memsw.limit_in_bytes")),
	};
	if (ram !== undefined && total === undefined && ram > now.total)
		fail(`${ramOption}: more than the limit of memory and swap together, ${size(now.total)}`, "give --memory-swap as well");
	if (total !== undefined && ram === undefined && total < now.ram)
		fail(`${totalOption}: less than the limit of memory, ${size(now.ram)}`, "it is the limit of both together; lower --memory too");
	const writeRam = () => ram !== undefined && add(steps, "memory", "memory.limit_in_bytes", minusOne(ram), ramOption);
	const writeTotal = () => total !== undefined && add(steps, "memory", "memory.memsw.limit_in_bytes", minusOne(total), totalOption);
	/* v1 wants memory <= memory and swap at each step: what is raised goes first at the top, what is lowered at the bottom. */
	if (total !== undefined && total > now.total) {
		writeTotal();
		writeRam();
	} else {
		writeRam();
		writeTotal();
	}
}

/** Protection of memory. "None" is -1 in v1, where it is a limit, and 0 in v2. */
export function reservation(limits: Limits, facts: Facts, steps: Plan) {
	const value = limits.memoryReservation as number;
	const option = `--memory-reservation ${size(value)}`;
	if (version(facts, "memory", option) === 1)
		add(steps, "memory", "memory.soft_limit_in_bytes", value === 0 ? "-1" : minusOne(value), option);
	else add(steps, "memory", "memory.low", max(value), option);
}

export function hugetlb(limits: Limits, facts: Facts, steps: Plan) {
	for (const [page, limit] of limits.hugetlb ?? []) {
		const option = `--hugetlb ${page}=${size(limit)}`;
		if (version(facts, "hugetlb", option) === 1) add(steps, "hugetlb", `hugetlb.${page}.limit_in_bytes`, minusOne(limit), option);
		else add(steps, "hugetlb", `hugetlb.${page}.max`, max(limit), option);
		/* What is reserved by mmap(2) and not used yet; Linux 5.7. */
		const reserved = `hugetlb.${page}.rsvd.${facts.version("hugetlb") === 1 ? "limit_in_bytes" : "max"}`;
		if (facts.read("hugetlb", reserved) !== undefined)
			add(steps, "hugetlb", reserved, facts.version("hugetlb") === 1 ? minusOne(limit) : max(limit), option);
	}
}
