/** clone, backup, restore. */
import { copyTree } from "../../../native/linux/copy-tree.ts";
import { umask } from "../../../native/linux/credential.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open, readdirOf } from "../../../native/linux/fd.ts";
import { archive } from "../../../native/linux/tar/archive.ts";
import { TarError } from "../../../native/linux/tar/block.ts";
import { extract } from "../../../native/linux/tar/extract.ts";
import { openSource } from "../../../native/linux/tar/source.ts";
import { isTerminal } from "../../../native/linux/terminal.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { ensureMounted } from "../store/mount.ts";
import { splitPairs } from "../store/options.ts";
import { ANONYMOUS, checkName, type Volume, volumeIfAny, volumeOf } from "../store/volume.ts";
import { createVolume } from "./create.ts";
import { removeUnused } from "./rm.ts";

/** Runs `work` on the open content of a volume, mounted if need be. */
function withData<T>(volume: Volume, work: (fd: number) => T): T {
	ensureMounted(volume);
	const fd = open(volume.data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	try {
		return work(fd);
	} finally {
		close(fd);
	}
}

export function isEmpty(fd: number): boolean {
	return readdirOf(fd).length === 0;
}

/** Makes a volume with the content of another, whose blocks it shares where the file system can. */
export function clone({ options, operands }: { options: { label?: string[]; opt?: string[] }; operands: string[] }) {
	const [from, to, ...more] = operands;
	if (from === undefined || to === undefined || more.length > 0) throw new UsageError("clone: needs NAME and NEW-NAME");
	const source = volumeOf(from);
	if (volumeIfAny(checkName(to))) fail(`${to}: there is a volume of this name`);
	const { size, uid, gid, mode } = source.options;
	/* What is mounted is copied, not mounted once more: two would write to the same. */
	const same = Object.fromEntries(Object.entries({ size, uid, gid, mode }).filter(([, value]) => value !== undefined)) as Record<
		string,
		string
	>;
	const { [ANONYMOUS]: _, ...labels } = source.labels;
	const made = createVolume(
		to,
		{ ...same, ...splitPairs(options.opt ?? [], "--opt") },
		{ ...labels, ...splitPairs(options.label ?? [], "--label") },
	);
	try {
		withData(source, (input) => withData(made, (output) => copyTree(input, output, { devices: true, withRoot: true })));
	} catch (error) {
		removeUnused(made);
		throw error;
	}
	print(`${to}\n`);
}

/** Writes a volume's content as a tar archive to standard output. */
export function backup({ operands }: { operands: string[] }) {
	const [name, ...more] = operands;
	if (name === undefined || more.length > 0) throw new UsageError("backup: needs one NAME");
	const volume = volumeOf(name);
	if (isTerminal(1)) fail("backup: standard output is a terminal", `tsvolctl backup ${name} > ${name}.tar`);
	withData(volume, (fd) => archive(fd, 1, { warn: (text) => warn(text) }));
}

/** Unpacks a tar archive from standard input into a volume, which is made if need be; one that holds something only by force. */
export function restore({ options, operands }: { options: { force?: true }; operands: string[] }) {
	const [name, ...more] = operands;
	if (name === undefined || more.length > 0) throw new UsageError("restore: needs one NAME");
	if (isTerminal(0)) fail("restore: standard input is a terminal", `tsvolctl restore ${checkName(name)} < ARCHIVE`);
	const there = volumeIfAny(checkName(name));
	const volume = there ?? createVolume(name, {}, {});
	try {
		withData(volume, (fd) => {
			if (!options.force && !isEmpty(fd)) fail(`${name}: the volume is not empty`, "--force unpacks over what it holds");
			umask(0);
			extract(openSource(0), fd, { warn: (text) => warn(text) });
		});
	} catch (error) {
		if (!there) removeUnused(volume);
		if (error instanceof TarError) fail(`standard input: ${error.message}`);
		throw error;
	}
	print(`${name}\n`);
}
