/**
 * What the kernel tells of a cgroup, as it happens.
 *
 *   v2  cgroup.events, memory.events and pids.events: a change is an IN_MODIFY (cgroup-v2.rst)
 *       cpu.pressure, memory.pressure, io.pressure: a trigger that is written there makes poll(2) return (accounting/psi.rst)
 *   v1  memory.oom_control, memory.pressure_level: an eventfd, registered by cgroup.event_control (cgroup-v1/memory.rst)
 *       all else (populated, frozen, memory.failcnt, pids.events) can only be looked at, every half second
 */

import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { EACCES, EBUSY, EINVAL, ENOENT, EOPNOTSUPP, EPERM } from "../../../native/linux/errno.ts";
import { eventfd, readEventfd } from "../../../native/linux/eventfd.ts";
import { close, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, open, readFile, write } from "../../../native/linux/fd.ts";
import { IN_DELETE, IN_MODIFY, inotifyAddWatch, inotifyInit, inotifyRead } from "../../../native/linux/inotify.ts";
import { POLLERR, POLLIN, POLLPRI } from "../../../native/linux/poll.ts";
import { exists } from "../../../native/linux/stat.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { parseDuration } from "../../common/units.ts";
import { childNames } from "../group/files.ts";
import { type Group, placesOf, shownName } from "../group/path.ts";
import { keyed, pidsIn, readTrimmed } from "../group/read.ts";
import { v1OomKills } from "../usage/oom.ts";

/** One event, with what is known of it. */
export interface Happening {
	/** populated, frozen, oom, oom_kill, max, high, low, pids_max, pressure, removed ... */
	event: string;
	/** populated, frozen: whether it is so now. */
	value?: boolean;
	/** How many times since it was last told, and since the cgroup was made. */
	count?: number;
	total?: number;
	/** pressure: of what; of which tasks (v2), with the average of 10 s in percent and the stall time in us; how bad (v1). */
	resource?: string;
	kind?: string;
	avg10?: number;
	level?: string;
}

export interface Source {
	/** What is watched, for people. */
	name: string;
	/** To wait on; where there is none, `take` is called every `every` seconds. */
	fd?: number;
	events?: number;
	every?: number;
	/** What has happened since the last time; `ready` is what poll(2) said. */
	take(ready: number): Happening[];
}

/** A trigger of `--pressure`: `memory some 100ms/1s`. */
export interface Trigger {
	resource: string;
	kind: string;
	/** Seconds of stall within a window of seconds. */
	stall: number;
	window: number;
}

/** Reads `[cpu|memory|io|irq] [some|full] STALL/WINDOW`. Throws UsageError. */
export function parseTrigger(text: string): Trigger {
	const [resource = "", kind = "", times = "", ...rest] = text.trim().split(/\s+/);
	const [stall, window] = times.split("/").map(parseDuration);
	if (!/^(cpu|memory|io|irq)$/.test(resource) || !/^(some|full)$/.test(kind) || !stall || !window || rest.length > 0)
		throw new UsageError(
			`--pressure: "${text}" is not a trigger`,
			"write it like 'memory some 100ms/1s': cpu, memory or io; some or full; stall/window",
		);
	if (stall > window) throw new UsageError(`--pressure: "${text}": the stall is longer than the window`);
	return { resource, kind, stall, window };
}

/** All that can be watched of a cgroup. */
export function sourcesOf(group: Group, triggers: Trigger[]): Source[] {
	const sources: Source[] = [];
	const places = placesOf(group);
	const v1 = places.filter(({ hierarchy }) => hierarchy.version === 1).map(({ folder }) => folder);
	for (const { hierarchy, folder } of places) {
		if (hierarchy.version === 2) sources.push(...eventFiles(folder), ...triggers.map((trigger) => pressure(folder, trigger)));
		else sources.push(...v1Sources(folder));
	}
	if (triggers.length > 0 && !places.some(({ hierarchy }) => hierarchy.version === 2))
		fail(
			`${shownName(group)}: --pressure: it is not on cgroup v2, which alone has pressure by cgroup`,
			"on v1 memory pressure is watched without --pressure, by memory.pressure_level",
		);
	/* A process may be in it on some hierarchies only. */
	if (v1.length === places.length)
		sources.push({ name: "cgroup.procs", every: LOOK, take: switching("populated", () => v1.some(isPopulated)) });
	sources.push(removal(places.map(({ folder }) => folder)));
	return sources;
}

/** What has changed in a file of counters (`key number` lines) since it was read before. */
function counting(path: string, name: (key: string) => string | undefined): () => Happening[] {
	let before = keyed(readTrimmed(path));
	return () => {
		const now = keyed(readTrimmed(path));
		const happened: Happening[] = [];
		for (const key in now) {
			const event = name(key);
			const total = now[key] as number;
			const count = total - (before[key] ?? 0);
			if (event && count > 0) happened.push({ event, count, total });
		}
		before = { ...before, ...now };
		return happened;
	};
}

/** The same for a value that is so or not so. */
function switching(event: string, look: () => boolean | undefined): () => Happening[] {
	let before = look();
	return () => {
		const value = look();
		if (value === undefined || value === before) return [];
		before = value;
		return [{ event, value }];
	};
}

function eventFiles(folder: string): Source[] {
	const flag = (name: string) => {
		const value = keyed(readTrimmed(`${folder}/cgroup.events`))[name];
		return value === undefined ? undefined : value === 1;
	};
	const pidsEvent = (key: string) => (key === "max" ? "pids_max" : undefined);
	const files: [string, () => () => Happening[]][] = [
		[
			"cgroup.events",
			() => {
				const takers = ["populated", "frozen"].map((name) => switching(name, () => flag(name)));
				return () => takers.flatMap((take) => take());
			},
		],
		["memory.events", () => counting(`${folder}/memory.events`, (key) => key)],
		["pids.events", () => counting(`${folder}/pids.events`, pidsEvent)],
	];
	return files
		.filter(([file]) => exists(`${folder}/${file}`))
		.map(([file, take]) => {
			const fd = inotifyInit();
			inotifyAddWatch(fd, `${folder}/${file}`, IN_MODIFY);
			/* What happens between the first reading, which is now, and the first waiting is not lost. */
			const read = take();
			return {
				name: file,
				fd,
				events: POLLIN,
				take() {
					inotifyRead(fd);
					return read();
				},
			};
		});
}

/** The folder's removal: kernel folders do not say IN_DELETE_SELF, the one above says IN_DELETE. */
function removal(folders: string[]): Source {
	const fd = inotifyInit();
	for (const folder of folders) inotifyAddWatch(fd, folder.slice(0, folder.lastIndexOf("/")) || "/", IN_DELETE);
	return {
		name: "",
		fd,
		events: POLLIN,
		take() {
			inotifyRead(fd);
			return folders.some((folder) => exists(folder)) ? [] : [{ event: "removed" }];
		},
	};
}

function pressure(folder: string, trigger: Trigger): Source {
	const { resource, kind, stall, window } = trigger;
	const file = `${resource}.pressure`;
	const path = `${folder}/${file}`;
	let fd: number;
	try {
		fd = open(path, O_RDWR | O_NONBLOCK);
		/* With its NUL, as the documentation's example writes it: the last byte is cut off. */
		write(fd, `${kind} ${Math.round(stall * 1e6)} ${Math.round(window * 1e6)}\0`);
	} catch (error) {
		throw error instanceof SysError ? explained(error, folder, trigger) : error;
	}
	return {
		name: file,
		fd,
		events: POLLPRI,
		take(ready) {
			/* The cgroup is gone: its trigger stays ready. */
			if (ready & POLLERR) {
				close(fd);
				this.fd = -1;
				return [];
			}
			const line = (readTrimmed(path) ?? "").split("\n").find((one) => one.startsWith(kind)) ?? "";
			const value = (name: string) => Number(line.split(`${name}=`)[1]?.split(" ")[0]);
			return [{ event: "pressure", resource, kind, avg10: value("avg10"), total: value("total") }];
		},
	};
}

function explained(error: SysError, folder: string, { resource, window }: Trigger): unknown {
	const { errno } = error;
	const what = `${folder}/${resource}.pressure`;
	if (errno === ENOENT || errno === EOPNOTSUPP) {
		if (!exists("/proc/pressure"))
			fail(
				`${what}: this kernel gives no pressure information`,
				"it takes CONFIG_PSI, and psi=1 on the kernel's command line where it is off by default",
			);
		if (readTrimmed(`${folder}/cgroup.pressure`) === "0")
			fail(`${what}: pressure is not accounted in this cgroup`, "its cgroup.pressure is 0: `tscgctl set PATH cgroup.pressure=1`");
		fail(`${what}: this kernel has no such pressure`);
	}
	if (errno === EINVAL)
		fail(
			`${what}: the kernel does not take this trigger`,
			window < 0.5 || window > 10
				? "a window is 500ms to 10s long"
				: "without CAP_SYS_RESOURCE a window is a multiple of 2s (Linux 6.5), and cpu pressure has no full",
		);
	if (errno === EBUSY) fail(`${what}: this descriptor has a trigger already`);
	if (errno === EPERM || errno === EACCES)
		fail(`${what}: no right to set a trigger`, "it takes write permission on the file; before Linux 6.5 CAP_SYS_RESOURCE too");
	return error;
}

/** Registers an eventfd for a file of v1's memory controller. */
function eventControl(folder: string, file: string, argument = ""): number {
	const fd = eventfd();
	const target = open(`${folder}/${file}`, O_RDONLY);
	const control = open(`${folder}/cgroup.event_control`, O_WRONLY);
	try {
		write(control, `${fd} ${target}${argument && ` ${argument}`}`);
	} finally {
		close(control);
		close(target);
	}
	return fd;
}

/** How often v1 is asked for what it does not tell. */
const LOOK = 0.5;

function v1Sources(folder: string): Source[] {
	const sources: Source[] = [];
	const looked = (name: string, take: () => Happening[]) => sources.push({ name, every: LOOK, take });
	if (exists(`${folder}/memory.oom_control`)) sources.push(oom(folder));
	if (exists(`${folder}/memory.pressure_level`)) sources.push(...pressureLevels(folder));
	if (exists(`${folder}/memory.failcnt`)) {
		let before = Number(readFile(`${folder}/memory.failcnt`));
		looked("memory.failcnt", () => {
			const total = Number(readTrimmed(`${folder}/memory.failcnt`) ?? before);
			const count = total - before;
			before = total;
			return count > 0 ? [{ event: "max", count, total }] : [];
		});
	}
	if (exists(`${folder}/pids.events`))
		looked(
			"pids.events",
			counting(`${folder}/pids.events`, () => "pids_max"),
		);
	if (exists(`${folder}/freezer.state`))
		looked(
			"freezer.state",
			switching("frozen", () => {
				const state = readTrimmed(`${folder}/freezer.state`);
				return state === undefined ? undefined : state === "FROZEN";
			}),
		);
	return sources;
}

/** Whether the cgroup or one below it has a process. */
function isPopulated(folder: string): boolean {
	return pidsIn(folder).length > 0 || childNames(folder).some((name) => isPopulated(`${folder}/${name}`));
}

/** Its eventfd is signalled before the kernel has chosen whom to kill: the count of the killed is looked at for a while. */
function oom(folder: string): Source {
	const fd = eventControl(folder, "memory.oom_control");
	let killsBefore = v1OomKills(folder);
	const killed = (): Happening[] => {
		const now = v1OomKills(folder);
		const count = now - killsBefore;
		killsBefore = now;
		return count > 0 ? [{ event: "oom_kill", count, total: now }] : [];
	};
	let total = 0;
	return {
		name: "memory.oom_control",
		fd,
		events: POLLIN,
		every: LOOK,
		take() {
			const count = readEventfd(fd);
			/* It is signalled for the last time when the cgroup goes. */
			if (!exists(folder)) return [];
			total += count;
			return [...(count > 0 ? [{ event: "oom", count, total }] : []), ...killed()];
		},
	};
}

/** How long a level speaks for those below it, in seconds. */
const SAME = 0.1;

/** One eventfd for each level. The kernel signals those of the lower levels as well, one after the other. */
function pressureLevels(folder: string): Source[] {
	const levels = ["critical", "medium", "low"];
	let fds: number[];
	try {
		fds = levels.map((level) => eventControl(folder, "memory.pressure_level", level));
	} catch (error) {
		/* Kernels with PREEMPT_RT have the file, and refuse. */
		if (error instanceof SysError && (error.errno === EINVAL || error.errno === EOPNOTSUPP)) return [];
		throw error;
	}
	let told = levels.length;
	let until = 0;
	const take = () => {
		const rank = fds.map(readEventfd).findIndex((count) => count > 0);
		const now = clockGettime(CLOCK_MONOTONIC);
		if (rank < 0 || !exists(folder) || (now < until && rank >= told)) return [];
		told = rank;
		until = now + SAME;
		return [{ event: "pressure", resource: "memory", level: levels[rank] as string }];
	};
	return fds.map((fd, i) => ({ name: i === 0 ? "memory.pressure_level" : "", fd, events: POLLIN, take }));
}
