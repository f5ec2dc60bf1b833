/**
 * Layers on mounts that are made for one overlay only: idmapped lowers, a tmpfs for a throw-away upper. The overlay keeps
 * a copy of each, so that nothing of them has to stay.
 */
import { EINVAL } from "../../../native/linux/errno.ts";
import { AT_FDCWD, close, O_DIRECTORY, O_PATH, O_RDONLY, open } from "../../../native/linux/fd.ts";
import {
	fsmount,
	MNT_DETACH,
	MOUNT_ATTR_IDMAP,
	mountSetattr,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
	UMOUNT_NOFOLLOW,
	umount,
} from "../../../native/linux/mount.ts";
import { type IdRange, uname } from "../../../native/linux/namespace.ts";
import { getpid } from "../../../native/linux/process.ts";
import { mkdir, mkdirAll, rmdir } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { makeUserNamespace } from "../../../native/linux/user-namespace.ts";
import { fail, show } from "../../common/errors.ts";
import { runFolder } from "../../common/state.ts";
import { mountOverlay } from "./overlay.ts";
import type { Layer, Overlay } from "./overlay-types.ts";

export interface Made {
	/** Ids of files in the lowers `inner`, and what they are seen as, `outer`. */
	idmap?: { uids: IdRange[]; gids: IdRange[] } | undefined;
	/** A tmpfs of this size (as tmpfs has it) takes what is written, and goes with the mount. */
	temporary?: string | true | undefined;
}

/** Mounts an overlay, some of whose layers are made for it. */
export function mountWith(overlay: Overlay, target: Layer, { idmap, temporary }: Made) {
	const mounts: number[] = [];
	const opened: number[] = [];
	try {
		const made = { ...overlay };
		if (idmap) {
			const userns = makeUserNamespace(idmap.uids, idmap.gids);
			opened.push(userns);
			const map = (layer: Layer) => {
				const mounted = idmapped(layer, userns);
				mounts.push(mounted);
				return mounted;
			};
			made.lowerdir = overlay.lowerdir.map(map);
			made.datadir = overlay.datadir?.map(map);
		}
		if (temporary) {
			const tmpfs = fsmount("tmpfs", { source: "tmpfs", mode: "0755", ...(temporary === true ? {} : { size: temporary }) });
			mounts.push(tmpfs);
			for (const name of ["upper", "work"]) mkdir(name, 0o755, tmpfs);
		}
		/* Linux 6.15 takes layers of detached mounts. */
		if (takesDetached()) mountOverlay(withUpper(made, temporary && mounts[mounts.length - 1], opened), target);
		else mountAttached(made, mounts, temporary !== undefined, target);
	} finally {
		for (const fd of [...mounts, ...opened]) close(fd);
	}
}

function idmapped(layer: Layer, userns: number): number {
	const mounted = typeof layer === "number" ? openTree(layer, "", OPEN_TREE_CLONE) : openTree(AT_FDCWD, layer, OPEN_TREE_CLONE);
	try {
		mountSetattr(mounted, MOUNT_ATTR_IDMAP, { usernsFd: userns });
		return mounted;
	} catch (error) {
		close(mounted);
		if (error instanceof SysError && error.errno === EINVAL)
			fail(
				`lowerdir ${show(String(layer))}: its file system takes no idmapped mount`,
				"ext4, xfs, btrfs (Linux 5.12 to 5.15) and tmpfs (6.3) do; overlayfs does not, but each of its layers may",
			);
		throw error;
	}
}

function takesDetached(): boolean {
	const [major = 0, minor = 0] = uname().release.split(".").map(Number);
	return major > 6 || (major === 6 && minor >= 15);
}

function withUpper(overlay: Overlay, tmpfs: number | undefined | true | "", opened: number[]): Overlay {
	if (typeof tmpfs !== "number") return overlay;
	const [upperdir, workdir] = ["upper", "work"].map((name) => open(name, O_RDONLY | O_DIRECTORY, 0, tmpfs)) as [number, number];
	opened.push(upperdir, workdir);
	return { ...overlay, upperdir, workdir };
}

/** The same on an older kernel: the mounts are attached below the run-time state as long as it takes. */
function mountAttached(overlay: Overlay, mounts: number[], hasTmpfs: boolean, target: Layer) {
	const folder = `${runFolder()}/unionmount.${getpid()}`;
	mkdirAll(folder, 0o700);
	const attached: string[] = [];
	try {
		mounts.forEach((mounted, i) => {
			const path = `${folder}/${i}`;
			mkdir(path, 0o700);
			attached.push(path);
			const on = open(path, O_PATH | O_DIRECTORY);
			moveMount(mounted, on, path);
			close(on);
		});
		const path = (layer: Layer) => (typeof layer === "number" && mounts.includes(layer) ? `${folder}/${mounts.indexOf(layer)}` : layer);
		const tmpfs = `${folder}/${mounts.length - 1}`;
		mountOverlay(
			{
				...overlay,
				lowerdir: overlay.lowerdir.map(path),
				datadir: overlay.datadir?.map(path),
				...(hasTmpfs && { upperdir: `${tmpfs}/upper`, workdir: `${tmpfs}/work` }),
			},
			target,
		);
	} finally {
		for (const path of attached.reverse()) {
			detach(path);
			rmdir(path);
		}
		rmdir(folder);
	}
}

function detach(path: string) {
	try {
		umount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	} catch (error) {
		/* It was not attached yet. */
		if (!(error instanceof SysError)) throw error;
	}
}
