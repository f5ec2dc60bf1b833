import { releaseLapsed } from "../attach/leave.ts";
/** rename, update, exists, gc. */

import { exit } from "../../../native/linux/process.ts";
import { rename } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { limitFolder, quotaProblem } from "../../common/project-quota.ts";
import { growImage, hasImage } from "../store/image.ts";
import { ensureMounted } from "../store/mount.ts";
import { readOptions, splitPairs } from "../store/options.ts";
import { describeUser, usersOf } from "../store/users.ts";
import { checkName, removeHalves, volumeIfAny, volumeOf, volumesFolder, withVolumes, writeFiles } from "../store/volume.ts";

/** Gives a volume that nobody uses another name. */
export function renameVolume({ operands }: { operands: string[] }) {
	const [from, to, ...more] = operands;
	if (from === undefined || to === undefined || more.length > 0) throw new UsageError("rename: needs NAME and NEW-NAME");
	const volume = volumeOf(from);
	checkName(to);
	withVolumes(() => {
		const users = usersOf(from);
		if (users.length > 0) fail(`${from}: in use by ${users.map(describeUser).join(", ")}, which know it by this name`);
		if (volumeIfAny(to)) fail(`${to}: there is a volume of this name`);
		rename(volume.folder, `${volumesFolder()}/${to}`);
	});
	print(`${to}\n`);
}

export interface UpdateOptions {
	label?: string[];
	labelRm?: string[];
	size?: number;
}

/** Changes labels, or the limit, of a volume, in use or not. */
export function update({ options, operands }: { options: UpdateOptions; operands: string[] }) {
	const { label = [], labelRm = [], size } = options;
	if (operands.length === 0) throw new UsageError("update: no NAME given");
	if (label.length === 0 && labelRm.length === 0 && size === undefined)
		throw new UsageError("update: nothing to change", "--label, --label-rm and --size change a volume");
	for (const name of operands) {
		const volume = volumeOf(name);
		if (size !== undefined) setSize(volume.name, size);
		withVolumes(() => {
			const now = volumeOf(name);
			const labels = { ...now.labels, ...splitPairs(label, "--label") };
			for (const key of labelRm) delete labels[key];
			const changed = { ...now, labels, options: size === undefined ? now.options : { ...now.options, size: String(size) } };
			if (size === 0) delete changed.options.size;
			writeFiles(now.folder, changed, readOptions(changed.options));
		});
		print(`${name}\n`);
	}
}

function setSize(name: string, size: number) {
	const volume = volumeOf(name);
	if (volume.options.type !== undefined) fail(`${name}: is a ${volume.options.type} volume, whose size is not ours to change`);
	if (!hasImage(volume.folder)) return limitFolder(volume.data, size);
	if (size === 0) fail(`${name}: its size is that of its image`, quotaProblem(volume.folder)?.hint);
	ensureMounted(volume);
	growImage(volume.folder, size);
}

/** Says by its exit status whether a volume is there: 0 or 1. */
export function existsVolume({ operands }: { operands: string[] }) {
	const [name, ...more] = operands;
	if (name === undefined || more.length > 0) throw new UsageError("exists: needs one NAME");
	if (!volumeIfAny(checkName(name))) exit(1);
}

/** Removes what processes that were killed have left, and forgets users that are gone. */
export function gc() {
	const forgotten = releaseLapsed();
	const halves = removeHalves();
	if (forgotten + halves > 0) print(`forgot ${forgotten} users, removed ${halves} half-made volumes\n`);
}
