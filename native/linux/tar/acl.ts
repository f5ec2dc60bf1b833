/**
 * POSIX access control lists: the text of `SCHILY.acl.access` (man 5 acl, short or long form; star adds the number as a
 * fourth field) as the extended attribute `system.posix_acl_access` has it (linux/posix_acl_xattr.h):
 *
 *     u32 version 2, then for each entry: u16 tag, u16 permissions, u32 id (0xffffffff where there is none: -1)
 */
import { TarError } from "./block.ts";

const ACL_USER_OBJ = 0x01;
const ACL_USER = 0x02;
const ACL_GROUP_OBJ = 0x04;
const ACL_GROUP = 0x08;
const ACL_MASK = 0x10;
const ACL_OTHER = 0x20;
const ACL_UNDEFINED_ID = -1;
const POSIX_ACL_XATTR_VERSION = 2;

/** Looks a user's or group's name up; replaced by who knows a passwd file. */
export const lookup: { user?: (name: string) => number | undefined; group?: (name: string) => number | undefined } = {};

function tagOf(kind: string, who: string): number {
	if (kind === "user" || kind === "u") return who === "" ? ACL_USER_OBJ : ACL_USER;
	if (kind === "group" || kind === "g") return who === "" ? ACL_GROUP_OBJ : ACL_GROUP;
	if (kind === "mask" || kind === "m") return ACL_MASK;
	if (kind === "other" || kind === "o") return ACL_OTHER;
	throw new TarError(`an access control list with ${JSON.stringify(kind)} in it`);
}

function idOf(tag: number, who: string, number: string | undefined): number {
	if (number !== undefined && /^\d+$/.test(number)) return Number(number);
	if (/^\d+$/.test(who)) return Number(who);
	const id = (tag === ACL_USER ? lookup.user : lookup.group)?.(who);
	if (id === undefined) throw new TarError(`an access control list for ${JSON.stringify(who)}, who is not known here`);
	return id;
}

/** The attribute's bytes; entries in the order that the kernel demands: by tag, then by id. Throws TarError. */
export function aclBytes(text: string): Uint8Array {
	const entries = text
		.split(/[,\n]/)
		.map((line) => line.replace(/#.*/, "").trim())
		.filter((line) => line !== "")
		.map((line) => {
			const fields = line.split(":");
			/* `mask::rwx`, and `mask:rwx` as Solaris has it. */
			const [kind = "", who = "", permissions = "", number] = fields.length === 2 ? [fields[0], "", fields[1]] : fields;
			if (!/^[r-][w-][xX-]$/.test(permissions))
				throw new TarError(`an access control list with the permissions ${JSON.stringify(permissions)}`);
			const tag = tagOf(kind, who);
			const bits = (permissions[0] === "r" ? 4 : 0) + (permissions[1] === "w" ? 2 : 0) + (permissions[2] !== "-" ? 1 : 0);
			return { tag, bits, id: tag === ACL_USER || tag === ACL_GROUP ? idOf(tag, who, number) : ACL_UNDEFINED_ID };
		})
		.sort((a, b) => a.tag - b.tag || a.id - b.id);
	const bytes = new Uint8Array(4 + 8 * entries.length);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, POSIX_ACL_XATTR_VERSION, true);
	entries.forEach(({ tag, bits, id }, i) => {
		view.setUint16(4 + 8 * i, tag, true);
		view.setUint16(6 + 8 * i, bits, true);
		view.setUint32(8 + 8 * i, id, true);
	});
	return bytes;
}
