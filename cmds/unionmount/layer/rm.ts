/** `layer rm` and `gc`: removing layers, and what a killed tool has left of them. */
import { close, O_DIRECTORY, O_PATH, open, readdir, readFileIfAny } from "../../../native/linux/fd.ts";
import { parseMountinfo } from "../../../native/linux/mount.ts";
import { removeTree } from "../../../native/linux/remove.ts";
import { exists, lstatIfAny, readlinkIfAny, rmdir, unlinkIfAny } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, ToolError, UsageError } from "../../common/errors.ts";
import { dataFolder, isAlive, readState, runFolder, withLock } from "../../common/state.ts";
import { collectImages } from "../image/store.ts";
import {
	allLayers,
	checkId,
	destroyLayer,
	findLayer,
	getLayer,
	type LayerFacts,
	layerIds,
	linkOf,
	openStore,
	type Store,
} from "./store.ts";

/** Who uses a layer, in a sentence; undefined for nobody. */
export function userOf(layer: LayerFacts): string | undefined {
	const child = allLayers().find((other) => other.parent === layer.id);
	if (child) return `layer ${child.id} stands on it`;
	if (exists(`${dataFolder()}/containers/${layer.id}`)) return `container ${layer.id} has it`;
	const mounted = mountUsing(layer);
	return mounted && `it is mounted on ${mounted}`;
}

/** Where a mount in any mount namespace has the layer: its own folder, or the short link of it. */
function mountUsing(layer: LayerFacts): string | undefined {
	const store = openStore(layer.layout);
	const diff = store.diff(layer.id);
	const merged = store.merged(layer.id);
	const link = layer.layout === "overlay2" ? `l/${linkOf(store, layer.id)}` : "\0";
	const seen = new Set<string>();
	for (const pid of readdir("/proc")) {
		if (!/^\d+$/.test(pid)) continue;
		const namespace = readlinkIfAny(`/proc/${pid}/ns/mnt`);
		if (namespace === undefined || seen.has(namespace)) continue;
		seen.add(namespace);
		for (const mount of parseMountinfo(readFileIfAny(`/proc/${pid}/mountinfo`) ?? "")) {
			/* A single layer is bound. */
			if (mount.target === merged || mount.root.endsWith(`/${layer.id}/diff`)) return mount.target;
			if (mount.type !== "overlay" && mount.type !== "aufs") continue;
			const words = mount.superOptions.split(/[,:=]/);
			if (words.includes(diff) || words.includes(link)) return mount.target;
		}
	}
	return undefined;
}

/** Removes a layer, and its -init layer with it. Fails where something uses it. */
export function removeLayer(id: string, force = false) {
	const layer = getLayer(id);
	const store = openStore(layer.layout);
	withLock(store.root, () => {
		const user = userOf(layer);
		if (user && !(force && user.startsWith("container"))) fail(`${layer.id}: is in use: ${user}`);
		destroyLayer(store, layer.id);
		const init = findLayer(`${layer.id}-init`);
		if (init?.kind === "init" && layer.parent === init.id) destroyLayer(store, init.id);
	});
	unlinkIfAny(`${runFolder()}/unionmount/${layer.id}.json`);
}

export function rmVerb({ options, operands }: { options: { force?: true }; operands: string[] }) {
	if (operands.length === 0) throw new UsageError("layer rm: which layers?");
	for (const word of operands) checkId(word);
	let failed: unknown;
	for (const word of operands) {
		try {
			if (options.force && !findLayer(word) && !layerIds().some((id) => id.startsWith(word))) continue;
			const { id } = getLayer(word);
			removeLayer(id, options.force);
			print(`${id}\n`);
		} catch (error) {
			/* The others are still to go. */
			if (!(error instanceof ToolError)) throw error;
			if (failed) print("");
			failed ??= error;
		}
	}
	if (failed) throw failed;
}

/** Half-made layers whose maker has ended: `.new.PID.START.ID`. */
function halfMade(store: Store): string[] {
	if (!lstatIfAny(store.root)) return [];
	return readdir(store.root).filter((name) => {
		const match = /^\.new\.(\d+)\.(\d+)\./.exec(name);
		return match !== null && !isAlive({ pid: Number(match[1]), start: Number(match[2]) });
	});
}

/** Removes what no layer needs and no living process makes. Returns what it was. */
export function collect(): string[] {
	const removed: string[] = [];
	for (const store of [openStore("overlay2"), openStore("aufs")]) {
		if (!lstatIfAny(store.root)) continue;
		const root = open(store.root, O_PATH | O_DIRECTORY);
		try {
			for (const name of halfMade(store)) {
				removeTree(root, name);
				removed.push(`${store.root}/${name}`);
			}
			withLock(store.root, () => {
				removed.push(...collectFacts(store), ...(store.layout === "overlay2" ? collectOverlay(store, root) : []));
			});
		} finally {
			close(root);
		}
	}
	removed.push(...collectMounts(), ...collectImages());
	return removed;
}

/** Facts of layers that are not there. */
function collectFacts(store: Store): string[] {
	const removed: string[] = [];
	for (const id of layerIds()) {
		const path = `${dataFolder()}/layerdb/${id}.json`;
		const facts = readState<LayerFacts>(path);
		if (facts && facts.layout === store.layout && !lstatIfAny(store.diff(id))) {
			unlinkIfAny(path);
			removed.push(path);
		}
	}
	return removed;
}

/** Folders that have no facts any more, and links to what is not there. */
function collectOverlay(store: Store, root: number): string[] {
	const removed: string[] = [];
	for (const name of readdir(store.root)) {
		if (name === "l" || name.startsWith(".") || findLayer(name) || !lstatIfAny(`${store.root}/${name}/link`)) continue;
		removeTree(root, name);
		removed.push(`${store.root}/${name}`);
	}
	for (const name of lstatIfAny(`${store.root}/l`) ? readdir(`${store.root}/l`) : []) {
		const target = readlinkIfAny(`${store.root}/l/${name}`);
		if (target !== undefined && lstatIfAny(`${store.root}/l/${target}`)) continue;
		unlinkIfAny(`${store.root}/l/${name}`);
		removed.push(`${store.root}/l/${name}`);
	}
	return removed;
}

/** Mounts of ours that are gone. */
function collectMounts(): string[] {
	const removed: string[] = [];
	const folder = `${runFolder()}/unionmount`;
	const targets = new Set(parseMountinfo(readFileIfAny("/proc/self/mountinfo") ?? "").map((mount) => mount.target));
	for (const name of lstatIfAny(folder) ? readdir(folder) : []) {
		if (!name.endsWith(".json")) continue;
		const mounted = readState<{ layer: string; target: string }>(`${folder}/${name}`);
		if (mounted && targets.has(mounted.target)) continue;
		unlinkIfAny(`${folder}/${name}`);
		removed.push(`${folder}/${name}`);
		try {
			const layer = mounted && findLayer(mounted.layer);
			if (layer) rmdir(openStore(layer.layout).merged(layer.id));
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
		}
	}
	return removed;
}

export function gcVerb() {
	for (const path of collect()) print(`${path}\n`);
}
