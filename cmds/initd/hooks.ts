/** --before and --after: a shell command line with the program's standing, signals forwarded to it. */
import { getpgrp } from "../../native/linux/process.ts";
import { setForegroundGroup } from "../../native/linux/terminal.ts";
import type { Init } from "./init.ts";
import { waitFor } from "./loop.ts";
import { spawn } from "./spawn.ts";

/** Returns the command's exit status. */
export function runHook(init: Init, command: string, environment: string[]): number {
	const status = waitFor(init, spawn(init, ["/bin/sh", "-c", command], environment));
	/* The terminal's foreground is the hook's group, which is empty now. */
	if (init.ownsTerminal) setForegroundGroup(0, getpgrp());
	return status;
}
