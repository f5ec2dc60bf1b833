import { read } from "../../../native/linux/fd.ts";
import { decode } from "../../../native/linux/text.ts";
import { print, warn } from "../../common/command-line/tool.ts";
import { ToolError, UsageError } from "../../common/errors.ts";
import { allUsers, usersOf } from "../store/users.ts";
import { ANONYMOUS, allVolumes } from "../store/volume.ts";
import { sizeOf } from "./du.ts";
import { filtered } from "./ls.ts";
import { removeUnused } from "./rm.ts";

export interface PruneOptions {
	all?: true;
	force?: true;
	filter?: string[];
}

/** Removes the volumes that nobody uses: those that nobody has named, with --all all of them. */
export function prune({ options, operands }: { options: PruneOptions; operands: string[] }) {
	if (operands.length > 0) throw new UsageError("prune: takes no operands");
	const filters = options.filter ?? [];
	const all = options.all || filters.some((filter) => /^all=(1|true)$/.test(filter));
	const wanted = filters.filter((filter) => !filter.startsWith("all="));
	const wrong = wanted.find((filter) => !/^label!?=/.test(filter));
	if (wrong !== undefined) throw new UsageError(`prune: --filter ${wrong}: only label and label! are filters here`);
	if (!options.force && !isConfirmed(all)) return;
	const users = allUsers();
	const unused = filtered(allVolumes(), wanted).filter(
		({ name, labels }) => (all || ANONYMOUS in labels) && usersOf(name, users).length === 0,
	);
	let reclaimed = 0;
	const removed: string[] = [];
	for (const volume of unused) {
		try {
			const { used } = sizeOf(volume);
			removeUnused(volume);
			reclaimed += used;
			removed.push(volume.name);
		} catch (error) {
			/* Somebody has begun to use it meanwhile, or it is gone. */
			if (!(error instanceof ToolError)) throw error;
			warn(error.message);
		}
	}
	if (removed.length > 0) print(`Deleted Volumes:\n${removed.join("\n")}\n\n`);
	print(`Total reclaimed space: ${decimalSize(reclaimed)}\n`);
}

/** Docker's question. Without an answer it is no. */
function isConfirmed(all: boolean | undefined): boolean {
	const which = all ? "all local volumes" : "anonymous local volumes";
	print(`WARNING! This will remove ${which} not used by at least one container.\nAre you sure you want to continue? [y/N] `);
	const bytes = new Uint8Array(64);
	const answer = decode(bytes, 0, read(0, bytes)).trim().toLowerCase();
	return answer === "y" || answer === "yes";
}

/** As Docker writes sizes: 1.234kB, powers of 1000, four digits. */
function decimalSize(bytes: number): string {
	const units = ["B", "kB", "MB", "GB", "TB", "PB"];
	let value = bytes;
	let power = 0;
	while (value >= 1000 && power < units.length - 1) {
		value /= 1000;
		power++;
	}
	return `${Number(value.toPrecision(4))}${units[power]}`;
}
