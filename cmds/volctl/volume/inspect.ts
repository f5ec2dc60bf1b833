import { print } from "../../common/command-line/tool.ts";
import { ToolError, UsageError } from "../../common/errors.ts";
import { maskOptions } from "../store/options.ts";
import { allUsers, describeUser, isActive, type User, usersOf } from "../store/users.ts";
import { type Volume, volumeOf } from "../store/volume.ts";
import { template } from "../template.ts";
import { sizeOf } from "./du.ts";

export interface InspectOptions {
	format?: string;
	size?: true;
}

/**
 * Prints what `docker volume inspect` does, in its order, and who uses the volume. What of several is not there is an error
 * after the others have been printed.
 */
export function inspect({ options, operands }: { options: InspectOptions; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("inspect: no NAME given");
	if (operands.includes("")) throw new UsageError("inspect: a NAME is empty");
	const fill = options.format === undefined ? undefined : template(options.format);
	const users = allUsers();
	const found: Record<string, unknown>[] = [];
	let failed: ToolError | undefined;
	for (const name of operands) {
		try {
			found.push(facts(volumeOf(name), users, options.size === true));
		} catch (error) {
			if (!(error instanceof ToolError)) throw error;
			failed = error;
		}
	}
	if (fill) print(found.map((volume) => `${fill(volume)}\n`).join(""));
	else print(`${JSON.stringify(found, null, 4)}\n`);
	if (failed) throw failed;
}

export function facts(volume: Volume, users: User[], withSize: boolean): Record<string, unknown> {
	const using = usersOf(volume.name, users);
	const size = withSize ? sizeOf(volume) : undefined;
	return {
		CreatedAt: volume.createdAt,
		Driver: "local",
		Labels: volume.labels,
		Mountpoint: volume.data,
		Name: volume.name,
		Options: maskOptions(volume.options),
		Scope: "local",
		...(size && { UsageData: { RefCount: using.length, Size: size.used, ...(size.limit !== undefined && { Limit: size.limit }) } }),
		UsedBy: using.map((user) => ({
			Name: user.id,
			Kind: describeUser(user).split(" ")[0],
			Running: isActive(user),
			Mounts: user.mounts
				.filter((mount) => mount.name === volume.name)
				.map(({ target, readonly }) => ({ Destination: target, RW: readonly !== true })),
		})),
	};
}
