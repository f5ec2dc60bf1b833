/** What Docker's form of a policy has beyond OCI's: rules for some capabilities, architectures and kernels; moby's profiles/seccomp. */
import type { Machine } from "../../../native/linux/seccomp/default.ts";
import { PolicyError } from "../../../native/linux/seccomp/policy.ts";
import { isObject, listOf } from "./values.ts";

/** What a policy is resolved for. */
export interface Surroundings {
	/** The container's bounding set, by names without CAP_. */
	capabilities: readonly string[];
	machine: Machine;
	/** The kernel's release, as uname -r says it. */
	kernel: string;
}

/** Go's names of architectures. */
const GO = { x86_64: "amd64", aarch64: "arm64" };

interface Conditions {
	caps: string[];
	arches: string[];
	minKernel: [number, number] | undefined;
}

function readConditions(value: unknown, where: string): Conditions | undefined {
	if (value === undefined || value === null) return undefined;
	if (!isObject(value)) throw new PolicyError(`${where}: it is no object`);
	for (const name of Object.keys(value))
		if (!["caps", "arches", "minKernel"].includes(name)) throw new PolicyError(`${where}.${name}: there are caps, arches and minKernel`);
	const { minKernel } = value;
	const version = minKernel === undefined || minKernel === null || minKernel === "" ? undefined : releaseOf(String(minKernel));
	if (version === null) throw new PolicyError(`${where}.minKernel: ${String(minKernel)}: it is no version like 4.8`);
	return { caps: listOf(value.caps, `${where}.caps`), arches: listOf(value.arches, `${where}.arches`), minKernel: version };
}

/** The first two numbers of a kernel's version; null for what is none. */
function releaseOf(text: string): [number, number] | null {
	const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? [];
	return major === undefined ? null : [Number(major), Number(minor)];
}

/**
 * Whether a rule counts. It is excluded by any one of what `excludes` names; `includes` wants all of its capabilities, one of
 * its architectures, and its kernel.
 */
export function applies(rule: Record<string, unknown>, where: string, { capabilities, machine, kernel }: Surroundings): boolean {
	const includes = readConditions(rule.includes, `${where}.includes`);
	const excludes = readConditions(rule.excludes, `${where}.excludes`);
	const has = (capability: string) => capabilities.includes(capability.replace(/^CAP_/, ""));
	const isKernel = ([major, minor]: [number, number]) => {
		const [ours, ourMinor] = releaseOf(kernel) ?? [0, 0];
		return ours > major || (ours === major && ourMinor >= minor);
	};
	const isMachine = (arches: string[]) => arches.includes(GO[machine]);
	if (excludes && (excludes.caps.some(has) || isMachine(excludes.arches))) return false;
	if (excludes?.minKernel && isKernel(excludes.minKernel)) return false;
	if (!includes) return true;
	if (includes.arches.length > 0 && !isMachine(includes.arches)) return false;
	return includes.caps.every(has) && (!includes.minKernel || isKernel(includes.minKernel));
}
