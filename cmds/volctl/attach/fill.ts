import { copyTree } from "../../../native/linux/copy-tree.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdirOf } from "../../../native/linux/fd.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { openInside } from "../../common/inside-root.ts";
import { withLock } from "../../common/state.ts";
import type { Volume } from "../store/volume.ts";
import type { Resolved } from "./sources.ts";

/**
 * Fills an empty volume with what the root has at its target, owners and modes kept, as Docker does. Device nodes are left
 * out. `root` is an open folder, an image's or a container's, and not trusted.
 */
export function fillEmpty({ mount, spec, volume }: Resolved, root: number) {
	if (!volume || !spec || spec.nocopy || spec.subpath !== undefined) return;
	const from = openFolder(root, mount.target);
	if (from === undefined) return;
	try {
		/* Two containers may begin to use it at once: the second finds it filled, or not begun. */
		withLock(volume.folder, () => {
			const to = open(volume.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
			try {
				if (readdirOf(to).length === 0) copyInto(from, to, volume);
			} finally {
				close(to);
			}
		});
	} finally {
		close(from);
	}
}

function openFolder(root: number, target: string): number | undefined {
	try {
		return openInside(root, target, O_RDONLY | O_DIRECTORY);
	} catch (error) {
		if (error instanceof SysError) fail(`${show(target)}: ${error.message}`);
		throw error;
	}
}

/** Who has asked for an owner or a mode keeps it. */
function hasOwner({ options: { uid, gid, mode, o = "" } }: Volume): boolean {
	return uid !== undefined || gid !== undefined || mode !== undefined || /(^|,)(uid|gid|mode)=/.test(o);
}

function copyInto(from: number, to: number, volume: Volume) {
	try {
		copyTree(from, to, { withRoot: !hasOwner(volume) });
	} catch (error) {
		for (const entry of readdirAgain(to)) removeTree(to, entry);
		if (error instanceof SysError)
			fail(`${volume.name}: filling the volume with what the image has: ${error.message}`, "the mode nocopy leaves it empty");
		throw error;
	}
}

/** The descriptor has been read to its end. */
function readdirAgain(fd: number): string[] {
	const again = open(".", O_RDONLY | O_DIRECTORY, 0, fd);
	try {
		return readdirOf(again);
	} finally {
		close(again);
	}
}
