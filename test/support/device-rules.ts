/** What the tests of device rules share: random lists, and the plainest way to decide by one. */
import type { DeviceRule } from "../../cmds/cgctl/device/rules.ts";

/** Numbers from 0 to `below` - 1, the same at each run: a linear congruential generator. */
export function seeded(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

/** Rules for few devices, so that they meet. */
export function randomRules(random: (below: number) => number, count: number, majors = [0, 1, 2, 3], minors = [0, 1, 2, 3]): DeviceRule[] {
	const pick = (numbers: number[]) => (random(3) === 0 ? undefined : numbers[random(numbers.length)]);
	return Array.from({ length: count }, () => ({
		allow: random(2) === 1,
		type: random(4) === 0 ? "b" : "c",
		major: pick(majors),
		minor: pick(minors),
		access: 1 + random(7),
	}));
}

/** Each access is decided by the last rule that names it; the first rule of the list names all. */
export function decides(rules: DeviceRule[], type: "b" | "c", major: number, minor: number, access: number): boolean {
	return [1, 2, 4].every((bit) => {
		if ((access & bit) === 0) return true;
		const naming = rules.filter(
			(rule) =>
				(rule.type === "a" || rule.type === type) &&
				(rule.major ?? major) === major &&
				(rule.minor ?? minor) === minor &&
				(rule.access & bit) !== 0,
		);
		return naming[naming.length - 1]?.allow === true;
	});
}
