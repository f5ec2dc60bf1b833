/** Who holds a port: man 5 proc, /proc/net/tcp, udp and the descriptors of processes. */
import { readdir, readFileIfAny } from "../../native/linux/fd.ts";
import { commandLine, processes } from "../../native/linux/proc.ts";
import { readlinkIfAny } from "../../native/linux/stat.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { show } from "../common/errors.ts";

const TCP_LISTEN = "0A";

/** `nginx (pid 812)` for a port of this network namespace; undefined where nobody has it, or nobody whom we may see. */
export function holderOf(proto: string, port: number): string | undefined {
	const sockets = new Set<string>();
	for (const file of [proto, `${proto}6`]) for (const inode of inodes(file, proto, port)) sockets.add(`socket:[${inode}]`);
	if (sockets.size === 0) return undefined;
	for (const pid of processes())
		if (descriptors(pid).some((link) => sockets.has(link))) {
			const [program = "a process"] = commandLine(pid);
			return `${show(program)} (pid ${pid})`;
		}
	return undefined;
}

/** The inodes of the sockets that are bound to a port. A line: number, local address, remote address, state ... inode. */
function inodes(file: string, proto: string, port: number): string[] {
	const found: string[] = [];
	for (const line of (readFileIfAny(`/proc/self/net/${file}`) ?? "").split("\n").slice(1)) {
		const words = line.trim().split(/\s+/);
		const [, local = "", , state, , , , , , inode] = words;
		if (inode && Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16) === port && (proto !== "tcp" || state === TCP_LISTEN))
			found.push(inode);
	}
	return found;
}

/** What a process has open; nothing where it is gone or another user's. */
function descriptors(pid: number): string[] {
	try {
		return readdir(`/proc/${pid}/fd`).map((fd) => readlinkIfAny(`/proc/${pid}/fd/${fd}`) ?? "");
	} catch (error) {
		if (error instanceof SysError) return [];
		throw error;
	}
}
