/** `tscgctl watch`: a line for each event of cgroups, as it happens. */

import { CLOCK_MONOTONIC, CLOCK_REALTIME, clockGettime } from "../../../native/linux/clock.ts";
import { POLLERR, POLLHUP, poll } from "../../../native/linux/poll.ts";
import { exit } from "../../../native/linux/process.ts";
import { nearest } from "../../common/command-line/nearest.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { findLayout } from "../group/layout.ts";
import { existingGroup, type Group, type PathOptions, shownName } from "../group/path.ts";
import { type Happening, parseTrigger, type Source, sourcesOf } from "./sources.ts";

export interface WatchOptions extends PathOptions {
	/** Only these events. */
	event?: string[];
	pressure?: string[];
	/** End after that many events, after that many seconds. */
	count?: number;
	timeout?: number;
	json?: true;
	quiet?: true;
}

const EVENTS = "populated frozen oom oom_kill oom_group_kill max high low pids_max pressure removed".split(" ");

/** The exit status when time is up before --count events, as timeout(1) has it. */
const TIMED_OUT = 124;

export function watch(line: { options: WatchOptions; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length === 0) throw new UsageError("watch: needs a cgroup's path");
	for (const event of options.event ?? [])
		if (!EVENTS.includes(event))
			throw new UsageError(`--event: no event is named "${event}"`, nearest(event, EVENTS) ?? `they are ${EVENTS.join(", ")}`);
	const triggers = (options.pressure ?? []).map(parseTrigger);
	const layout = findLayout();
	const watched = operands.map((path) => {
		const group = existingGroup(path, options, layout);
		return { group, sources: sourcesOf(group, triggers) };
	});
	if (!options.quiet) for (const { group, sources } of watched) announce(group, sources);

	let left = options.count ?? Infinity;
	const end = options.timeout === undefined ? undefined : clockGettime(CLOCK_MONOTONIC) + options.timeout;
	const remaining = new Set(watched);
	while (remaining.size > 0) {
		const now = clockGettime(CLOCK_MONOTONIC);
		if (end !== undefined && now >= end) exit(options.count === undefined ? 0 : TIMED_OUT);
		const all = [...remaining].flatMap(({ group, sources }) => sources.map((source) => ({ group, source })));
		const looks = all.map(({ source }) => source.every ?? Infinity);
		const timeout = Math.min(...looks, end === undefined ? Infinity : end - now);
		/* The last one is our own output: when its reader is gone, nobody waits for events. */
		const waiting = [...all.map(({ source }) => ({ fd: source.fd ?? -1, events: source.events ?? 0 })), { fd: 1, events: 0 }];
		const ready = poll(waiting, timeout === Infinity ? undefined : timeout);
		if ((ready[all.length] as number) & (POLLERR | POLLHUP)) exit(141);
		all.forEach(({ group, source }, i) => {
			if (!ready[i] && source.every === undefined) return;
			for (const happening of source.take(ready[i] as number)) {
				if (happening.event === "removed") for (const one of watched) if (one.group === group) remaining.delete(one);
				if (options.event && !options.event.includes(happening.event)) continue;
				tell(group, happening, options.json === true);
				if (--left === 0) exit(0);
			}
		});
	}
	if (options.count !== undefined) exit(1);
}

/** From here on nothing is missed: a script may wait for this line before it starts what it wants to watch. */
function announce(group: Group, sources: Source[]) {
	const names = sources.filter(({ name, fd }) => name !== "" && fd !== undefined).map(({ name }) => name);
	const looked = sources.filter(({ name, fd }) => name !== "" && fd === undefined).map(({ name }) => name);
	warn(`watching ${[shownName(group), names.join(" ")].join(": ")}${looked.length > 0 ? `; every half second: ${looked.join(" ")}` : ""}`);
}

function tell(group: Group, { event, ...facts }: Happening, asJson: boolean) {
	const time = clockGettime(CLOCK_REALTIME);
	if (asJson) return print(`${JSON.stringify({ time, cgroup: group.name, event, ...facts })}\n`);
	const { value, count, total, resource, kind, level, avg10 } = facts;
	const words = [
		clock(time),
		shownName(group),
		event,
		value === undefined ? "" : value ? "yes" : "no",
		resource,
		level,
		kind,
		avg10 === undefined ? "" : `${avg10}%`,
		count === undefined ? "" : `+${count} (${total})`,
	];
	print(`${words.filter(Boolean).join(" ")}\n`);
}

/** The time of the day, UTC: what the engine knows of time zones is nothing. */
function clock(time: number): string {
	const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
	const milliseconds = String(Math.floor((time % 1) * 1000)).padStart(3, "0");
	return `${two((time / 3600) % 24)}:${two((time / 60) % 60)}:${two(time % 60)}.${milliseconds}Z`;
}
