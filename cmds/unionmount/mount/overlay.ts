/**
 * Mounting overlayfs, by the way that the kernel has:
 *
 *   Linux 6.13   fsopen, a `lowerdir+` for each layer by its path or an open descriptor
 *   Linux 6.8    the same; a path of more than 255 bytes, which fsconfig(2) does not take, as /proc/self/fd/N
 *   before       mount(2) with an option string, that has to fit in a page. With many layers it has their short links in
 *                place of their paths, relative to the folder of the links, or else the numbers of their descriptors,
 *                relative to /proc/self/fd: three letters a layer
 *
 * Sources: Documentation/filesystems/overlayfs.rst, fs/overlayfs/params.c.
 */

import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { EBADF, EINVAL, ENOENT, ENOSYS } from "../../../native/linux/errno.ts";
import { chdir, close, fchdir, getcwd, O_DIRECTORY, O_PATH, O_RDONLY, open } from "../../../native/linux/fd.ts";
import {
	contextLog,
	fsmountContext,
	fsopen,
	MOUNT_ATTR_RDONLY,
	mount,
	mountSetattr,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
	tryCreate,
	tryFsconfig,
} from "../../../native/linux/mount.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail } from "../../common/errors.ts";
import { mountFlags } from "../../common/mount-words.ts";
import { joinOptions } from "./option-string.ts";
import { explain } from "./overlay-errors.ts";
import { type Layer, type Overlay, PROBE } from "./overlay-types.ts";

/** What fsconfig(2) takes of a text; mount(2) takes a page, with the NUL. */
const LONGEST_TEXT = 255;
const LONGEST_OPTIONS = 4095;

/** OVL_MAX_STACK of fs/overlayfs/params.h. */
const MOST_LOWERS = 500;

/**
 * The overlay as a detached mount; undefined where the kernel takes an option string only (before Linux 6.8).
 * A single lower without an upper, which the kernel refuses, is a read-only bind.
 */
export function openOverlay(overlay: Overlay): number | undefined {
	checkLayers(overlay);
	if (isSingle(overlay)) return bindReadOnly(overlay);
	const since = clockGettime(CLOCK_MONOTONIC);
	let context: number;
	try {
		context = fsopen("overlay");
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOSYS) return undefined;
		return explain(error, overlay, [], since);
	}
	try {
		configure(context, overlay);
		const made = tryCreate(context);
		if (made < 0) throw new SysError("mount", -made, "overlay");
		return fsmountContext(context, overlay.attributes);
	} catch (error) {
		if (!hasLayerOptions()) return undefined;
		return explain(error, overlay, contextLog(context), since);
	} finally {
		close(context);
	}
}

/** What can be said without the kernel. */
function checkLayers({ lowerdir, datadir = [], upperdir, workdir }: Overlay) {
	const count = lowerdir.length + datadir.length;
	if (lowerdir.length === 0) fail("overlay: no lower layer given");
	if (count > MOST_LOWERS)
		fail(
			`overlay: ${count} lower layers: the kernel takes ${MOST_LOWERS} at most`,
			"`tsunionmount layer squash` makes one layer of several",
		);
	if ((upperdir === undefined) !== (workdir === undefined))
		fail(
			`overlay: ${upperdir === undefined ? "a workdir without an upperdir" : "an upperdir without a workdir"}`,
			"the workdir is an empty folder beside the upperdir, on the same file system",
		);
}

/** Mounts the overlay on a folder: a path, or an open one (O_PATH). */
export function mountOverlay(overlay: Overlay, target: Layer) {
	const on = typeof target === "number" ? target : openFolder("target", target, O_PATH);
	try {
		const mounted = openOverlay(overlay);
		if (mounted === undefined) return mountByString(overlay, on);
		try {
			moveMount(mounted, on, typeof target === "string" ? target : undefined);
		} finally {
			close(mounted);
		}
	} finally {
		if (on !== target) close(on);
	}
}

function isSingle({ lowerdir, datadir = [], upperdir }: Overlay): boolean {
	return lowerdir.length === 1 && datadir.length === 0 && upperdir === undefined;
}

function bindReadOnly({ lowerdir: [lower], attributes = 0 }: Overlay): number {
	const mounted =
		typeof lower === "number" ? openTree(lower, "", OPEN_TREE_CLONE) : openTree(-100, absolute(lower as string), OPEN_TREE_CLONE);
	mountSetattr(mounted, attributes | MOUNT_ATTR_RDONLY);
	return mounted;
}

function configure(context: number, { lowerdir, datadir = [], upperdir, workdir, options = {}, source = "overlay" }: Overlay) {
	set(context, "source", source);
	/* Before the layers: some of these decide how they are looked at. */
	for (const name in options) set(context, name, options[name] as string | true);
	for (const layer of lowerdir) addLayer(context, "lowerdir+", layer);
	for (const layer of datadir) addLayer(context, "datadir+", layer);
	if (upperdir !== undefined) addLayer(context, "upperdir", upperdir);
	if (workdir !== undefined) addLayer(context, "workdir", workdir);
}

function set(context: number, key: string, value: string | true) {
	const result = tryFsconfig(context, key, value);
	if (result < 0) throw new SysError("option", -result, key);
}

function addLayer(context: number, key: string, layer: Layer) {
	/* The kernel takes backslashes out of upperdir and workdir, and leaves them in lowerdir+ and datadir+. */
	const path = typeof layer === "number" ? undefined : absolute(layer);
	const text = key.endsWith("+") ? path : path?.replace(/\\/g, "\\\\");
	if (text !== undefined && fits(text, LONGEST_TEXT)) {
		const result = tryFsconfig(context, key, text);
		if (result < 0) throw new SysError(key.replace("+", ""), -result, layer as string);
		return;
	}
	const fd = typeof layer === "number" ? layer : openFolder(key.replace("+", ""), layer, O_RDONLY);
	try {
		let result = tryFsconfig(context, key, fd);
		/* Before Linux 6.13 a layer is a text only, before 6.15 an O_PATH descriptor is none. */
		if (result === -EINVAL || result === -EBADF) result = tryFsconfig(context, key, `/proc/self/fd/${fd}`);
		if (result < 0) throw new SysError(key.replace("+", ""), -result, String(layer));
	} finally {
		if (fd !== layer) close(fd);
	}
}

/** `as` is what an error names it. */
function openFolder(as: string, path: string, flags: number): number {
	try {
		return open(path, flags | O_DIRECTORY);
	} catch (error) {
		throw error instanceof SysError ? new SysError(as, error.errno, path) : error;
	}
}

/** Whether overlay knows `lowerdir+`: only then it looks for the path at once. Before Linux 6.5 every option is taken until the end. */
function hasLayerOptions(): boolean {
	if (isDryRun()) return true;
	const context = fsopen("overlay");
	try {
		return tryFsconfig(context, "lowerdir+", PROBE) === -ENOENT;
	} finally {
		close(context);
	}
}

/** Paths are written down as they will mean something to others, who have another working folder. */
function absolute(path: string): string {
	return path.startsWith("/") || path === "" ? path : `${getcwd().replace(/\/$/, "")}/${path}`;
}

/** A letter takes at most 3 bytes in UTF-8 (two that stand for one take 4). */
function fits(text: string, bytes: number): boolean {
	return text.length * 3 <= bytes || utf8Length(text) <= bytes;
}

function utf8Length(text: string): number {
	let length = 0;
	for (const letter of text) {
		const code = letter.codePointAt(0) as number;
		length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	}
	return length;
}

function mountByString(overlay: Overlay, target: number) {
	const since = clockGettime(CLOCK_MONOTONIC);
	const { links } = overlay;
	const opened: number[] = [];
	const here = open(".", O_PATH | O_DIRECTORY);
	try {
		const path = (layer: Layer) => (typeof layer === "number" ? `/proc/self/fd/${layer}` : absolute(layer));
		const upper = {
			upperdir: overlay.upperdir === undefined ? undefined : path(overlay.upperdir),
			workdir: overlay.workdir === undefined ? undefined : path(overlay.workdir),
		};
		let text = joinOptions({ ...overlay, ...upper, lowerdir: overlay.lowerdir.map(path), datadir: overlay.datadir?.map(path) });
		if (!fits(text, LONGEST_OPTIONS) && links) {
			chdir(links.folder);
			text = joinOptions({ ...overlay, ...upper, lowerdir: links.names, datadir: overlay.datadir?.map(path) });
		}
		if (!fits(text, LONGEST_OPTIONS)) {
			const number = (layer: Layer) => {
				if (typeof layer === "number") return String(layer);
				opened.push(openFolder("layer", absolute(layer), O_RDONLY));
				return String(opened[opened.length - 1]);
			};
			/* Opened where relative paths mean what the caller means. */
			fchdir(here);
			text = joinOptions({
				lowerdir: overlay.lowerdir.map(number),
				datadir: overlay.datadir?.map(number),
				upperdir: overlay.upperdir === undefined ? undefined : number(overlay.upperdir),
				workdir: overlay.workdir === undefined ? undefined : number(overlay.workdir),
				options: overlay.options,
			});
			chdir("/proc/self/fd");
		}
		mount(overlay.source ?? "overlay", `/proc/self/fd/${target}`, "overlay", mountFlags(overlay.attributes ?? 0), text);
	} catch (error) {
		explain(error, overlay, [], since);
	} finally {
		fchdir(here);
		for (const fd of [...opened, here]) close(fd);
	}
}
