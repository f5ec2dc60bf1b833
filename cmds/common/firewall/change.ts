/**
 * What has been put into the firewall, and by whom.
 *
 *     firewall/NAME   {"owner":{"pid":…,"start":…},"elements":[{"family":"ip","set":"published","key":[…]}, …]}
 *
 * The files come before the kernel's elements and go after them: what a kill leaves has a file, and `collectElements` and
 * `restoreElements` work from the files alone.
 */
import { EEXIST, ENOENT } from "../../../native/linux/errno.ts";
import { closeNetlink, isErrno, type Netlink, type Request } from "../../../native/linux/netlink/request.ts";
import { elementsAdd, elementsDelete, elementsOf, isAmong } from "../../../native/linux/nftables/set.ts";
import { tableDelete, tables } from "../../../native/linux/nftables/table.ts";
import { openNetfilter, transaction } from "../../../native/linux/nftables/transaction.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { fail, show } from "../errors.ts";
import { isAlive, isName, listState, makeStateFolder, type Owner, readState, runFolder, withLock, writeState } from "../state.ts";
import { type Element, elementOf } from "./elements.ts";
import { type FirewallFamily, firewallFamilies, type SetName, setOf, tableName, tableRequests } from "./layout.ts";

interface Entry {
	owner?: Owner;
	elements: Element[];
}

const folder = () => `${runFolder()}/firewall`;
const pathOf = (name: string) => `${folder()}/${name}`;

function locked<T>(work: (netlink: Netlink) => T): T {
	const withSocket = () => {
		const netlink = openNetfilter();
		try {
			return work(netlink);
		} finally {
			closeNetlink(netlink);
		}
	};
	if (isDryRun()) return withSocket();
	makeStateFolder(runFolder());
	makeStateFolder(folder());
	return withLock(folder(), withSocket);
}

/** The families of which there is a table. */
function presentFamilies(netlink: Netlink): FirewallFamily[] {
	const found = tables(netlink).filter(({ name }) => name === tableName);
	return firewallFamilies.filter((family) => found.some((table) => table.family === family));
}

function grouped(elements: readonly Element[]): { family: FirewallFamily; set: SetName; elements: Element[] }[] {
	const groups: { family: FirewallFamily; set: SetName; elements: Element[] }[] = [];
	for (const element of elements) {
		const group = groups.find(({ family, set }) => family === element.family && set === element.set);
		if (group) group.elements.push(element);
		else groups.push({ family: element.family, set: element.set, elements: [element] });
	}
	return groups;
}

const additions = (elements: readonly Element[]): Request[] =>
	grouped(elements).flatMap(({ family, set, elements: those }) => elementsAdd(setOf(family, set), those.map(elementOf)));

function missingTables(netlink: Netlink): Request[] {
	const present = presentFamilies(netlink);
	return firewallFamilies.filter((family) => !present.includes(family)).flatMap((family) => tableRequests(family, true));
}

/**
 * Puts elements in, all or none; the tables are made if they are not there. `name` is who they belong to, `owner` the
 * process with whose end they may go. Throws NetlinkError, EEXIST where an element is there already or overlaps another.
 */
export function addElements(name: string, elements: readonly Element[], owner?: Owner) {
	if (!isName(name)) fail(`firewall: ${show(name)}: not a name`);
	const wanted = additions(elements);
	locked((netlink) => {
		const before = isDryRun() ? undefined : readState<Entry>(pathOf(name));
		const write = (entry: Entry | undefined) => {
			if (isDryRun()) return;
			if (entry) writeState(pathOf(name), `${JSON.stringify(entry)}\n`);
			else unlinkIfAny(pathOf(name));
		};
		write({ ...(owner && { owner }), elements: [...(before?.elements ?? []), ...elements] });
		try {
			transaction(netlink, [...missingTables(netlink), ...wanted]);
		} catch (error) {
			write(before);
			throw error;
		}
	});
}

/** Takes out those of the elements that are there. */
function takeOut(netlink: Netlink, elements: readonly Element[]) {
	const remove = (those: readonly Element[]) =>
		transaction(
			netlink,
			grouped(those).flatMap(({ family, set, elements: some }) => elementsDelete(setOf(family, set), some.map(elementOf))),
		);
	try {
		remove(elements);
	} catch (error) {
		if (!isErrno(error, ENOENT)) throw error;
		/* Somebody has flushed the table, or a kill came between file and kernel. */
		remove(grouped(elements).flatMap(({ family, set, elements: some }) => present(netlink, family, set, some)));
	}
}

function present(netlink: Netlink, family: FirewallFamily, set: SetName, elements: readonly Element[]): Element[] {
	const declared = setOf(family, set);
	try {
		const found = elementsOf(netlink, declared);
		return elements.filter((element) => isAmong(declared, elementOf(element), found));
	} catch (error) {
		if (isErrno(error, ENOENT)) return [];
		throw error;
	}
}

/** Takes out what was put in under a name, or the part of it that `isWanted` says; what is gone already is fine. */
export function removeElements(name: string, isWanted: (element: Element) => boolean = () => true) {
	if (readEntry(name) === undefined) return;
	locked((netlink) => {
		const entry = readEntry(name);
		if (!entry) return;
		takeOut(netlink, entry.elements.filter(isWanted));
		if (isDryRun()) return;
		const rest = entry.elements.filter((element) => !isWanted(element));
		if (rest.length > 0) writeState(pathOf(name), `${JSON.stringify({ ...entry, elements: rest })}\n`);
		else unlinkIfAny(pathOf(name));
		if (listState(folder()).length === 0) removeTables(netlink);
	});
}

function readEntry(name: string): Entry | undefined {
	const entry = readState<Entry>(pathOf(name));
	return entry && Array.isArray(entry.elements) ? entry : undefined;
}

/** With the last element the tables go: nothing of ours is left in the firewall. */
function removeTables(netlink: Netlink) {
	try {
		transaction(
			netlink,
			presentFamilies(netlink).map((family) => tableDelete(family, tableName)),
		);
	} catch (error) {
		if (!isErrno(error, ENOENT)) throw error;
	}
}

/** What is in the files, by its name. */
export function firewallEntries(): { name: string; owner?: Owner; elements: Element[] }[] {
	return listState(folder()).flatMap((name) => {
		const entry = readEntry(name);
		return entry ? [{ name, ...entry }] : [];
	});
}

/** Makes the tables anew, with all that is in the files: after somebody has flushed or changed them. One transaction. */
export function restoreElements() {
	locked((netlink) => {
		const entries = firewallEntries();
		const old = presentFamilies(netlink).map((family) => tableDelete(family, tableName));
		if (entries.length === 0) return transaction(netlink, old);
		const tablesAnew = firewallFamilies.flatMap((family) => tableRequests(family, false));
		transaction(netlink, [...old, ...tablesAnew, ...additions(entries.flatMap(({ elements }) => elements))]);
	});
}

/** Takes out what belongs to processes that have ended; returns the names. */
export function collectElements(): string[] {
	const gone = firewallEntries().filter(({ owner }) => owner !== undefined && !isAlive(owner));
	for (const { name } of gone) removeElements(name);
	return gone.map(({ name }) => name);
}

/** True for an element that is there already, or overlaps another. */
export const isTaken = (error: unknown) => isErrno(error, EEXIST);
