/**
 * How a layer says that something of the layers below it is gone, in the three ways there are:
 *
 *   overlay   a character device 0/0; or, with xattrs (Linux 6.7), an empty file with `overlay.whiteout` in a folder whose
 *             `overlay.opaque` is "x". A folder whose `overlay.opaque` is "y" hides all that is below it. The attributes are
 *             `trusted.*`, or `user.*` in a mount with the option userxattr. `overlay.overlay.*` is what a container has
 *             written for an overlay of its own: it has no meaning here.
 *   aufs      an empty file `.wh.NAME`; in an opaque folder an empty file `.wh..wh..opq`. What else begins with `.wh..wh.`
 *             is aufs's own (hard links in .wh..wh.plnk, orphans, .wh..wh.aufs).
 *   OCI       an image's layer in an archive: as aufs.
 *
 * Sources: Documentation/filesystems/overlayfs.rst, aufs(5), OCI image-spec layer.md.
 */
import type { NodeStat } from "../../native/linux/tar/archive.ts";

export const PREFIX = ".wh.";
export const OPAQUE = ".wh..wh..opq";
export const OWN = ".wh..wh.";

const OVERLAY = /^(?:trusted|user)\.overlay\./;
const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;

/** Whether it is overlay's own attribute, and not one that a container's overlay has escaped. */
export function isOverlayXattr(name: string): boolean {
	return OVERLAY.test(name) && !name.startsWith("overlay.", name.indexOf(".overlay.") + 9);
}

/** `opaque` of overlay.opaque, without the prefix. */
export function overlayName(name: string): string {
	return name.replace(OVERLAY, "");
}

export function isWhiteoutNode(mode: number, rdev: string): boolean {
	return (mode & S_IFMT) === S_IFCHR && rdev === "0:0";
}

export function isWhiteoutStat(stat: NodeStat): boolean {
	return (stat.mode & S_IFMT) === S_IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0;
}

/** The value of overlay.opaque among a folder's attributes: "y", "x" (whiteouts are xattrs within), or undefined. */
export function opaqueOf(xattrs: [name: string, value: Uint8Array][]): string | undefined {
	for (const [name, value] of xattrs) if (isOverlayXattr(name) && overlayName(name) === "opaque") return String.fromCharCode(value[0] ?? 0);
	return undefined;
}

export function hasWhiteoutXattr(xattrs: [name: string, value: Uint8Array][]): boolean {
	return xattrs.some(([name]) => isOverlayXattr(name) && overlayName(name) === "whiteout");
}
