/** tsinit: PID 1 of a container. It starts one program, hands it all signals, and reaps whatever ends. */
import { exit } from "../../native/linux/process.ts";
import { command, main, print } from "../common/command-line/tool.ts";
import { UsageError } from "../common/errors.ts";
import { licenseText } from "./license.ts";
import { details, examples, statuses } from "./manual.ts";
import { optionTable } from "./options.ts";
import { supervise } from "./supervise.ts";

declare const TSBOX_VERSION: string;

main({
	name: "tsinit",
	summary: "Run a program under an init that forwards signals to it and reaps orphans: for PID 1 of a container.",
	/* dockerd runs `docker-init --version`, splits it at " - ", and shows in `docker info` what follows "git.". */
	version: `tini version 0.19.0 (tsinit ${TSBOX_VERSION}, tsbox) - git.tsinit`,
	get details() {
		return details();
	},
	get examples() {
		return examples();
	},
	get statuses() {
		return statuses();
	},
	commands: [
		command({
			name: "",
			summary: "run a program under an init",
			operands: "PROGRAM [ARGUMENT...]",
			runsCommand: true,
			usageStatus: 1,
			failureStatus: 1,
			options: optionTable,
			run({ options, operands }) {
				if (options.license) return print(licenseText());
				if (options.pause && operands.length > 0) throw new UsageError("--pause: runs no program");
				if (!options.pause && operands.length === 0) throw new UsageError("no program given");
				if (options.termAll && options.killAll !== undefined) throw new UsageError("--term-all and --kill-all exclude each other");
				exit(supervise(options, operands));
			},
		}),
	],
});
