/** The single steps that change a device, in the words of dmsetup(8). */

import {
	dmClear,
	dmCreate,
	dmInfo,
	dmList,
	dmLoad,
	dmMessage,
	dmRename,
	dmSuspend,
	dmTableStatus,
} from "../../../native/linux/devmapper.ts";
import {
	DM_DEFERRED_REMOVE,
	DM_NOFLUSH_FLAG,
	DM_READONLY_FLAG,
	DM_SKIP_LOCKFS_FLAG,
	DM_UUID_FLAG,
} from "../../../native/linux/dm-ioctl.ts";
import { EBUSY, EINVAL, EIO } from "../../../native/linux/errno.ts";
import { isDryRun, SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { addDevice, checkDeviceName, makeNode, makeNodes, removeDevice, renameDevice, resumeDevice } from "../udev/device.ts";
import { holdersOf } from "../volume/holders.ts";
import { type DeviceOptions, device, deviceName, readTable } from "./input.ts";
import { kernelSays } from "./kernel-says.ts";

export interface TableOptions extends DeviceOptions {
	table?: string;
	notable?: true;
	readonly?: true;
	noflush?: true;
	nolockfs?: true;
	force?: true;
	retry?: true;
	deferred?: true;
	setuuid?: true;
}

const refused = "the kernel's log (dmesg) says why; `targets` shows which types there are";

/** A table that the kernel refuses tells no more than EINVAL. */
function loading<T>(work: () => T): T {
	try {
		return work();
	} catch (error) {
		if (error instanceof SysError && error.call === "DM_TABLE_LOAD" && error.errno === EINVAL) fail(error.message, kernelSays(refused));
		throw error;
	}
}

export function createDevice(operands: string[], options: TableOptions) {
	const [name, file] = operands;
	if (name === undefined) throw new UsageError("no DEVICE given");
	if (operands.length > 2) throw new UsageError("more than DEVICE and FILE");
	checkDeviceName(name);
	const uuid = options.uuid ?? "";
	if (options.notable) {
		const numbers = options.minor === undefined ? undefined : { major: options.major ?? 0, minor: options.minor };
		makeNode(dmCreate(name, uuid, numbers));
		return;
	}
	const targets = readTable(options, file);
	loading(() => addDevice(name, uuid, targets, options.readonly ? DM_READONLY_FLAG : 0));
}

export function load(operands: string[], options: TableOptions) {
	const { name } = device(operands[0], options);
	const targets = readTable(options, operands[1]);
	loading(() => dmLoad(name, targets, options.readonly ? DM_READONLY_FLAG : 0));
}

const suspendFlags = (options: TableOptions) => (options.noflush ? DM_NOFLUSH_FLAG : 0) | (options.nolockfs ? DM_SKIP_LOCKFS_FLAG : 0);

export function suspend(operands: string[], options: TableOptions) {
	for (const name of namesOf(operands, options)) dmSuspend(name, suspendFlags(options));
}

export function resume(operands: string[], options: TableOptions) {
	for (const name of namesOf(operands, options)) resumeDevice(name, suspendFlags(options));
}

export function clear(operands: string[], options: TableOptions) {
	for (const name of namesOf(operands, options)) dmClear(name);
}

/** The devices of the operands, all of them known before anything is done. */
function namesOf(operands: string[], options: TableOptions): string[] {
	return operands.length === 0 ? [device(undefined, options).name] : operands.map((operand) => device(operand).name);
}

/** `remove`: with --force a device in use gets a table of errors, so that its users give it up. */
export function removeDevices(operands: string[], options: TableOptions) {
	for (const name of namesOf(operands, options)) {
		if (options.force) wipeTable(name);
		try {
			removeDevice(name, options.deferred ? DM_DEFERRED_REMOVE : 0, options.retry ? 5 : 0.2);
		} catch (error) {
			if (!(error instanceof SysError && error.errno === EBUSY)) throw error;
			const info = dmInfo(name);
			const holders = info ? holdersOf(info.major, info.minor) : [];
			fail(
				`${name}: is in use${holders.length > 0 ? `: ${holders.join("; ")}` : ""}`,
				"--deferred removes it when its last user has closed it",
			);
		}
	}
}

export function removeAll(options: TableOptions) {
	/* What stands on others goes before them. */
	for (let left = dmList().length; left > 0; ) {
		for (const { name } of dmList()) if (dmInfo(name)?.openCount === 0) removeDevices([name], options);
		const now = dmList().length;
		if (now === left) fail(`${dmList()[0]?.name}: is in use`);
		left = now;
	}
}

/** Lets all reads and writes of a device fail from now on. */
function wipeTable(name: string) {
	if (isDryRun()) return;
	const length = dmTableStatus(name).targets.reduce((sum, target) => Math.max(sum, target.start + target.length), 0);
	if (length === 0) return;
	dmLoad(name, [{ start: 0, length, type: "error", params: "" }]);
	dmSuspend(name, DM_NOFLUSH_FLAG | DM_SKIP_LOCKFS_FLAG);
	resumeDevice(name);
}

export function wipe(operands: string[], options: TableOptions) {
	for (const name of namesOf(operands, options)) wipeTable(name);
}

export function rename(operands: string[], options: TableOptions) {
	/* dmsetup's other form: the device by its uuid or number, and the new name alone. */
	const [from, to] = operands.length === 1 ? [deviceName(undefined, options), operands[0]] : [device(operands[0]).name, operands[1]];
	if (to === undefined) throw new UsageError("no new name given");
	if (options.setuuid) dmRename(from, to, DM_UUID_FLAG);
	else renameDevice(from, to);
}

export function message(operands: string[], options: TableOptions) {
	const byOption = options.uuid !== undefined || options.minor !== undefined;
	const { name } = device(byOption ? undefined : operands[0], options);
	const [sector, ...words] = byOption ? operands : operands.slice(1);
	if (sector === undefined || !/^\d+$/.test(sector)) throw new UsageError("no SECTOR given (0 for a pool)");
	if (words.length === 0) throw new UsageError("no MESSAGE given");
	try {
		const answer = dmMessage(name, Number(sector), words.join(" "));
		if (answer !== undefined) print(`${answer}\n`);
	} catch (error) {
		if (error instanceof SysError && (error.errno === EINVAL || error.errno === EIO))
			fail(error.message, kernelSays("the kernel's log (dmesg) says why"));
		throw error;
	}
}

export function mknodes(operands: string[]) {
	const names = operands.length > 0 ? operands.map((operand) => device(operand).name) : dmList().map(({ name }) => name);
	const infos = names.map((name) => dmInfo(name)).filter((info) => info !== undefined);
	if (operands.length > 0) infos.forEach(makeNode);
	else makeNodes(infos);
}
