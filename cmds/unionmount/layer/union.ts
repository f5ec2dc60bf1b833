/** Looking into layers as overlayfs would show them, without a mount. */
import { close, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open } from "../../../native/linux/fd.ts";
import { getrlimit, RLIM_INFINITY, RLIMITS, setrlimit } from "../../../native/linux/rlimit.ts";
import { lstatIfAny, S_IFDIR, S_IFMT, S_IFREG, type Stat } from "../../../native/linux/stat.ts";
import { xattrsOf } from "../../../native/linux/tar/archive.ts";
import { hasWhiteoutXattr, isWhiteoutNode, OPAQUE, opaqueOf, PREFIX } from "../whiteout.ts";
import type { Layout } from "./store.ts";

const nofile = RLIMITS.indexOf("nofile");

/** What is at a path of the union: of a folder an open one for each layer that it is made of, topmost first. */
export interface Found {
	stat: Stat;
	/** The layer, by its place among those given, that it comes from. */
	layer: number;
	/** Its folder there, and its name in it: for what is no folder. */
	parent: number;
	name: string;
	/** Of a folder; to be closed. */
	folders: number[];
}

/** Whether a folder hides what is below it; "x": whiteouts in it are extended attributes. */
function opaque(fd: number, layout: Layout): string | undefined {
	if (layout === "aufs") return lstatIfAny(OPAQUE, fd) ? "y" : undefined;
	return opaqueOf(xattrsOf(fd));
}

function isWhiteout(fd: number, name: string, stat: Stat | undefined, layout: Layout, isXattr: boolean): boolean {
	if (layout === "aufs") return lstatIfAny(PREFIX + name, fd) !== undefined;
	if (!stat) return false;
	if (isWhiteoutNode(stat.mode, stat.rdev)) return true;
	return isXattr && (stat.mode & S_IFMT) === S_IFREG && stat.size === 0 && hasWhiteoutXattr(xattrsOf(`/proc/self/fd/${fd}/${name}`));
}

/** One step down: `name` in a folder of the union. */
function step(folders: number[], name: string, layout: Layout): Found | undefined {
	let found: Found | undefined;
	for (let layer = 0; layer < folders.length; layer++) {
		const fd = folders[layer] as number;
		if (fd < 0) continue;
		const mode = opaque(fd, layout);
		const stat = lstatIfAny(name, fd);
		if (isWhiteout(fd, name, stat, layout, mode === "x")) break;
		if (stat) {
			const isFolder = (stat.mode & S_IFMT) === S_IFDIR;
			/* A file below a folder is hidden, and hides what is below itself. */
			if (!isFolder && found) break;
			found ??= { stat, layer, parent: fd, name, folders: folders.map(() => -1) };
			if (!isFolder) break;
			const below = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, fd);
			found.folders[layer] = below;
			if (opaque(below, layout) === "y") break;
		}
	}
	return found;
}

/** Each layer of a folder takes a descriptor. */
function raiseFileLimit() {
	const { soft, hard } = getrlimit(nofile);
	const most = hard === RLIM_INFINITY ? 65536 : hard;
	if (soft !== RLIM_INFINITY && soft < most) setrlimit(nofile, most, hard);
}

export interface Union {
	/** What is at a path (its links are not followed); undefined for nothing. Valid until the next look. */
	look(path: string): Found | undefined;
	close(): void;
}

/** The union of these folders, topmost first. */
export function openUnion(diffs: string[], layout: Layout): Union {
	if (diffs.length > 100) raiseFileLimit();
	const roots = diffs.map((path) => open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	let held: number[][] = [];
	const letGo = () => {
		for (const folders of held) for (const fd of folders) if (fd >= 0) close(fd);
		held = [];
	};
	return {
		look(path) {
			letGo();
			let at: Found = { stat: lstatIfAny(".", roots[0] as number) as Stat, layer: 0, parent: -1, name: "", folders: roots };
			for (const name of path.split("/").filter((part) => part !== "")) {
				const next = step(at.folders, name, layout);
				if (!next) return undefined;
				held.push(next.folders);
				at = next;
			}
			return at;
		},
		close() {
			letGo();
			for (const fd of roots) close(fd);
		},
	};
}
