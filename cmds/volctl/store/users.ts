/**
 * Who uses volumes: a file for each, volume-users/ID below the data folder, with all that is mounted in it:
 *
 *     {"id":"web","created":1764316800,"pid":4242,"start":881234,"remove":true,"mounts":[{"type":"volume","name":"data",...}]}
 *
 * A container (it has a folder containers/ID below the data folder) uses a volume until it is removed, running or not. Any
 * other sandbox or process uses it until it ends; a plan, which has no process yet, for a minute.
 */
import { CLOCK_REALTIME, clockGettime } from "../../../native/linux/clock.ts";
import { lstatIfAny, unlinkIfAny } from "../../../native/linux/stat.ts";
import type { PlannedMount } from "../../common/record.ts";
import {
	dataFolder,
	isAlive,
	isName,
	listState,
	makeStateFolder,
	type Owner,
	readState,
	runFolder,
	writeState,
} from "../../common/state.ts";

export interface UsedMount extends PlannedMount {
	/** The volume was made for this user alone, and has no name of somebody's choice. */
	anonymous?: boolean;
}

export interface User {
	id: string;
	/** Seconds since 1970. */
	created: number;
	/** Of a process that is no sandbox of ours; of a sandbox its state knows. */
	pid?: number;
	start?: number;
	/** Its anonymous volumes go with it. */
	remove?: boolean;
	mounts: UsedMount[];
}

/** How long a plan counts that nobody has made a sandbox of. */
const PLAN_SECONDS = 60;

function usersFolder(): string {
	return `${dataFolder()}/volume-users`;
}

export function userOf(id: string): User | undefined {
	return isName(id) ? readState<User>(`${usersFolder()}/${id}`) : undefined;
}

/** All that are noted, also those that have lapsed. */
export function allUsers(): User[] {
	return listState(usersFolder()).flatMap((id) => userOf(id) ?? []);
}

/** To be called by `withVolumes`, as all that changes. */
export function writeUser(user: User) {
	makeStateFolder(usersFolder());
	writeState(`${usersFolder()}/${user.id}`, `${JSON.stringify(user)}\n`);
}

export function forgetUser(id: string) {
	unlinkIfAny(`${usersFolder()}/${id}`);
}

export function isContainer(id: string): boolean {
	return lstatIfAny(`${dataFolder()}/containers/${id}`) !== undefined;
}

/** True while its process, or its sandbox, lives; or while a plan may still become one. */
export function isActive(user: User): boolean {
	const state = `${runFolder()}/sandboxes/${user.id}`;
	const supervisor = readState<Owner>(`${state}/supervisor`);
	const record = readState<Owner>(`${state}/record`);
	if ([supervisor, record].some((owner) => owner && isAlive(owner))) return true;
	if (user.pid !== undefined && user.start !== undefined) return isAlive({ pid: user.pid, start: user.start });
	/* A sandbox whose process is gone has ended, whatever is left of its state. */
	return !supervisor && !record && clockGettime(CLOCK_REALTIME) - user.created < PLAN_SECONDS;
}

/** True as long as its volumes may not be removed. */
export function isUsing(user: User): boolean {
	return isContainer(user.id) || isActive(user);
}

/** `container web`, `sandbox web`, `process 4242`. */
export function describeUser({ id, pid }: User): string {
	if (isContainer(id)) return `container ${id}`;
	return pid !== undefined && id.startsWith(`pid-${pid}-`) ? `process ${pid}` : `sandbox ${id}`;
}

/** What a process that is no sandbox is noted as. */
export function processId({ pid, start }: Owner): string {
	return `pid-${pid}-${start}`;
}

/** The users of a volume; `users` where they are known already. */
export function usersOf(name: string, users = allUsers()): User[] {
	return users.filter((user) => user.mounts.some((mount) => mount.name === name) && isUsing(user));
}
