/** The members of a policy's JSON, checked. */
import { PolicyError } from "../../../native/linux/seccomp/policy.ts";

export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A list of texts; an absent one is empty. */
export function listOf(value: unknown, where: string): string[] {
	if (value === undefined || value === null) return [];
	if (!Array.isArray(value) || value.some((entry) => typeof entry !== "string")) throw new PolicyError(`${where}: it is no list of texts`);
	return value as string[];
}

/** A list of objects; an absent one is empty. */
export function objectsOf(value: unknown, where: string): Record<string, unknown>[] {
	if (value === undefined || value === null) return [];
	if (!Array.isArray(value)) throw new PolicyError(`${where}: it is no list`);
	return value.map((entry, i) => {
		if (!isObject(entry)) throw new PolicyError(`${where}[${i}]: it is no object`);
		return entry;
	});
}

/** Throws for a member that nobody reads: a word that is written wrong would weaken a policy silently. */
export function checkMembers(object: Record<string, unknown>, known: string, where: string) {
	const names = known.split(" ");
	for (const name of Object.keys(object)) if (!names.includes(name)) throw new PolicyError(`${where}${name}: there is no such member`);
}

/** A whole number from 0 to `most`. */
export function numberOf(value: unknown, most: number, where: string): number {
	if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
		throw new PolicyError(`${where}: it is no number from 0 to ${most}`);
	return value;
}
