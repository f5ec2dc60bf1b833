/** netns ls, add, del, exec: namespaces that have a name, /run/netns/NAME, as man 8 ip-netns has them. */
import { EBUSY, EEXIST, EINVAL, ENOENT } from "../../../native/linux/errno.ts";
import { close, O_CREAT, O_EXCL, O_RDONLY, open, readdir } from "../../../native/linux/fd.ts";
import { MNT_DETACH, MS_BIND, MS_REC, MS_SHARED, MS_SLAVE, mount, umount } from "../../../native/linux/mount.ts";
import { CLONE_NEWNET, CLONE_NEWNS, namespaceInode, setns, unshare } from "../../../native/linux/namespace.ts";
import { processes } from "../../../native/linux/proc.ts";
import { environ, execvp } from "../../../native/linux/process.ts";
import { links } from "../../../native/linux/route/link.ts";
import { mkdirAll, statIfAny, unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { isName } from "../../common/state.ts";
import { json, table } from "../../common/table.ts";
import { inNetns, openNetns, withRoute } from "../netns.ts";
import { operand } from "./words.ts";

const folder = "/run/netns";

function named(): string[] {
	try {
		return readdir(folder).sort();
	} catch (error) {
		if (error instanceof SysError && error.errno === ENOENT) return [];
		throw error;
	}
}

export function ls({ options }: { options: { json?: true } }) {
	const pids = processes().map((pid) => ({ pid, inode: namespaceInode(pid, "net") }));
	const rows = named().map((name) => {
		const inode = statIfAny(`${folder}/${name}`)?.ino;
		let interfaces: string[] = [];
		try {
			const fd = openNetns(name);
			interfaces = inNetns(fd, () => withRoute((netlink) => links(netlink).map((link) => link.name)));
			close(fd);
		} catch {
			/* A file that is no namespace: its add was killed, or its name was made by hand. */
		}
		return { name, inode, pids: pids.filter((one) => one.inode === inode).map(({ pid }) => pid), interfaces };
	});
	if (options.json) return print(json(rows));
	print(
		table(rows, [
			{ header: "NAME", value: ({ name }) => name },
			{ header: "INODE", value: ({ inode }) => inode, right: true },
			{ header: "PROCESSES", value: (row) => row.pids.length, right: true },
			{ header: "INTERFACES", value: ({ interfaces }) => interfaces.join(" "), cut: true },
		]),
	);
}

export function add({ operands }: { operands: string[] }) {
	operand(operands, 0, "netns add", "NAME");
	for (const name of operands) if (!isName(name)) throw new UsageError(`netns add: ${show(name)}: not a name`);
	for (const name of operands) addOne(name);
}

function addOne(name: string) {
	const path = `${folder}/${name}`;
	mkdirAll(folder, 0o755);
	makeShared();
	try {
		const fd = open(path, O_RDONLY | O_CREAT | O_EXCL, 0o444);
		if (!isDryRun()) close(fd);
	} catch (error) {
		if (error instanceof SysError && error.errno === EEXIST) fail(`${name}: there is a network namespace of this name`);
		throw error;
	}
	const own = open("/proc/self/ns/net", O_RDONLY);
	try {
		unshare(CLONE_NEWNET);
		mount("/proc/self/ns/net", path, null, MS_BIND);
	} catch (error) {
		unlinkIfAny(path);
		throw error;
	} finally {
		setns(own, CLONE_NEWNET);
		close(own);
	}
}

/** So that other mount namespaces see the names as they come and go, and can be told to forget them. */
function makeShared() {
	try {
		mount("none", folder, null, MS_SHARED | MS_REC);
	} catch (error) {
		if (!(error instanceof SysError && error.errno === EINVAL)) throw error;
		mount(folder, folder, null, MS_BIND | MS_REC);
		mount("none", folder, null, MS_SHARED | MS_REC);
	}
}

export function del({ operands }: { operands: string[] }) {
	operand(operands, 0, "netns del", "NAME");
	for (const name of operands) {
		const path = `${folder}/${name}`;
		if (!isName(name) || statIfAny(path) === undefined) fail(`${show(name)}: no such network namespace`);
		try {
			umount(path, MNT_DETACH);
		} catch (error) {
			/* Not a mount: what was left of an add that was killed. */
			if (!(error instanceof SysError && error.errno === EINVAL)) throw error;
		}
		try {
			unlinkIfAny(path);
		} catch (error) {
			if (error instanceof SysError && error.errno === EBUSY) fail(`${name}: another mount namespace has it mounted`);
			throw error;
		}
	}
}

/** With a /sys that shows the namespace, as ip(8) does it. Never returns. */
export function exec({ operands }: { operands: string[] }) {
	const name = operand(operands, 0, "netns exec", "NAME");
	operand(operands, 1, "netns exec", "PROGRAM");
	const fd = openNetns(name);
	setns(fd, CLONE_NEWNET, name);
	if (!isDryRun()) close(fd);
	unshare(CLONE_NEWNS);
	mount("none", "/", null, MS_SLAVE | MS_REC);
	try {
		umount("/sys", MNT_DETACH);
		mount("sysfs", "/sys", "sysfs", 0);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
	const program = operands.slice(1);
	try {
		execvp(program, environ());
	} catch (error) {
		if (!(error instanceof SysError) || error.call !== "execve") throw error;
		fail(error.message, undefined, error.errno === ENOENT ? 127 : 126);
	}
}
