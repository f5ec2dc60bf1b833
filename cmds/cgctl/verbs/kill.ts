/** Signals for all processes of a cgroup and of those below it; with SIGKILL until none is left. */

import { SIGKILL, signalNumber } from "../../../native/linux/signal.ts";
import { notA } from "../../common/command-line/options.ts";
import { UsageError } from "../../common/errors.ts";
import { parseDuration } from "../../common/units.ts";
import { killGroup } from "../group/kill.ts";
import { checkOurs, existingGroup, type PathOptions } from "../group/path.ts";

export function kill(line: { options: PathOptions & { signal?: string; timeout?: string }; operands: string[] }) {
	const { options, operands } = line;
	if (operands.length === 0) throw new UsageError("kill: no PATH given");
	const signal =
		options.signal === undefined
			? SIGKILL
			: (signalNumber(options.signal) ?? notA("--signal", options.signal, "a signal (TERM, 15, RTMIN+1)"));
	const timeout =
		options.timeout === undefined ? 10 : (parseDuration(options.timeout) ?? notA("--timeout", options.timeout, "a time (10s, 500ms)"));
	const groups = operands.map((path) => existingGroup(path, options));
	for (const group of groups) checkOurs(group, options);
	for (const group of groups) killGroup(group, timeout, signal);
}
