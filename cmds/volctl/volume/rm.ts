import { SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, ToolError, UsageError } from "../../common/errors.ts";
import { unlimitFolder } from "../../common/project-quota.ts";
import { unmountVolume } from "../store/mount.ts";
import { describeUser, usersOf } from "../store/users.ts";
import { checkName, removeVolume, type Volume, volumeIfAny, volumeOf, withVolumes } from "../store/volume.ts";

/** Removes volumes that nobody uses, and prints their names. Each is tried; the last that failed is the error. */
export function rm({ options, operands }: { options: { force?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("rm: no NAME given");
	for (const name of operands) checkName(name);
	const failed: ToolError[] = [];
	for (const name of operands) {
		try {
			if (options.force && !volumeIfAny(name)) continue;
			removeUnused(volumeOf(name));
			print(`${name}\n`);
		} catch (error) {
			if (error instanceof SysError) failed.push(new ToolError(`${name}: ${error.message}`));
			else if (error instanceof ToolError) failed.push(error);
			else throw error;
		}
	}
	if (failed.length === 1) throw failed[0] as ToolError;
	if (failed.length > 1) fail(failed.map(({ message }) => message).join("; "));
}

/** Removes a volume with all that it holds. Fails, and names them, where there are users. */
export function removeUnused(volume: Volume) {
	removeVolume(volume, (takeAway) =>
		withVolumes(() => {
			const users = usersOf(volume.name);
			if (users.length > 0)
				fail(
					`${volume.name}: in use by ${users.map(describeUser).join(", ")}`,
					users.some(({ id }) => !id.startsWith("pid-")) ? "what uses it is to be removed first" : undefined,
				);
			unmountVolume(volume);
			unlimitFolder(volume.data);
			takeAway();
		}),
	);
}
