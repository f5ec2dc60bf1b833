/** Going through a tree that somebody else has made, and may be changing: of any depth, without following a link. */
import { ENOENT, ENOTDIR } from "./errno.ts";
import { close, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdirOf } from "./fd.ts";
import * as nr from "./nr.ts";
import { lstatIfAny, S_IFDIR, S_IFMT, type Stat, stat } from "./stat.ts";
import { SysError, tryCall } from "./syscall.ts";

/** What is called on the way; paths begin with a slash. */
export interface Visitor {
	/** For each file, its folder open. False to leave out what is below a folder. */
	visit(folder: number, name: string, path: string, stat: Stat): boolean;
	/** For each folder once it is open, with the names in it. */
	enter?(folder: number, path: string, names: string[]): void;
	/** For each folder when all below it is done. */
	leave?(folder: number, path: string): void;
}

/* Each open folder takes a descriptor: those further up are closed, and opened again by ".." on the way back. */
const mostOpen = 64;

interface Level {
	fd: number;
	path: string;
	ino: number;
	names: string[];
	next: number;
}

/** Goes through all below the open folder. Throws SysError; with ENOENT where the tree was moved under way. */
export function walkTree(root: number, visitor: Visitor) {
	const enter = (fd: number, path: string): Level => {
		const names = readdirOf(fd);
		visitor.enter?.(fd, path, names);
		return { fd, path, ino: stat("", fd).ino, names, next: 0 };
	};
	const stack = [enter(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, root), "")];
	try {
		for (let level = stack[stack.length - 1]; level; level = stack[stack.length - 1]) {
			const name = level.names[level.next++];
			if (name === undefined) {
				visitor.leave?.(level.fd, level.path);
				const parent = stack[stack.length - 2];
				if (parent && parent.fd < 0) {
					parent.fd = open("..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, level.fd);
					if (stat("", parent.fd).ino !== parent.ino) throw new SysError("open", ENOENT, `${level.path}/..`);
				}
				stack.pop();
				close(level.fd);
				continue;
			}
			const found = lstatIfAny(name, level.fd);
			const path = `${level.path}/${name}`;
			if (!found || !visitor.visit(level.fd, name, path, found) || (found.mode & S_IFMT) !== S_IFDIR) continue;
			const fd = tryCall("openat", nr.SYS_openat, level.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			/* It is gone, or no folder any more. */
			if (fd === -ENOENT || fd === -ENOTDIR) continue;
			if (fd < 0) throw new SysError("open", -fd, path);
			stack.push({ fd, path, ino: 0, names: [], next: 0 });
			stack[stack.length - 1] = enter(fd, path);
			const far = stack[stack.length - 1 - mostOpen];
			if (far && far.fd >= 0) {
				close(far.fd);
				far.fd = -1;
			}
		}
	} finally {
		for (const { fd } of stack) if (fd >= 0) close(fd);
	}
}
