/** The end of what the program leaves behind. */
import { hasChildren } from "../../native/linux/process.ts";
import { SIGTERM } from "../../native/linux/signal.ts";
import { after, type Init } from "./init.ts";
import { step } from "./loop.ts";
import { DEFAULT_GRACE } from "./options.ts";
import { killRest, signalRest } from "./rest.ts";

/** Waits until no child is left, so long at most. Those of a child that ends become ours, so none is overlooked. */
function waitForRest(init: Init, seconds: number) {
	let isOver = false;
	const timer = seconds === Infinity ? undefined : after(init, seconds, () => (isOver = true));
	while (!isOver && hasChildren()) step(init);
	init.timers = init.timers.filter((other) => other !== timer);
}

/** What --wait-all, --term-all, --kill-all and --grace ask for once the program has ended. */
export function endRest(init: Init) {
	const { waitAll, killAll, termAll } = init.settings;
	if (waitAll !== undefined) waitForRest(init, waitAll);
	if (termAll && hasChildren()) signalRest(init, SIGTERM);
	if (killAll !== undefined && hasChildren()) {
		signalRest(init, SIGTERM);
		waitForRest(init, killAll);
	}
	if ((killAll !== undefined || init.stopping) && hasChildren()) {
		killRest(init);
		/* Not for ever: a process may be stuck in the kernel, another user's, or out of sight where there is no /proc. */
		waitForRest(init, DEFAULT_GRACE);
	}
}
