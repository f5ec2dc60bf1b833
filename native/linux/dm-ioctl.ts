/** linux/dm-ioctl.h: the commands of /dev/mapper/control, their flags and structs. devmapper.ts calls them. */
import { struct } from "./struct.ts";

export const DM_NAME_LEN = 128;
export const DM_UUID_LEN = 129;

export const DM_VERSION = 0xc138fd00;
export const DM_REMOVE_ALL = 0xc138fd01;
export const DM_LIST_DEVICES = 0xc138fd02;
export const DM_DEV_CREATE = 0xc138fd03;
export const DM_DEV_REMOVE = 0xc138fd04;
export const DM_DEV_RENAME = 0xc138fd05;
export const DM_DEV_SUSPEND = 0xc138fd06;
export const DM_DEV_STATUS = 0xc138fd07;
export const DM_DEV_WAIT = 0xc138fd08;
export const DM_TABLE_LOAD = 0xc138fd09;
export const DM_TABLE_CLEAR = 0xc138fd0a;
export const DM_TABLE_DEPS = 0xc138fd0b;
export const DM_TABLE_STATUS = 0xc138fd0c;
export const DM_LIST_VERSIONS = 0xc138fd0d;
export const DM_TARGET_MSG = 0xc138fd0e;
export const DM_DEV_ARM_POLL = 0xc138fd10;

export const DM_READONLY_FLAG = 1 << 0;
export const DM_SUSPEND_FLAG = 1 << 1;
export const DM_PERSISTENT_DEV_FLAG = 1 << 3;
export const DM_STATUS_TABLE_FLAG = 1 << 4;
export const DM_ACTIVE_PRESENT_FLAG = 1 << 5;
export const DM_INACTIVE_PRESENT_FLAG = 1 << 6;
export const DM_BUFFER_FULL_FLAG = 1 << 8;
export const DM_SKIP_LOCKFS_FLAG = 1 << 10;
export const DM_NOFLUSH_FLAG = 1 << 11;
export const DM_QUERY_INACTIVE_TABLE_FLAG = 1 << 12;
export const DM_UEVENT_GENERATED_FLAG = 1 << 13;
export const DM_UUID_FLAG = 1 << 14;
export const DM_DATA_OUT_FLAG = 1 << 16;
export const DM_DEFERRED_REMOVE = 1 << 17;
export const DM_INTERNAL_SUSPEND_FLAG = 1 << 18;

export const dmIoctl = /* @__PURE__ */ struct([
	["version", "u8[12]"],
	["data_size", "u32"],
	["data_start", "u32"],
	["target_count", "u32"],
	["open_count", "s32"],
	["flags", "u32"],
	["event_nr", "u32"],
	["padding", "u32"],
	["dev", "u64"],
	["name", "char[128]"],
	["uuid", "char[129]"],
	["data", "u8[7]"],
]);

export const dmTargetSpec = /* @__PURE__ */ struct([
	["sector_start", "u64"],
	["length", "u64"],
	["status", "s32"],
	["next", "u32"],
	["target_type", "char[16]"],
]);

export const dmTargetDeps = /* @__PURE__ */ struct([
	["count", "u32"],
	["padding", "u32"],
]);

/** Without the name that follows `next`. */
export const dmNameList = /* @__PURE__ */ struct([
	["dev", "u64"],
	["next", "u32"],
]);

export const dmTargetVersions = /* @__PURE__ */ struct([
	["next", "u32"],
	["version", "u8[12]"],
]);

export const dmTargetMsg = /* @__PURE__ */ struct([["sector", "u64"]]);
