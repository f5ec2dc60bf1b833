/** What the single steps read: devices by name, path, uuid or number, and tables as dmsetup(8) has them. */

import { type DmInfo, dmInfo, dmList, type Target } from "../../../native/linux/devmapper.ts";
import { readAll, readFile } from "../../../native/linux/fd.ts";
import { statIfAny } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { textOf } from "../store/text.ts";
import { MAPPER } from "../udev/device.ts";

export interface DeviceOptions {
	uuid?: string;
	major?: number;
	minor?: number;
}

/** The name of a device that is given as its name, its path in /dev/mapper, or by the options. */
export function deviceName(operand: string | undefined, options: DeviceOptions = {}): string {
	if (operand !== undefined) {
		if (operand === "") throw new UsageError('"": not a device');
		return operand.startsWith(`${MAPPER}/`) ? operand.slice(MAPPER.length + 1) : operand.startsWith("/dev/") ? byPath(operand) : operand;
	}
	if (options.uuid !== undefined) return find((info) => info.uuid === options.uuid, `uuid ${options.uuid}`);
	if (options.minor !== undefined)
		return find(
			({ major, minor }) => minor === options.minor && (options.major === undefined || major === options.major),
			`number ${options.major ?? "*"}:${options.minor}`,
		);
	throw new UsageError("no DEVICE given");
}

function byPath(path: string): string {
	const rdev = statIfAny(path)?.rdev;
	return find(({ major, minor }) => `${major}:${minor}` === rdev, path);
}

function find(matches: (info: DmInfo) => boolean, what: string): string {
	for (const { name } of dmList()) {
		const info = dmInfo(name);
		if (info && matches(info)) return name;
	}
	return fail(`${show(what)}: no such device`, "`tsdmthin dmsetup ls` shows those that there are");
}

/** A device that must be there. */
export function device(operand: string | undefined, options: DeviceOptions = {}): DmInfo {
	const name = deviceName(operand, options);
	const info = dmInfo(name);
	if (info) return info;
	if (isDryRun()) return { name, uuid: "", major: 0, minor: 0, openCount: 0, targetCount: 0, eventNr: 0 } as DmInfo;
	return fail(`${show(name)}: no such device`, "`tsdmthin dmsetup ls` shows those that there are");
}

/** Lines `START LENGTH TYPE PARAMETERS`; empty ones and those that begin with # say nothing. A line of a `from` is named in errors. */
export function parseTable(text: string, from: string): Target[] {
	const targets: Target[] = [];
	text.split("\n").forEach((line, i) => {
		if (/^\s*(#|$)/.test(line)) return;
		const match = /^\s*(\d+)\s+(\d+)\s+(\S+)(?:\s+(.*?))?\s*$/.exec(line);
		const [, start, length, type = "", params = ""] = match ?? [];
		if (!match || type.length > 15) fail(`${from}: line ${i + 1}: not a line of a table (START LENGTH TYPE PARAMETERS): ${show(line)}`);
		targets.push({ start: Number(start), length: Number(length), type, params });
	});
	if (targets.length === 0) fail(`${from}: no line of a table`);
	return targets;
}

/** The table of --table, of a file, or of standard input. */
export function readTable(options: { table?: string }, file: string | undefined): Target[] {
	if (options.table !== undefined) {
		if (file !== undefined) throw new UsageError(`${show(file)}: there is --table`);
		return parseTable(options.table, "--table");
	}
	if (file !== undefined && file !== "-") return parseTable(readFile(file), show(file));
	return parseTable(textOf(readAll(0)), "standard input");
}
