/** What a volume's options say is mounted on its _data when it is first used, as Docker's local driver does it. */
import { ENODEV } from "../../../native/linux/errno.ts";
import { AT_FDCWD, AT_RECURSIVE, close, O_PATH, open } from "../../../native/linux/fd.ts";
import {
	MNT_DETACH,
	MS_SYNCHRONOUS,
	mount,
	mountinfo,
	mountSetattr,
	moveMount,
	OPEN_TREE_CLONE,
	openTree,
	UMOUNT_NOFOLLOW,
	umount,
} from "../../../native/linux/mount.ts";
import { chmod, chown, stat } from "../../../native/linux/stat.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { mountFlags, withWord } from "../../common/mount-words.ts";
import { withLock } from "../../common/state.ts";
import { withAddress } from "./address.ts";
import { hasImage, mountImage } from "./image.ts";
import { isBindVolume, maskSecrets, type Options, readOptions } from "./options.ts";
import type { Volume } from "./volume.ts";

export function isMounted({ folder, data }: Volume): boolean {
	return stat(folder).mountId !== stat(data).mountId;
}

/** Whether something has to be mounted before the volume can be used. */
export function needsMount({ folder, options }: Volume): boolean {
	return options.type !== undefined || hasImage(folder);
}

/** Mounts what the volume is made of, if it is not mounted yet. */
export function ensureMounted(volume: Volume) {
	if (!needsMount(volume)) return;
	/* A lock of this volume's own: a server that does not answer keeps nobody waiting but those who want it, too. */
	withLock(volume.folder, () => {
		if (!isMounted(volume)) mountVolume(volume, readOptions(volume.options));
	});
}

function mountVolume(volume: Volume, options: Options) {
	const { type, device, o, uid, gid, mode } = options;
	if (type === undefined || device === undefined) return mountImage(volume.folder, 0);
	try {
		if (isBindVolume(options)) return bind(device, volume.data, o ?? "");
		const { flags, data } = readWords(optionString(options));
		mount(device, volume.data, type, flags, data || null);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		const what = `volume ${volume.name}: mount ${maskSecrets(device)} (${type}${o === undefined ? "" : `, ${maskSecrets(o)}`})`;
		fail(`${what}: ${strerror(error.errno)}`, error.errno === ENODEV ? `this kernel does not have ${show(type)}` : undefined);
	}
	if (type === "tmpfs") return;
	if (uid !== undefined || gid !== undefined) chown(volume.data, uid ?? 0xffffffff, gid ?? 0xffffffff);
	if (mode !== undefined) chmod(volume.data, mode);
}

/** A tmpfs takes its size and its owner as options; a network file system the address of a host that has a name. */
function optionString(options: Options): string {
	const { type, o, size, uid, gid, mode } = options;
	if (type !== "tmpfs") return withAddress(options);
	const words = o === undefined ? [] : [o];
	if (size !== undefined) words.push(`size=${size}`);
	if (uid !== undefined) words.push(`uid=${uid}`);
	if (gid !== undefined) words.push(`gid=${gid}`);
	if (mode !== undefined) words.push(`mode=${mode.toString(8)}`);
	return words.join(",");
}

/** The words of `o`: those for the mount, and those for the file system. */
function readWords(o: string): { flags: number; data: string } {
	let attributes = 0;
	let flags = 0;
	const data: string[] = [];
	for (const word of o.split(",").filter((text) => text !== "")) {
		const known = withWord(attributes, word);
		if (word === "sync") flags |= MS_SYNCHRONOUS;
		else if (known === undefined) data.push(word);
		else attributes = known;
	}
	return { flags: flags | mountFlags(attributes), data: data.join(",") };
}

function bind(device: string, target: string, o: string) {
	const words = o.split(",");
	const recursive = words.includes("rbind");
	const tree = openTree(AT_FDCWD, device, OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0));
	const on = open(target, O_PATH);
	try {
		let attributes = 0;
		for (const word of words) attributes = withWord(attributes, word) ?? attributes;
		if (attributes !== 0) mountSetattr(tree, attributes, { recursive });
		moveMount(tree, on, target);
	} finally {
		close(on);
		close(tree);
	}
}

/** Unmounts what is mounted for a volume. Fails where something else is mounted in it: it is not ours to take away. */
export function unmountVolume(volume: Volume) {
	while (isMounted(volume)) umount(volume.data, MNT_DETACH | UMOUNT_NOFOLLOW);
	const inside = mountinfo().find(({ target }) => target.startsWith(`${volume.folder}/`));
	if (inside) fail(`${volume.name}: something is mounted in it, on ${show(inside.target)}`, "umount it first");
}
