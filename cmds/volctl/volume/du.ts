import { diskUsage, fileSystemSpace } from "../../../native/linux/disk-usage.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { folderQuota } from "../../common/project-quota.ts";
import { json, table } from "../../common/table.ts";
import { formatSize } from "../../common/units.ts";
import { hasImage } from "../store/image.ts";
import { isMounted } from "../store/mount.ts";
import { allUsers, describeUser, usersOf } from "../store/users.ts";
import { allVolumes, type Volume, volumeOf } from "../store/volume.ts";

/** Shows how much volumes hold, of how much they may, and who uses them. */
export function du({ options, operands }: { options: { json?: true; bytes?: true }; operands: string[] }) {
	if (operands.includes("")) throw new UsageError("du: a NAME is empty");
	const users = allUsers();
	const volumes = operands.length > 0 ? operands.map(volumeOf) : allVolumes();
	const rows = volumes.map((volume) => ({ volume, size: sizeOf(volume), users: usersOf(volume.name, users).map(describeUser) }));
	if (options.json)
		return print(json(rows.map(({ volume, size, users }) => ({ name: volume.name, used: size.used, limit: size.limit ?? null, users }))));
	const show = (bytes: number | undefined) => (bytes === undefined ? undefined : options.bytes ? bytes : formatSize(bytes));
	print(
		table(rows, [
			{ header: "VOLUME NAME", value: ({ volume }) => volume.name },
			{ header: "SIZE", value: ({ size }) => show(size.used), right: true },
			{ header: "LIMIT", value: ({ size }) => show(size.limit), right: true },
			{ header: "USED BY", value: ({ users }) => users.join(", ") },
		]),
	);
}

/** Bytes; without a limit where there is none. What is not mounted now counts as nothing, but for an image, which counts as it is stored. */
export function sizeOf(volume: Volume): { used: number; limit?: number } {
	const fd = open(volume.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		if (volume.options.size !== undefined && isMounted(volume)) {
			const { size, used } = fileSystemSpace(fd);
			return { used, limit: size };
		}
		if (hasImage(volume.folder)) return { used: 0, limit: Number(volume.options.size) };
		const quota = volume.options.size === undefined ? undefined : folderQuota(volume.data);
		return quota && quota.limit > 0 ? { used: quota.used, limit: quota.limit } : { used: diskUsage(fd) };
	} finally {
		close(fd);
	}
}
