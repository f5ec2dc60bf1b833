/** unshare(1): makes namespaces, and runs a program in them. */

import { setresuid } from "../../native/linux/credential.ts";
import { CLONE_NEWNS, CLONE_NEWUSER, unshare } from "../../native/linux/namespace.ts";
import { SIG_DFL, SIGCHLD, SIGINT, SIGTERM, setDisposition } from "../../native/linux/signal.ts";
import { type CommandLine, notA } from "../common/command-line/options.ts";
import { UsageError } from "../common/errors.ts";
import { descriptorCount, execute, keptEnvironment } from "../common/program.ts";
import { deathSignal, forkProgram, setDeathSignal } from "./family.ts";
import { idMaps, prepareIdMaps, wantedMaps, writeOwnIdMaps, writeSetgroups } from "./idmap.ts";
import { readInside, setGroup, setUpInside } from "./inside.ts";
import { keepCapabilities } from "./keep-capabilities.ts";
import { keepsNamespaces, namespaceFlags, timeOffsets, writeTimeOffsets } from "./namespaces.ts";
import type { unshareOptions } from "./options.ts";
import { keptNamespaces, prepareToKeep } from "./persist.ts";

export function unshareCommand({ options, ordered, operands }: CommandLine<typeof unshareOptions>) {
	/* All that can be wrong with the command line is found before anything is done. */
	const flags = namespaceFlags(options);
	const hasUsers = (flags & CLONE_NEWUSER) !== 0;
	const wanted = hasUsers ? wantedMaps(ordered) : undefined;
	const maps = wanted && idMaps(wanted);
	const setgroups = setgroupsControl(options.setgroups, maps?.isOwn === true && maps.gid !== undefined);
	const offsets = timeOffsets(options, flags);
	const kept = keepsNamespaces(options) ? keptNamespaces(options) : [];
	const inside = readInside(options, (flags & CLONE_NEWNS) !== 0);
	const killChild = options.killChild === undefined ? undefined : deathSignal(options.killChild);
	const forwarded = options.forwardSignals ? [SIGINT, SIGTERM] : [];
	descriptorCount(options.preserveFds);
	const environment = keptEnvironment(options);

	/* A status would be lost where the caller ignores SIGCHLD, and the program would inherit that. */
	setDisposition(SIGCHLD, SIG_DFL);
	let keep = kept.length > 0 ? prepareToKeep(kept, flags) : undefined;
	const map = maps && !maps.isOwn && (maps.uid || maps.gid) ? prepareIdMaps(maps) : undefined;
	if (wanted?.owner) {
		setGroup(wanted.owner.gid);
		setresuid(wanted.owner.uid);
	}
	unshare(flags);
	map?.();
	writeTimeOffsets(offsets);

	let parent: number | undefined;
	if (options.fork || killChild !== undefined || forwarded.length > 0) {
		parent = forkProgram(forwarded, killChild, keep);
		keep = undefined;
	}
	keep?.();

	if (maps?.isOwn) writeOwnIdMaps(maps);
	if (setgroups) writeSetgroups(setgroups);
	setUpInside(inside);
	if (options.keepCaps && hasUsers) keepCapabilities();
	if (killChild !== undefined) setDeathSignal(killChild, parent);
	execute(operands, environment);
}

function setgroupsControl(text: string | undefined, isGroupMapped: boolean): "allow" | "deny" | undefined {
	if (text === undefined) return undefined;
	if (text !== "allow" && text !== "deny") return notA("--setgroups", text, "allow or deny");
	if (text === "allow" && isGroupMapped)
		throw new UsageError("--setgroups=allow: not with a single group mapped, for which it must be denied");
	return text;
}
