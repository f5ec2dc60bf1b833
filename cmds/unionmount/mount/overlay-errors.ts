/** Why an overlay cannot be mounted: the kernel has EINVAL for nearly all of it. */

import { geteuid } from "../../../native/linux/credential.ts";
import { EBUSY, EINVAL, ELOOP, ENODEV, ENOTDIR, EPERM, EROFS, ESTALE } from "../../../native/linux/errno.ts";
import { close, O_PATH, open } from "../../../native/linux/fd.ts";
import { kernelLog } from "../../../native/linux/klog.ts";
import { mountinfo } from "../../../native/linux/mount.ts";
import { fileSystemType, OVERLAYFS_SUPER_MAGIC, S_IFDIR, S_IFMT, stat } from "../../../native/linux/stat.ts";
import { strerror } from "../../../native/linux/strerror.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, show } from "../../common/errors.ts";
import { type Layer, type Overlay, PROBE } from "./overlay-types.ts";

const name = (layer: Layer) => (typeof layer === "number" ? `descriptor ${layer}` : show(layer));

/** Throws what a person can act on: `log` is the context's, `since` when the attempt began. */
export function explain(error: unknown, overlay: Overlay, log: string[], since: number): never {
	if (!(error instanceof SysError)) throw error;
	const { errno, call, object = "" } = error;
	if (call === "fsopen" || (call === "mount" && errno === ENODEV))
		if (errno === ENODEV)
			fail("overlay: this kernel does not have it", "`modprobe overlay` loads it where it is a module (CONFIG_OVERLAY_FS)");
	if (errno === EPERM || call === "fsopen") fail(`mount overlay: ${strerror(errno)}`, permissionHint());
	if (call === "option") {
		const known = log.some((line) => line.includes("Unknown parameter"));
		fail(`option ${show(object)}: ${known ? "this kernel's overlay does not know it" : words(log) || strerror(errno)}`);
	}
	if (call !== "mount" && errno !== EINVAL) fail(`${call} ${show(object)}: ${strerror(errno)}`);
	const { upperdir, workdir } = overlay;
	for (const [key, layers] of [
		["lowerdir", [...overlay.lowerdir, ...(overlay.datadir ?? [])]],
		["upperdir", upperdir === undefined ? [] : [upperdir]],
		["workdir", workdir === undefined ? [] : [workdir]],
	] as const)
		for (const layer of layers) {
			const wrong = wrongWith(layer);
			if (wrong) fail(`${key} ${name(layer)}: ${wrong}`);
		}
	if (upperdir !== undefined && workdir !== undefined) explainUpper(upperdir, workdir, errno);
	if (errno === ELOOP) fail("overlay: a layer is within another layer, or is given twice");
	if (errno === ESTALE)
		fail(
			"overlay: the upperdir has been used with other lower layers",
			"with index=on they belong together: give the same ones, or a new upperdir and workdir",
		);
	const said = kernelWords(since) || words(log);
	if (errno === EINVAL && (said.includes("stacking depth exceeded") || isTooDeep(overlay.lowerdir)))
		fail(
			"overlay: a lower layer is on an overlay of overlays",
			"the kernel stacks file systems two deep; copy that layer to a disk or a tmpfs, or give the layers that it is made of",
		);
	fail(`${call === "mount" ? "mount overlay" : `${call} ${show(object)}`}: ${strerror(errno)}${said ? ` (the kernel says: ${said})` : ""}`);
}

function wrongWith(layer: Layer): string | undefined {
	try {
		const found = typeof layer === "number" ? stat("", layer) : stat(layer);
		return (found.mode & S_IFMT) === S_IFDIR ? undefined : strerror(ENOTDIR);
	} catch (error) {
		if (error instanceof SysError) return strerror(error.errno);
		throw error;
	}
}

function explainUpper(upperdir: Layer, workdir: Layer, errno: number) {
	if (errno === EBUSY)
		fail("overlay: the upperdir or workdir is in use by another overlay mount", "each mount needs an upperdir and a workdir of its own");
	if (errno === EROFS) fail(`upperdir ${name(upperdir)}: ${strerror(EROFS)}`);
	if (errno !== EINVAL) return;
	const [upper, work] = [upperdir, workdir].map((layer) => {
		const fd = typeof layer === "number" ? layer : open(layer, O_PATH);
		const { mountId, ino } = stat("", fd);
		const type = fileSystemType(fd);
		if (fd !== layer) close(fd);
		return { mountId, ino, type };
	}) as [Found, Found];
	if (upper.type === OVERLAYFS_SUPER_MAGIC)
		fail(
			`upperdir ${name(upperdir)}: is on an overlay, which the kernel does not take as upper layer`,
			"put upperdir and workdir on a disk or a tmpfs; in a container that is a volume",
		);
	if (upper.mountId !== work.mountId)
		fail("overlay: upperdir and workdir are not on the same mount", "make the workdir beside the upperdir");
	const isWithin = (a: Layer, b: Layer) => typeof a === "string" && typeof b === "string" && `${a}/`.startsWith(`${b}/`);
	if (upper.ino === work.ino || isWithin(upperdir, workdir) || isWithin(workdir, upperdir))
		fail("overlay: upperdir and workdir are within each other", "make the workdir beside the upperdir");
	const options = mountinfo().find((entry) => entry.id === upper.mountId);
	if (options && `${options.options},${options.superOptions}`.split(",").includes("ro"))
		fail(`upperdir ${name(upperdir)}: is on a read-only mount`, "without upperdir and workdir the layers are mounted read-only");
}

interface Found {
	mountId: number;
	ino: number;
	type: number;
}

/** Whether a lower is on an overlay, one of whose layers is on an overlay as well. */
function isTooDeep(lowers: Layer[]): boolean {
	const table = mountinfo();
	return lowers.some((layer) => {
		if (fileSystemType(layer) !== OVERLAYFS_SUPER_MAGIC) return false;
		const { mountId } = typeof layer === "number" ? stat("", layer) : stat(layer);
		const below = table.find((entry) => entry.id === mountId);
		const paths = (below?.superOptionList ?? []).flatMap((option) => /^(?:lowerdir\+?|upperdir|datadir\+)=(.*)$/s.exec(option)?.[1] ?? []);
		return paths.some((path) => isOverlay(path) || path.split(":").some(isOverlay));
	});
}

function isOverlay(path: string): boolean {
	try {
		return path.startsWith("/") && fileSystemType(path) === OVERLAYFS_SUPER_MAGIC;
	} catch (error) {
		if (error instanceof SysError) return false;
		throw error;
	}
}

function permissionHint(): string | undefined {
	if (geteuid() !== 0) return "mounting needs CAP_SYS_ADMIN; `tsunshare -r -m` makes a user namespace in which you have it (Linux 5.11)";
	return "in a user namespace overlay can be mounted since Linux 5.11, with upperdir and workdir that are yours";
}

/** The context's errors and warnings, without their marks: `e overlay: Bad value for 'xino'`. */
function words(log: string[]): string {
	return log
		.filter((line) => /^[ew] /.test(line))
		.map((line) => line.slice(2).replace(/^overlay(fs)?: /, ""))
		.join("; ");
}

/** The last that overlay has written to the kernel's log since, if we may read it. The log's clock and ours differ a little. */
function kernelWords(since: number): string {
	const lines = kernelLog().filter(({ time, text }) => time >= since - 0.5 && text.startsWith("overlayfs: ") && !text.includes(PROBE));
	return lines[lines.length - 1]?.text.slice(11) ?? "";
}
