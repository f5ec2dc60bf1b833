import { UsageError } from "../common/errors.ts";
import { setKey } from "./apply.ts";
import { subtree } from "./files.ts";
import { currentLimits } from "./get.ts";
import { type Limits, parseKeyValue } from "./limits.ts";
import { hasLimits, type OpenOptions, readGroup } from "./line.ts";
import { whileOpen } from "./open.ts";
import { existingGroup } from "./path.ts";
import { readResources } from "./resources.ts";

interface SetOptions extends OpenOptions {
	copyFrom?: string;
	resources?: string;
	recursive?: true;
}

/** Changes a cgroup's limits, and its kernel files by their names. */
export function set(line: { options: SetOptions; operands: string[] }) {
	const { options, operands } = line;
	const [path, ...pairs] = operands;
	if (path === undefined) throw new UsageError("set: no PATH given");
	const keys = pairs.map(parseKeyValue);
	const { group, limits: given } = readGroup(path, options);
	existingGroup(path, options, group.layout);
	const copied: Limits = options.copyFrom === undefined ? {} : currentLimits(existingGroup(options.copyFrom, options, group.layout));
	const resources: Limits = options.resources === undefined ? {} : readResources(options.resources);
	const limits: Limits = { ...copied, ...resources, ...given };
	if (!hasLimits(limits) && keys.length === 0 && options.copyFrom === undefined) throw new UsageError("set: no limit given");
	/* From the outside in: on v1 a child cannot have more than its parent has. */
	for (const each of options.recursive ? subtree(group).reverse() : [group])
		whileOpen(each, options, limits, { verbose: true, grow: false }, () => {
			for (const [key, value] of keys) setKey(each, key, value);
		});
}
