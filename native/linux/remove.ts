/** Removing a tree that somebody else has made: of any depth, without following a link. */
import { ENOENT } from "./errno.ts";
import { AT_REMOVEDIR, close, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, readdirOf } from "./fd.ts";
import * as nr from "./nr.ts";
import { getrandom } from "./process.ts";
import { call, SysError, tryCall, tryChange } from "./syscall.ts";

/** Each folder on the way down takes a descriptor: what is deeper is moved to the top first, and emptied later. */
const deepest = 32;

function openFolder(parent: number, name: string): number {
	return tryCall("openat", nr.SYS_openat, parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/** Removes what is at `name` in an open folder, with all that is in it; what is gone already is fine. Throws SysError. */
export function removeTree(folder: number, name: string) {
	const result = tryChange("unlinkat", nr.SYS_unlinkat, folder, name, 0);
	if (result === 0 || result === -ENOENT) return;
	const top = openFolder(folder, name);
	if (top < 0) throw new SysError("unlinkat", -result, name);
	/* Names that whoever made the tree could not foresee: a rename onto a folder that is not empty fails. */
	const prefix = `.removed.${new Uint32Array(getrandom(8).buffer).join(".")}.`;
	let moved = 0;
	const remove = (parent: number, entry: string, depth: number) => {
		const result = tryCall("unlinkat", nr.SYS_unlinkat, parent, entry, 0);
		if (result === 0 || result === -ENOENT) return;
		const fd = openFolder(parent, entry);
		if (fd < 0) throw new SysError("unlinkat", -result, entry);
		try {
			for (const below of readdirOf(fd)) {
				if (depth < deepest) remove(fd, below, depth + 1);
				else if (tryCall("unlinkat", nr.SYS_unlinkat, fd, below, 0) < 0)
					call("renameat2", nr.SYS_renameat2, fd, below, top, `${prefix}${moved++}`, 0);
			}
		} finally {
			close(fd);
		}
		call("unlinkat", nr.SYS_unlinkat, parent, entry, AT_REMOVEDIR);
	};
	try {
		/* Until a look finds nothing: what was moved up is found by the next one. */
		for (;;) {
			const again = openFolder(top, ".");
			const entries = again < 0 ? [] : readdirOf(again);
			if (again >= 0) close(again);
			if (entries.length === 0) break;
			for (const entry of entries) remove(top, entry, 1);
		}
	} finally {
		close(top);
	}
	call("unlinkat", nr.SYS_unlinkat, folder, name, AT_REMOVEDIR);
}
