/**
 * What is published of a sandbox, in the run-time state:
 *
 *     ports/NAME/record    who serves it, of whom, and which ports (`Publication`)
 *     ports/NAME/control   the socket of the proxy (control.ts)
 *     firewall/ports.NAME  its elements of the firewall (cmds/common/firewall)
 *
 * NAME is the sandbox's id, or the PID of a process that is none. All of it goes with the sandbox's end: the proxy sees that.
 */

import { fail, show } from "../common/errors.ts";
import {
	isAlive,
	isName,
	listState,
	makeStateFolder,
	type Owner,
	readState,
	removeStateFolder,
	runFolder,
	writeState,
} from "../common/state.ts";
import type { Destination } from "./destination.ts";
import type { Published } from "./spec.ts";

export type Nat = "nft" | "iptables" | "none";

export interface Publication {
	/** The proxy. */
	owner: Owner;
	/** The sandbox's process. */
	sandbox: Owner;
	destination: Destination;
	nat: Nat;
	ports: Published[];
}

const folder = () => `${runFolder()}/ports`;

export function publicationFolder(name: string): string {
	if (!isName(name)) fail(`${show(name)}: not a PID or a sandbox's id`);
	return `${folder()}/${name}`;
}

export const firewallName = (name: string) => `ports.${name}`;

export function makePublicationFolder(name: string): string {
	const path = publicationFolder(name);
	makeStateFolder(runFolder());
	makeStateFolder(folder());
	makeStateFolder(path);
	return path;
}

export function readPublication(name: string): Publication | undefined {
	return readState<Publication>(`${publicationFolder(name)}/record`);
}

export function writePublication(name: string, publication: Publication) {
	writeState(`${publicationFolder(name)}/record`, `${JSON.stringify(publication)}\n`);
}

export function removePublication(name: string) {
	removeStateFolder(publicationFolder(name));
}

/** All names, also those of which there is only a folder yet. */
export function publicationNames(): string[] {
	return listState(folder());
}

/** The publication of a name whose proxy lives. */
export function servedPublication(name: string): Publication | undefined {
	const publication = readPublication(name);
	return publication && isAlive(publication.owner) ? publication : undefined;
}
