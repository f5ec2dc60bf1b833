/**
 * Mounting AUFS: mount(2) with an option string, in which the branches stand topmost first.
 *
 *     dirs=BRANCH[:BRANCH...]     BRANCH = PATH[=MODE], MODE = rw | ro | rr [+ATTRIBUTE...]
 *     append:BRANCH               in a remount: another one at the end
 *
 * The string has to fit in a page, so that what does not is appended by remounts, as Docker's aufs driver does. Nothing in
 * it can be escaped: a path with `:`, `,` or `=` in it is given as the number of an open descriptor, relative to
 * /proc/self/fd, and so are all others of that mount.
 *
 * Sources: man 5 aufs, fs/aufs/opts.c.
 */
import { ENODEV } from "../../../native/linux/errno.ts";
import { chdir, close, fchdir, getcwd, O_DIRECTORY, O_PATH, open } from "../../../native/linux/fd.ts";
import { MS_REMOUNT, mount, umount } from "../../../native/linux/mount.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { mountFlags } from "../../common/mount-words.ts";

export interface Branch {
	path: string;
	/** `rw`, `ro`, `ro+wh` (whiteouts in it count), `rr`. */
	mode: string;
}

export interface Aufs {
	/** The topmost first. */
	branches: Branch[];
	/** In aufs's words: { udba: "none", xino: "/run/xino" }. */
	options?: Record<string, string | true> | undefined;
	/** What stands first in /proc/mounts: `none`. */
	source?: string | undefined;
	/** MOUNT_ATTR_*. */
	attributes?: number | undefined;
}

/** What mount(2) takes: a page, with the NUL. */
const LONGEST_OPTIONS = 4095;

const needsNumber = ({ path }: Branch) => /[:,=]/.test(path);

/** UTF-8 takes at most three bytes for each of JavaScript's 16 bits; a letter of our paths is nearly always one. */
const bytesOf = (text: string) => (/^[\x00-\x7f]*$/.test(text) ? text.length : 3 * text.length);

/** The data of the mount(2), and of each remount that has to follow. */
export function optionStrings({ branches, options = {} }: Pick<Aufs, "branches" | "options">, longest = LONGEST_OPTIONS): string[] {
	const others = Object.keys(options).map((name) => (options[name] === true ? name : `${name}=${options[name]}`));
	const tail = others.length > 0 ? `,${others.join(",")}` : "";
	const words = branches.map(({ path, mode }) => `${path}=${mode}`);
	let first = `dirs=${words[0]}`;
	let next = 1;
	while (next < words.length && bytesOf(`${first}:${words[next]}${tail}`) <= longest) first += `:${words[next++]}`;
	const strings = [first + tail];
	for (let more = ""; next < words.length; next++) {
		const word = `append:${words[next]}`;
		if (more !== "" && bytesOf(`${more},${word}`) <= longest) more += `,${word}`;
		else more = word;
		if (next + 1 === words.length || bytesOf(`${more},append:${words[next + 1]}`) > longest) {
			strings.push(more);
			more = "";
		}
	}
	return strings;
}

/** Mounts the branches on a folder. When a remount is refused, what is mounted is taken away again. */
export function mountAufs(aufs: Aufs, target: string) {
	const opened: number[] = [];
	const here = open(".", O_PATH | O_DIRECTORY);
	const asNumbers = aufs.branches.some(needsNumber);
	const on = asNumbers && !target.startsWith("/") ? `${getcwd()}/${target}` : target;
	try {
		let { branches } = aufs;
		if (asNumbers) {
			branches = branches.map(({ path, mode }) => {
				opened.push(open(path, O_PATH | O_DIRECTORY));
				return { path: String(opened[opened.length - 1]), mode };
			});
			chdir("/proc/self/fd");
		}
		const flags = mountFlags(aufs.attributes ?? 0);
		const source = aufs.source ?? "none";
		const [first = "", ...appends] = optionStrings({ ...aufs, branches });
		mount(source, on, "aufs", flags, first);
		try {
			for (const data of appends) mount(source, on, "aufs", flags | MS_REMOUNT, data);
		} catch (error) {
			umount(on);
			throw error;
		}
	} catch (error) {
		if (error instanceof SysError && error.errno === ENODEV && !isDryRun())
			fail(
				"aufs: this kernel does not have it",
				"aufs is no part of Linux, some distributions add it; --type overlay mounts the same layers with overlayfs",
			);
		throw error instanceof SysError && error.call === "mount" ? new SysError("mount aufs", error.errno, show(target)) : error;
	} finally {
		fchdir(here);
		for (const fd of [...opened, here]) close(fd);
	}
}
