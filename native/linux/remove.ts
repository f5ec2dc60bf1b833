/** Removing a tree that somebody else has made: of any depth, without following a link. */
import { ENOENT } from "./errno.ts";
import { AT_REMOVEDIR, close, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, readdirOf } from "./fd.ts";
import * as nr from "./nr.ts";
import { call, SysError, tryCall, tryChange } from "./syscall.ts";

/** Deeper folders are moved up before they are emptied: each one on the way down takes a descriptor. */
const deepest = 32;

/** Removes what is at `name` in an open folder, with all that is in it; what is gone already is fine. Throws SysError. */
export function removeTree(folder: number, name: string) {
	let moved = 0;
	const remove = (parent: number, entry: string, top: number, depth: number) => {
		const result = tryChange("unlinkat", nr.SYS_unlinkat, parent, entry, 0);
		if (result === 0 || result === -ENOENT) return;
		const fd = tryCall("openat", nr.SYS_openat, parent, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) throw new SysError("unlinkat", -result, entry);
		try {
			if (depth === deepest) {
				/* Its own folders come to the top, each under a name that nothing there has. */
				for (const deeper of readdirOf(fd)) {
					if (tryCall("unlinkat", nr.SYS_unlinkat, fd, deeper, 0) === 0) continue;
					call("renameat2", nr.SYS_renameat2, fd, deeper, top, `.removed.${moved}`, 0);
					remove(top, `.removed.${moved++}`, top, 1);
				}
			} else for (const below of readdirOf(fd)) remove(fd, below, depth === 0 ? fd : top, depth + 1);
		} finally {
			close(fd);
		}
		call("unlinkat", nr.SYS_unlinkat, parent, entry, AT_REMOVEDIR);
	};
	remove(folder, name, folder, 0);
}
