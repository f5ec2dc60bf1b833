/**
 * The ioctls of /dev/mapper/control: linux/dm-ioctl.h, Documentation/admin-guide/device-mapper.
 *
 * Each takes one piece of memory: struct dm_ioctl, behind it what the command reads or returns. A device is named by its
 * name; the kernel answers with its number, flags and how often it is open.
 */

import * as host from "#host";
import { decodeDev, encodeDev } from "./blockdev.ts";
import {
	DM_ACTIVE_PRESENT_FLAG,
	DM_BUFFER_FULL_FLAG,
	DM_DATA_OUT_FLAG,
	DM_DEFERRED_REMOVE,
	DM_DEV_ARM_POLL,
	DM_DEV_CREATE,
	DM_DEV_REMOVE,
	DM_DEV_RENAME,
	DM_DEV_STATUS,
	DM_DEV_SUSPEND,
	DM_DEV_WAIT,
	DM_INACTIVE_PRESENT_FLAG,
	DM_LIST_DEVICES,
	DM_LIST_VERSIONS,
	DM_NAME_LEN,
	DM_PERSISTENT_DEV_FLAG,
	DM_QUERY_INACTIVE_TABLE_FLAG,
	DM_READONLY_FLAG,
	DM_SUSPEND_FLAG,
	DM_TABLE_CLEAR,
	DM_TABLE_DEPS,
	DM_TABLE_LOAD,
	DM_TABLE_STATUS,
	DM_TARGET_MSG,
	DM_UEVENT_GENERATED_FLAG,
	DM_UUID_LEN,
	DM_VERSION,
	dmIoctl,
	dmNameList,
	dmTargetDeps,
	dmTargetMsg,
	dmTargetSpec,
	dmTargetVersions,
} from "./dm-ioctl.ts";
import { ENAMETOOLONG, ENXIO } from "./errno.ts";
import { AT_FDCWD, O_CLOEXEC, O_RDWR } from "./fd.ts";
import * as nr from "./nr.ts";
import { putU64 } from "./struct.ts";
import { dryRun, SysError, tryCall } from "./syscall.ts";

/** A line of a table: sectors are of 512 bytes. `params` is what the target makes of it, or its status. */
export interface Target {
	start: number;
	length: number;
	type: string;
	params: string;
}

/** What every answer says of a device. */
export interface DmInfo {
	name: string;
	uuid: string;
	major: number;
	minor: number;
	/** How often the device is open: by mounts, processes, other devices' tables. */
	openCount: number;
	targetCount: number;
	/** Counts the events that DM_DEV_WAIT waits for. */
	eventNr: number;
	readOnly: boolean;
	suspended: boolean;
	hasActive: boolean;
	hasInactive: boolean;
	deferredRemove: boolean;
	/** The kernel has sent a uevent, of which udev will tell by the cookie. */
	uevent: boolean;
}

/** What can be asked beside the command. */
interface Request {
	name?: string;
	uuid?: string;
	flags?: number;
	/** In: an event number (DM_DEV_WAIT), or a cookie for udev. */
	eventNr?: number;
	targetCount?: number;
	payload?: Uint8Array;
	/** Room for the answer, beside the struct. */
	room?: number;
}

interface Answer {
	info: DmInfo;
	flags: number;
	bytes: Uint8Array;
	/** Where the answer's data begins in `bytes`. */
	start: number;
	targetCount: number;
}

let control: number | undefined;

/** /dev/mapper/control, opened once. Throws SysError (ENOENT: there is no device-mapper in this kernel; EACCES). */
export function openControl(): number {
	if (control === undefined) {
		/* A dry run asks as well, and changes nothing by it. */
		const fd = tryCall("openat", nr.SYS_openat, AT_FDCWD, "/dev/mapper/control", O_RDWR | O_CLOEXEC, 0);
		if (fd < 0) throw new SysError("open", -fd, "/dev/mapper/control");
		control = fd;
	}
	return control;
}

/* The version of the interface that is spoken: 4.0.0 is the least that the kernel takes, and it answers with its own. */
const VERSION = /* @__PURE__ */ new Uint8Array([4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

function tryAsk(command: string, request: number, asked: Request): Answer | number {
	const { name = "", uuid = "", flags = 0, eventNr = 0, targetCount = 0, payload } = asked;
	if (host.encode(name).byteLength >= DM_NAME_LEN || host.encode(uuid).byteLength >= DM_UUID_LEN)
		throw new SysError(command, ENAMETOOLONG, name);
	let room = asked.room ?? 0;
	for (;;) {
		const size = dmIoctl.size + Math.max(room, payload?.length ?? 0);
		const bytes = new Uint8Array(size);
		bytes.set(
			dmIoctl.pack({
				version: VERSION,
				data_size: size,
				data_start: dmIoctl.size,
				target_count: targetCount,
				flags,
				event_nr: eventNr,
				name,
				uuid,
			}),
		);
		if (payload) bytes.set(payload, dmIoctl.size);
		const result = tryCall(command, nr.SYS_ioctl, openControl(), request, bytes);
		if (result < 0) return result;
		const answer = dmIoctl.unpack(bytes);
		if ((answer.flags & DM_BUFFER_FULL_FLAG) !== 0) {
			room = Math.max(2 * room, 65536);
			continue;
		}
		return { info: infoOf(answer), flags: answer.flags, bytes, start: answer.data_start, targetCount: answer.target_count };
	}
}

function infoOf(answer: ReturnType<typeof dmIoctl.unpack>): DmInfo {
	const has = (flag: number) => (answer.flags & flag) !== 0;
	return {
		name: answer.name,
		uuid: answer.uuid,
		...decodeDev(answer.dev),
		openCount: answer.open_count,
		targetCount: answer.target_count,
		eventNr: answer.event_nr,
		readOnly: has(DM_READONLY_FLAG),
		suspended: has(DM_SUSPEND_FLAG),
		hasActive: has(DM_ACTIVE_PRESENT_FLAG),
		hasInactive: has(DM_INACTIVE_PRESENT_FLAG),
		deferredRemove: has(DM_DEFERRED_REMOVE),
		uevent: has(DM_UEVENT_GENERATED_FLAG),
	};
}

/** Throws SysError named after the command, on the device. */
function ask(command: string, request: number, asked: Request): Answer {
	const answer = tryAsk(command, request, asked);
	if (typeof answer === "number") throw new SysError(command, -answer, asked.name || asked.uuid || "/dev/mapper/control");
	return answer;
}

/** The same for what changes a device: a dry run prints it, and goes on with a device that has no number. */
function change(command: string, request: number, asked: Request, what = ""): Answer {
	if (dryRun([command, asked.name, what].filter((word) => word).join(" "))) {
		const nothing = dmIoctl.unpack(dmIoctl.pack({ name: asked.name ?? "", uuid: asked.uuid ?? "" }));
		return { info: infoOf(nothing), flags: 0, bytes: new Uint8Array(dmIoctl.size), start: dmIoctl.size, targetCount: 0 };
	}
	return ask(command, request, asked);
}

const version = (bytes: Uint8Array, at: number) => {
	const view = new DataView(bytes.buffer, bytes.byteOffset);
	return [0, 4, 8].map((offset) => view.getUint32(at + offset, true)).join(".");
};

/** The driver's version, `4.47.0`. */
export function dmVersion(): string {
	return version(ask("DM_VERSION", DM_VERSION, {}).bytes, 0);
}

function cString(bytes: Uint8Array, at: number): string {
	const end = bytes.indexOf(0, at);
	return host.decode(bytes, at, end < 0 ? bytes.length : end);
}

/** The targets that the kernel has, with their versions. */
export function dmTargets(): { name: string; version: string }[] {
	const { bytes, start } = ask("DM_LIST_VERSIONS", DM_LIST_VERSIONS, { room: 16384 });
	const found: { name: string; version: string }[] = [];
	for (let at = start; at < bytes.length; ) {
		const { next } = dmTargetVersions.unpack(bytes, at);
		found.push({ name: cString(bytes, at + dmTargetVersions.size), version: version(bytes, at + dmTargetVersions.offset.version) });
		if (next === 0) break;
		at += next;
	}
	return found;
}

/** All devices, in the kernel's order. */
export function dmList(): { name: string; major: number; minor: number }[] {
	const { bytes, start } = ask("DM_LIST_DEVICES", DM_LIST_DEVICES, { room: 16384 });
	const found: { name: string; major: number; minor: number }[] = [];
	for (let at = start; ; ) {
		const { dev, next } = dmNameList.unpack(bytes, at);
		if (dev === 0) break;
		found.push({ name: cString(bytes, at + dmNameList.offset.next + 4), ...decodeDev(dev) });
		if (next === 0) break;
		at += next;
	}
	return found;
}

/** A device, or undefined where there is none of the name. Throws SysError for anything else. */
export function dmInfo(name: string, inactive = false): DmInfo | undefined {
	const flags = inactive ? DM_QUERY_INACTIVE_TABLE_FLAG : 0;
	const answer = tryAsk("DM_DEV_STATUS", DM_DEV_STATUS, { name, flags });
	if (answer === -ENXIO) return undefined;
	if (typeof answer === "number") throw new SysError("DM_DEV_STATUS", -answer, name);
	return answer.info;
}

/** Makes a device without a table; with `minor` under that number. Throws EBUSY where the name or uuid is taken. */
export function dmCreate(name: string, uuid = "", minor?: { major: number; minor: number }): DmInfo {
	const asked: Request = { name, uuid, room: 0 };
	if (minor === undefined) return change("DM_DEV_CREATE", DM_DEV_CREATE, asked, uuid && `uuid=${uuid}`).info;
	if (dryRun(`DM_DEV_CREATE ${name} ${minor.major}:${minor.minor}`)) return infoOf(dmIoctl.unpack(dmIoctl.pack({ name, uuid })));
	const bytes = dmIoctl.pack({
		version: VERSION,
		data_size: dmIoctl.size,
		data_start: dmIoctl.size,
		flags: DM_PERSISTENT_DEV_FLAG,
		dev: encodeDev(minor.major, minor.minor),
		name,
		uuid,
	});
	const result = tryCall("DM_DEV_CREATE", nr.SYS_ioctl, openControl(), DM_DEV_CREATE, bytes);
	if (result < 0) throw new SysError("DM_DEV_CREATE", -result, name);
	return infoOf(dmIoctl.unpack(bytes));
}

/** Removes a device and its tables. EBUSY: it is open; with DM_DEFERRED_REMOVE it then goes when it is closed. */
export function dmRemove(name: string, flags = 0, cookie = 0): DmInfo {
	return change("DM_DEV_REMOVE", DM_DEV_REMOVE, { name, flags, eventNr: cookie }, flags & DM_DEFERRED_REMOVE ? "deferred" : "").info;
}

/** Gives a device another name, or its first uuid (flags: DM_UUID_FLAG). */
export function dmRename(name: string, to: string, flags = 0, cookie = 0): DmInfo {
	const payload = new Uint8Array(host.encode(`${to}\0`));
	return change("DM_DEV_RENAME", DM_DEV_RENAME, { name, flags, payload, eventNr: cookie }, to).info;
}

/** Holds back all I/O, after what is under way is done and the file system on it is frozen (unless flags say otherwise). */
export function dmSuspend(name: string, flags = 0): DmInfo {
	return change("DM_DEV_SUSPEND", DM_DEV_SUSPEND, { name, flags: flags | DM_SUSPEND_FLAG }, "suspend").info;
}

/** Puts the loaded table in force, where there is one, and lets I/O go on. */
export function dmResume(name: string, flags = 0, cookie = 0): DmInfo {
	return change("DM_DEV_SUSPEND", DM_DEV_SUSPEND, { name, flags, eventNr: cookie }, "resume").info;
}

/** The table as dmsetup(8) writes it, a line a target. */
export function formatTable(targets: Target[]): string {
	return targets.map(({ start, length, type, params }) => `${start} ${length} ${type}${params && ` ${params}`}`).join("\n");
}

/** Loads a table, to be put in force by dmResume. EINVAL: a target refuses its line; the kernel's log says why. */
export function dmLoad(name: string, targets: Target[], flags = 0): DmInfo {
	const parts = targets.map(({ start, length, type, params }) => {
		const text = new Uint8Array(host.encode(params));
		const size = Math.ceil((dmTargetSpec.size + text.length + 1) / 8) * 8;
		const bytes = new Uint8Array(size);
		bytes.set(dmTargetSpec.pack({ sector_start: start, length, next: size, target_type: type }));
		bytes.set(text, dmTargetSpec.size);
		return bytes;
	});
	const payload = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
	let at = 0;
	for (const part of parts) {
		payload.set(part, at);
		at += part.length;
	}
	const what = JSON.stringify(formatTable(targets));
	return change("DM_TABLE_LOAD", DM_TABLE_LOAD, { name, flags, targetCount: targets.length, payload }, what).info;
}

/** Forgets the table that is loaded and not in force. */
export function dmClear(name: string): DmInfo {
	return change("DM_TABLE_CLEAR", DM_TABLE_CLEAR, { name }).info;
}

/** A device's targets: with DM_STATUS_TABLE_FLAG as they were loaded, else their status. */
export function dmTableStatus(name: string, flags = 0): { info: DmInfo; targets: Target[] } {
	return readTargets(ask("DM_TABLE_STATUS", DM_TABLE_STATUS, { name, flags, room: 4096 }));
}

/** Sleeps until the device has had more events than `eventNr`, and returns its status then. */
export function dmWait(name: string, eventNr: number, flags = 0): { info: DmInfo; targets: Target[] } {
	return readTargets(ask("DM_DEV_WAIT", DM_DEV_WAIT, { name, flags, eventNr, room: 4096 }));
}

function readTargets({ info, bytes, start, targetCount }: Answer): { info: DmInfo; targets: Target[] } {
	const targets: Target[] = [];
	for (let i = 0, at = start; i < targetCount; i++) {
		const { sector_start, length, next, target_type } = dmTargetSpec.unpack(bytes, at);
		targets.push({ start: sector_start, length, type: target_type, params: cString(bytes, at + dmTargetSpec.size) });
		/* Counted from the first of them. */
		at = start + next;
	}
	return { info, targets };
}

/** The devices that a device's table uses. */
export function dmDeps(name: string, inactive = false): { info: DmInfo; devices: { major: number; minor: number }[] } {
	const flags = inactive ? DM_QUERY_INACTIVE_TABLE_FLAG : 0;
	const { info, bytes, start } = ask("DM_TABLE_DEPS", DM_TABLE_DEPS, { name, flags, room: 4096 });
	const view = new DataView(bytes.buffer);
	const { count } = dmTargetDeps.unpack(bytes, start);
	const devices: { major: number; minor: number }[] = [];
	for (let i = 0; i < count; i++) devices.push(decodeDev(view.getUint32(start + dmTargetDeps.size + 8 * i, true)));
	return { info, devices };
}

/** Passes a message to the target at a sector. Returns what it answers, where it does. */
export function dmMessage(name: string, sector: number, message: string): string | undefined {
	const text = new Uint8Array(host.encode(`${message}\0`));
	const payload = new Uint8Array(dmTargetMsg.size + text.length);
	putU64(new DataView(payload.buffer), 0, sector);
	payload.set(text, dmTargetMsg.size);
	const { flags, bytes, start } = change("DM_TARGET_MSG", DM_TARGET_MSG, { name, payload, room: 4096 }, JSON.stringify(message));
	return flags & DM_DATA_OUT_FLAG ? cString(bytes, start) : undefined;
}

/** Makes poll(2) on /dev/mapper/control sleep until the next event of any device. Linux 4.14. */
export function dmArmPoll() {
	ask("DM_DEV_ARM_POLL", DM_DEV_ARM_POLL, {});
}
