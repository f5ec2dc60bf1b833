/** setns(2): joins namespaces, of a process or by their files. */
import { EINVAL } from "../../../native/linux/errno.ts";
import { close, O_RDONLY, open } from "../../../native/linux/fd.ts";
import {
	CLONE_NEWNS,
	CLONE_NEWUSER,
	cloneFlagNames,
	NAMESPACES,
	type NamespaceKind,
	namespaceId,
	namespaceType,
	openNamespaceById,
	setns,
} from "../../../native/linux/namespace.ts";
import { processes } from "../../../native/linux/proc.ts";
import { readlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail, show } from "../../common/errors.ts";
import type { EnterOptions } from "../enter/options.ts";
import { type Entered, openOf } from "../enter/target.ts";

/** A namespace to join: that of the target, or an open one. */
export interface Joining {
	kind: NamespaceKind;
	fd?: number;
	/** The file's name, for errors. */
	object?: string;
}

/** Whether a namespace is named by its file or id, so that no target is needed. */
export function namesFile(options: EnterOptions): boolean {
	return NAMESPACES.some(({ name }) => typeof options[optionOf(name)] === "string" && !(name === "user" && namesProgramUser(options.user)));
}

/** --user=NAME is the program's user in a sandbox; a file that keeps a user namespace has a slash in it, an id a colon. */
export function namesProgramUser(value: string | true | undefined): boolean {
	return typeof value === "string" && !value.includes("/") && !value.startsWith(":");
}

function optionOf(name: string) {
	return name === "mnt" ? "mount" : (name as "net");
}

/** What the options name, in the order of util-linux. Files are opened as they are seen from here. */
export function namespacesToJoin(options: EnterOptions, target: Entered | undefined, isWhole: boolean): Joining[] {
	const wanted: Joining[] = [];
	for (const kind of NAMESPACES) {
		const value = options[optionOf(kind.name)];
		if (typeof value === "string") wanted.push({ kind, fd: openNamespace(value, kind), object: value });
		else if (value || ((isWhole || options.all) && target && canJoin(kind, target, isWhole))) wanted.push({ kind });
	}
	return wanted;
}

function openNamespace(value: string, { name }: NamespaceKind): number {
	if (!value.startsWith(":")) return open(value, O_RDONLY);
	if (!/^:\d{1,15}$/.test(value)) notA(`--${optionOf(name)}`, value, "a file or the id of a namespace (:NSID)");
	const id = Number(value.slice(1));
	try {
		return openNamespaceById(id);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		/* Linux 6.18 has ids, 6.19 opens by them alone; until then a process in the namespace shows the way. */
		return findById(id, name) ?? fail(`${value}: no ${name} namespace with this id`, "ids are those of Linux 6.18: see `tsunshare ls`");
	}
}

function findById(id: number, name: string): number | undefined {
	for (const pid of processes()) {
		try {
			const fd = open(`/proc/${pid}/ns/${name}`, O_RDONLY);
			if (namespaceId(fd) === id) return fd;
			close(fd);
		} catch (error) {
			/* It has ended, or we may not look at it. */
			if (!(error instanceof SysError)) throw error;
		}
	}
	return undefined;
}

/**
 * For --all: what this kernel has and we are not in already. To join one's own user namespace is an error, and each of the
 * others takes rights that an ordinary user may have in the target's namespaces only. The same mount namespace is joined
 * all the same, since with it come its root and working folder; a whole sandbox brings these by itself.
 */
function canJoin({ name, flag }: NamespaceKind, target: Entered, isWhole: boolean): boolean {
	const own = readlinkIfAny(`/proc/self/ns/${name}`);
	return own !== undefined && ((flag === CLONE_NEWNS && !isWhole) || own !== readlinkIfAny(`ns/${name}`, target.proc));
}

/**
 * Joins them in two passes. Who enters a namespace with fewer rights needs the present ones until the last; who gains
 * rights by the user namespace needs it first. So the others are tried without it, and what has failed then comes after it.
 */
export function joinNamespaces(wanted: Joining[], target: Entered | undefined) {
	const rest = join(
		wanted.filter(({ kind }) => kind.flag !== CLONE_NEWUSER),
		target,
		true,
	);
	const user = wanted.filter(({ kind }) => kind.flag === CLONE_NEWUSER);
	join([...user, ...rest], target, false);
}

/** One pass; returns what could not be joined, or throws if that is not to be ignored. */
function join(wanted: Joining[], target: Entered | undefined, ignoreErrors: boolean): Joining[] {
	const ofTarget = wanted.filter(({ fd }) => fd === undefined);
	let left = target && ofTarget.length > 0 ? joinTarget(ofTarget, target, ignoreErrors) : [];
	for (const joining of wanted) {
		if (joining.fd === undefined) continue;
		try {
			setns(joining.fd, joining.kind.flag, joining.object);
			close(joining.fd);
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			if (!ignoreErrors) explain(error, joining);
			left = [...left, joining];
		}
	}
	return left;
}

/** Joins all of the target's namespaces at once, by its pidfd; returns what is left. */
function joinTarget(wanted: Joining[], target: Entered, ignoreErrors: boolean): Joining[] {
	try {
		setns(
			target.pidfd,
			wanted.reduce((flags, { kind }) => flags + kind.flag, 0),
			String(target.pid),
		);
		return [];
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
		if (error.errno !== EINVAL) {
			if (!ignoreErrors) throw error;
			return wanted;
		}
		/* Before Linux 5.8 setns takes no pidfd; later it does not say which of them it does not like. So, one by one. */
		for (const joining of wanted) {
			joining.fd = openOf(target, `ns/${joining.kind.name}`);
			joining.object = `/proc/${target.pid}/ns/${joining.kind.name}`;
		}
		return [];
	}
}

/** EINVAL for a file that is no namespace, or one of another kind, says so little that we look. */
function explain(error: SysError, { fd, kind, object }: Joining): never {
	if (error.errno !== EINVAL || fd === undefined || object === undefined) throw error;
	const type = namespaceType(fd);
	if (type === undefined) fail(`${show(object)}: not a namespace`);
	if (type !== kind.flag) fail(`${show(object)}: ${cloneFlagNames(type)}, not ${kind.clone}`);
	throw error;
}
