/**
 * What overlay can do, by trying it: on folders that are made in a given one and removed again, with mounts that are never
 * attached.
 */
import { DT_UNKNOWN, readdirTypes } from "../../../native/linux/dirent.ts";
import { EINVAL, ENODEV, ENOSYS } from "../../../native/linux/errno.ts";
import { AT_FDCWD, close, O_DIRECTORY, O_RDONLY, open, readFileIfAny } from "../../../native/linux/fd.ts";
import { fsmountContext, fsopen, mountinfo, tryCreate, tryFsconfig } from "../../../native/linux/mount.ts";
import { getpid } from "../../../native/linux/process.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { mkdir, mknod, rename, S_IFCHR, stat, unlinkIfAny } from "../../../native/linux/stat.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { getxattrIfAny, setxattr } from "../../../native/linux/xattr.ts";
import { quotaProblem } from "../../common/project-quota.ts";

export interface Fact {
	name: string;
	value: boolean | string;
	/** What is the matter, and what to do. */
	note?: string;
}

/** The options that are tried, with the Linux that brought each. */
const OPTIONS: [name: string, options: Record<string, string | true>, since: string][] = [
	["redirect_dir", { redirect_dir: "on" }, "4.10"],
	["index", { index: "on" }, "4.13"],
	["nfs_export", { nfs_export: "on", index: "on" }, "4.16"],
	["xino", { xino: "on" }, "4.17"],
	["metacopy", { metacopy: "on" }, "4.19"],
	["volatile", { volatile: true }, "5.10"],
	["userxattr", { userxattr: true }, "5.11"],
	["verity", { verity: "on", metacopy: "on" }, "6.6"],
	["uuid", { uuid: "on" }, "6.6"],
	["override_creds", { override_creds: true }, "6.15"],
];

export function tryFeatures(folder: string): Fact[] {
	try {
		close(fsopen("overlay"));
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno === ENODEV)
			return [{ name: "overlay", value: false, note: "CONFIG_OVERLAY_FS; where it is a module: `modprobe overlay`" }];
		if (error.errno !== ENOSYS) return [{ name: "overlay", value: false, note: strerror(error.errno) }];
	}
	const base = `${folder}/.tsunionmount-info.${getpid()}`;
	mkdir(base, 0o700);
	try {
		return [...ofKernel(base), ...ofFolder(folder, base)];
	} finally {
		removeTree(AT_FDCWD, base);
	}
}

let count = 0;

/** Mounts new lower, upper and work folders, and calls `use` with the mount. Returns why it cannot be. */
function tryMount(base: string, options: Record<string, string | true>, use: (mounted: number) => void = () => {}): string | undefined {
	const own = `${base}/${count++}`;
	for (const path of [own, `${own}/lower`, `${own}/lower/folder`, `${own}/upper`, `${own}/work`]) mkdir(path);
	const words: [string, string | true][] = [
		["lowerdir", `${own}/lower`],
		["upperdir", `${own}/upper`],
		["workdir", `${own}/work`],
		...Object.entries(options),
	];
	const context = fsopen("overlay");
	try {
		for (const [key, value] of words) {
			const result = tryFsconfig(context, key, value);
			if (result < 0) return result === -EINVAL ? "this kernel's overlay does not know it" : strerror(-result);
		}
		const made = tryCreate(context);
		if (made < 0) return strerror(-made);
		const mounted = fsmountContext(context);
		use(mounted);
		close(mounted);
		return undefined;
	} finally {
		close(context);
	}
}

function ofKernel(base: string): Fact[] {
	const plain = tryMount(base, {});
	const facts: Fact[] = [
		plain === undefined
			? { name: "overlay", value: true }
			: { name: "overlay", value: "no upper layer", note: `in ${base.slice(0, base.lastIndexOf("/"))}: ${plain}` },
	];
	facts.push(...ofMountApi(base));
	for (const [name, options, since] of OPTIONS) {
		const why = tryMount(base, options);
		const on = readFileIfAny(`/sys/module/overlay/parameters/${name === "xino" ? "xino_auto" : name}`)?.trim();
		const byDefault = on === undefined ? "" : on === "Y" ? "; on by default" : "; off by default";
		facts.push(
			why === undefined
				? { name, value: true, note: `since Linux ${since}${byDefault}` }
				: { name, value: false, note: `${why} (since Linux ${since})` },
		);
	}
	return facts;
}

/** How layers can be given. */
function ofMountApi(base: string): Fact[] {
	const context = fsopen("overlay");
	const fd = open(base, O_RDONLY | O_DIRECTORY);
	try {
		const one = tryFsconfig(context, "lowerdir+", base) === 0 && tryFsconfig(context, "lowerdir+", "/proc/self/absent") < 0;
		return [
			one
				? { name: "layers one by one", value: true, note: "500 lower layers from any path" }
				: { name: "layers one by one", value: false, note: "since Linux 6.8; before, short links keep the option string inside a page" },
			{ name: "layers by descriptor", value: one && tryFsconfig(context, "lowerdir+", fd) === 0, note: "since Linux 6.13" },
			{ name: "data-only layers", value: one && tryFsconfig(context, "datadir+", base) === 0, note: "since Linux 6.8 one by one" },
		];
	} finally {
		close(fd);
		close(context);
	}
}

/** What the file system of a folder has to offer. */
function ofFolder(folder: string, base: string): Fact[] {
	const { mountId } = stat(folder);
	const mount = mountinfo().find((entry) => entry.id === mountId);
	const facts: Fact[] = [{ name: "backing file system", value: mount?.type ?? "unknown", note: `${folder}, on ${mount?.target ?? "?"}` }];
	facts.push(
		hasTypes(base),
		hasXattr(base, "trusted.overlay.tsbox", "trusted xattrs"),
		hasXattr(base, "user.overlay.tsbox", "user xattrs"),
	);
	facts.push(canMakeWhiteout(base), nativeDiff(base));
	const problem = quotaProblem(folder);
	facts.push(
		problem
			? { name: "project quotas", value: false, note: `${problem.why}: ${problem.hint}` }
			: { name: "project quotas", value: true, note: "--size limits a layer or a volume" },
	);
	return facts;
}

function hasTypes(base: string): Fact {
	const fd = open(base, O_RDONLY | O_DIRECTORY);
	const lacks = readdirTypes(fd).some(({ type }) => type === DT_UNKNOWN);
	close(fd);
	return lacks
		? {
				name: "d_type",
				value: false,
				note: "overlay needs it: make the file system anew (xfs: mkfs.xfs -n ftype=1; ext4: the feature filetype)",
			}
		: { name: "d_type", value: true };
}

function hasXattr(base: string, key: string, name: string): Fact {
	try {
		setxattr(base, key, "y");
		return { name, value: getxattrIfAny(base, key) === "y" };
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return { name, value: false, note: strerror(error.errno) };
	}
}

function canMakeWhiteout(base: string): Fact {
	try {
		mknod(`${base}/whiteout`, S_IFCHR, 0);
		unlinkIfAny(`${base}/whiteout`);
		return { name: "whiteouts", value: true };
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		return { name: "whiteouts", value: false, note: `character device 0/0: ${strerror(error.errno)}` };
	}
}

/** With redirect_dir a renamed folder's content stays below in its old place, so that an upper alone is not the difference. */
function nativeDiff(base: string): Fact {
	let redirects = false;
	const why = tryMount(base, {}, (mounted) => {
		try {
			rename(`/proc/self/fd/${mounted}/folder`, `/proc/self/fd/${mounted}/renamed`);
			redirects = true;
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
		}
	});
	if (why !== undefined) return { name: "native diff", value: false, note: why };
	return redirects
		? {
				name: "native diff",
				value: false,
				note: "redirect_dir is on by default: mount with -o redirect_dir=off where the upper is to be the difference",
			}
		: { name: "native diff", value: true, note: "the upper layer is the difference" };
}
