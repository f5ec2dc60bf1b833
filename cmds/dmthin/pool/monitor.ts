/** `monitor`: waits for events of the pools' devices, extends what is too full, warns, and removes what was put off. */

import { CLOCK_MONOTONIC, clockGettime } from "../../../native/linux/clock.ts";
import { dmArmPoll, openControl } from "../../../native/linux/devmapper.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { ToolError } from "../../common/errors.ts";
import { listPools, type PoolRecord, readPool, readPoolIfAny, withPool } from "../store/pool.ts";
import { clearDeleted } from "../volume/manage.ts";
import { autoextend } from "./extend.ts";
import { poolStatusIfActive, poolTrouble } from "./status.ts";

/** In percent: from here on a pool's user is warned. */
const WARN_AT = 90;

export interface MonitorOptions {
	once?: true;
	interval?: number;
	timeout?: number;
}

export function monitor(operands: string[], { once, interval = 10, timeout }: MonitorOptions) {
	for (const operand of operands) readPool(operand);
	const control = openControl();
	const said = new Map<string, string>();
	const end = timeout === undefined ? Infinity : clockGettime(CLOCK_MONOTONIC) + timeout;
	for (;;) {
		/* Armed before the look, so that an event during it is not lost. */
		dmArmPoll();
		for (const name of operands.length > 0 ? operands : listPools()) {
			const pool = readPoolIfAny(name);
			if (pool) look(pool, said);
		}
		const rest = end - clockGettime(CLOCK_MONOTONIC);
		if (once || rest <= 0) return;
		/* The kernel tells at the low water mark and when a pool is full; what fills slowly above it is looked at now and then. */
		poll([{ fd: control, events: POLLIN }], Math.min(interval, rest));
	}
}

/** Looks after one pool. What is wrong with it is told when it changes, and does not end the watch. */
function look(pool: PoolRecord, said: Map<string, string>) {
	try {
		const status = poolStatusIfActive(pool);
		if (!status) return;
		for (const line of withPool(pool.name, () => {
			const now = poolStatusIfActive(pool);
			/* Another process may have extended it, and the record with it. */
			return now ? autoextend(readPool(pool.name), now) : [];
		}))
			tell(`extend ${pool.name}`, line, said, print);
		const after = poolStatusIfActive(pool);
		if (!after) return;
		const trouble = poolTrouble(pool, after);
		for (const what of ["data", "metadata"] as const) {
			const { used, total } = after[what];
			const percent = Math.floor((100 * used) / total);
			tell(
				`${what} ${pool.name}`,
				percent >= WARN_AT ? `${pool.name}: ${what} is ${percent}% full (${used} of ${total} blocks)` : "",
				said,
				(text) => warn(`warning: ${text.trim()}`),
			);
		}
		tell(`trouble ${pool.name}`, trouble ? `${trouble.what}: ${trouble.remedy}` : "", said, (text) => warn(text.trim()));
		for (const name of clearDeleted(pool)) print(`${pool.name}: ${name} is removed\n`);
	} catch (error) {
		if (!(error instanceof ToolError || error instanceof SysError)) throw error;
		tell(`error ${pool.name}`, error.message, said, (text) => warn(text.trim()));
	}
}

/** Says a thing once. */
function tell(key: string, text: string, said: Map<string, string>, how: (line: string) => void) {
	if (said.get(key) === text) return;
	said.set(key, text);
	if (text !== "") how(`${text}\n`);
}
