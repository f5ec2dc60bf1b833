// An initramfs is a chain of cpio archives in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst):
// per file a header of "070701" and thirteen numbers of eight hex digits, the name, NUL, padding to 4 bytes, the content,
// padding to 4 bytes; the last file is called TRAILER!!!. Writing it here needs no root to make owners and devices.

import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

/** An archive of entries { path, mode, content }: a folder has no content, a link has a target instead. Missing parent folders are added. */
export function archive(entries) {
	const parts = [];
	const folders = new Set([".", "/"]);
	let inode = 0;
	const add = (path, mode, content) => {
		const name = Buffer.from(`${path}\0`);
		// ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
		const numbers = [++inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
		const header = `070701${numbers.map((n) => n.toString(16).padStart(8, "0")).join("")}`;
		parts.push(pad(Buffer.concat([Buffer.from(header), name])), pad(content));
	};
	const addFolder = (path, mode = 0o755) => {
		if (folders.has(path)) return;
		addFolder(dirname(path));
		folders.add(path);
		add(path, S_IFDIR | mode, Buffer.alloc(0));
	};
	for (const entry of entries) {
		const path = entry.path.replace(/^\/+/, "");
		if (entry.content === undefined && entry.target === undefined) {
			addFolder(path, entry.mode);
			continue;
		}
		addFolder(dirname(path));
		if (entry.target !== undefined) add(path, S_IFLNK | 0o777, Buffer.from(entry.target));
		else add(path, S_IFREG | (entry.mode ?? 0o644), Buffer.from(entry.content));
	}
	add("TRAILER!!!", 0, Buffer.alloc(0));
	return Buffer.concat(parts);
}

const pad = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

/** The entries of a file or a whole folder of the host, as they will be at `path`. */
export async function treeEntries(source, path) {
	const stat = await lstat(source);
	const mode = stat.mode & 0o7777;
	if (stat.isSymbolicLink()) return [{ path, target: await readlink(source) }];
	if (!stat.isDirectory()) return [{ path, mode, content: await readFile(source) }];
	const below = (await readdir(source)).map((name) => treeEntries(join(source, name), join(path, name)));
	return [{ path, mode }, ...(await Promise.all(below)).flat()];
}

/** Debian's static busybox under the name of each of its applets. */
export async function busyboxEntries() {
	const { stdout: applets } = await execa("busybox", ["--list-full"]);
	const { stdout: busybox } = await execa("sh", ["-c", "command -v busybox"]);
	const links = applets.split("\n").filter((path) => basename(path) !== "busybox");
	return [
		{ path: "bin/busybox", mode: 0o755, content: await readFile(busybox) },
		...links.map((path) => ({ path, target: "/bin/busybox" })),
	];
}
