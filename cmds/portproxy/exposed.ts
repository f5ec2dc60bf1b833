/** The ports that an image says its program listens at: `publish --all`. */
import { fail } from "../common/errors.ts";
import type { Target } from "../common/record.ts";

/** Each as a spec, `80/tcp`. They are in the record as the image's configuration has them: an object or a list. */
export function exposedPorts({ record, pid }: Target): string[] {
	const members = [
		record?.exposed,
		memberOf(record?.image, "ExposedPorts"),
		memberOf(record?.config, "ExposedPorts"),
		record?.ExposedPorts,
	];
	const found = members.find((member) => typeof member === "object" && member !== null);
	if (found === undefined)
		return fail(`${record?.id ?? pid}: --all: its record has no exposed ports`, "the image names them (EXPOSE); or give the ports");
	const list = Array.isArray(found) ? found : Object.keys(found);
	return list.map((entry) =>
		typeof entry === "string" && /^\d+(-\d+)?(\/\w+)?$/.test(entry) ? entry : fail("--all: an exposed port that is none"),
	);
}

function memberOf(value: unknown, member: string): unknown {
	if (typeof value !== "object" || value === null) return undefined;
	const inner = value as Record<string, unknown>;
	return inner[member] ?? (inner.config as Record<string, unknown> | undefined)?.[member];
}
