/** What an overlay mount is made of. */

/** A layer: a path (a relative one is below the working folder), or an open descriptor (O_PATH will do; a detached mount, too). */
export type Layer = string | number;

export interface Overlay {
	/** The topmost first, as the kernel has them. */
	lowerdir: Layer[];
	/** Layers that hold the data of metacopy files only. */
	datadir?: Layer[] | undefined;
	/** Both or none; without them the mount is read-only. */
	upperdir?: Layer | undefined;
	workdir?: Layer | undefined;
	/** In the kernel's words: { userxattr: true, redirect_dir: "off", volatile: true }. */
	options?: Record<string, string | true> | undefined;
	/** What stands first in /proc/mounts: `overlay`. */
	source?: string | undefined;
	/** MOUNT_ATTR_*. */
	attributes?: number | undefined;
	/** A short name of each of the lowers, relative to a folder: `l/XXXX`. For kernels before 6.8. */
	links?: { folder: string; names: string[] } | undefined;
}

/** A layer that is not there: with it we ask whether the kernel looks for layers at once. */
export const PROBE = "/proc/self/absent";
