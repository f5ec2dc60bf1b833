/** The single steps that show devices, in the forms of dmsetup(8): scripts read them. */

import { blockName } from "../../../native/linux/blockdev.ts";
import { dmDeps, dmList, dmTableStatus, dmTargets, dmVersion, dmWait, formatTable, type Target } from "../../../native/linux/devmapper.ts";
import { DM_NOFLUSH_FLAG, DM_QUERY_INACTIVE_TABLE_FLAG, DM_STATUS_TABLE_FLAG } from "../../../native/linux/dm-ioctl.ts";
import { notA } from "../../common/command-line/options.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { runProgram } from "../../common/run-program.ts";
import { devicePath } from "../udev/device.ts";
import { type DeviceOptions, device } from "./input.ts";
import { tree } from "./tree.ts";

export interface ShowOptions extends DeviceOptions {
	target?: string;
	inactive?: true;
	noflush?: true;
	tree?: true;
	exec?: string;
	options?: string;
}

declare const TSBOX_VERSION: string;

const NONE = "No devices found\n";

function namesOf(operands: string[], options: ShowOptions): { names: string[]; labelled: boolean } {
	if (operands.length > 0) return { names: operands.map((operand) => device(operand).name), labelled: operands.length > 1 };
	if (options.uuid !== undefined || options.minor !== undefined) return { names: [device(undefined, options).name], labelled: false };
	return { names: dmList().map(({ name }) => name), labelled: true };
}

/** `table` and `status`: of one device its lines, of several each with the device's name before it. */
function showTargets(operands: string[], options: ShowOptions, flags: number) {
	const { names, labelled } = namesOf(operands, options);
	let out = "";
	for (const name of names) {
		const inactive = options.inactive ? DM_QUERY_INACTIVE_TABLE_FLAG : 0;
		const { targets } = dmTableStatus(name, flags | inactive | (options.noflush ? DM_NOFLUSH_FLAG : 0));
		const wanted = targets.filter(({ type }) => options.target === undefined || type === options.target);
		if (wanted.length === 0 && labelled && options.target === undefined) out += `${name}: \n`;
		for (const line of lines(wanted)) out += labelled ? `${name}: ${line}\n` : `${line}\n`;
	}
	print(names.length === 0 ? NONE : out);
}

/** dmsetup prints a space behind the type, whatever follows. */
const lines = (targets: Target[]) => targets.map((target) => (target.params === "" ? `${formatTable([target])} ` : formatTable([target])));

export function table(operands: string[], options: ShowOptions) {
	showTargets(operands, options, DM_STATUS_TABLE_FLAG);
}

export function status(operands: string[], options: ShowOptions) {
	showTargets(operands, options, 0);
}

export function listDevices(operands: string[], options: ShowOptions) {
	if (operands.length > 0) throw new UsageError("ls: takes no DEVICE");
	let devices = dmList();
	if (options.target !== undefined)
		devices = devices.filter(({ name }) => dmTableStatus(name, DM_STATUS_TABLE_FLAG).targets.some(({ type }) => type === options.target));
	if (options.tree) return print(devices.length === 0 ? NONE : tree(devices));
	if (options.exec !== undefined) {
		for (const { name } of devices) print(runProgram([...options.exec.split(/\s+/), devicePath(name)])?.output ?? "");
		return;
	}
	const width = options.options === undefined || options.options === "devno";
	if (!width && options.options !== "blkdevname" && options.options !== "devname")
		notA("-o", options.options ?? "", "devno, blkdevname or devname");
	const what = ({ name, major, minor }: { name: string; major: number; minor: number }) =>
		width ? `${major}:${minor}` : options.options === "devname" ? name : (blockName(major, minor) ?? `${major}:${minor}`);
	print(devices.length === 0 ? NONE : devices.map((found) => `${found.name}\t(${what(found)})\n`).join(""));
}

export function deps(operands: string[], options: ShowOptions) {
	const { names, labelled } = namesOf(operands, options);
	let out = "";
	const known = new Map(dmList().map(({ name, major, minor }) => [`${major}:${minor}`, name]));
	for (const name of names) {
		const { devices } = dmDeps(name, options.inactive);
		const word = ({ major, minor }: { major: number; minor: number }) => {
			if (options.options === "blkdevname") return blockName(major, minor) ?? `${major}, ${minor}`;
			if (options.options === "devname") return known.get(`${major}:${minor}`) ?? blockName(major, minor) ?? `${major}, ${minor}`;
			return `${major}, ${minor}`;
		};
		out += `${labelled ? `${name}: ` : ""}${devices.length} dependencies\t: ${devices.map((found) => `(${word(found)})`).join(" ")}\n`;
	}
	print(names.length === 0 ? NONE : out);
}

export function targets() {
	print(
		dmTargets()
			.map(({ name, version }) => `${name.padEnd(16)} v${version}\n`)
			.join(""),
	);
}

export function version() {
	print(`Library version:   ${TSBOX_VERSION} (tsbox)\nDriver version:    ${dmVersion()}\n`);
}

/** `wait DEVICE [EVENT]`: sleeps until the device has had more events than that; prints what it then is. */
export function waitForEvent(operands: string[], options: ShowOptions) {
	const { name, eventNr } = device(operands[0], options);
	const text = operands[1];
	if (text !== undefined && !/^\d+$/.test(text)) throw new UsageError(`wait: ${JSON.stringify(text)} is not an event's number`);
	dmWait(name, text === undefined ? eventNr : Number(text), options.noflush ? DM_NOFLUSH_FLAG : 0);
}
