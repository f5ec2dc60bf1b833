/** ls, stats, gc: what is published, what has come through it, and what has been left behind. */
import { print } from "../../common/command-line/tool.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { collectElements } from "../../common/firewall/change.ts";
import { removeHalfWritten } from "../../common/sandbox-state.ts";
import { isAlive, isName, runFolder } from "../../common/state.ts";
import { type Column, json, table } from "../../common/table.ts";
import { ask } from "../control.ts";
import { type Publication, publicationFolder, publicationNames, readPublication, servedPublication } from "../publication.ts";
import { putAway } from "../put-away.ts";
import { translatedFamilies } from "../rules.ts";
import { formatHost, formatRange, type Published } from "../spec.ts";

interface Row {
	id: string;
	proto: string;
	host: string;
	container: string;
	/** How traffic gets there: by the kernel's translation and the proxy, or by the proxy alone. */
	by: string;
	pid: number;
}

function rowsOf(id: string, { owner, destination, nat, ports }: Publication): Row[] {
	return ports.map((published) => ({
		id,
		proto: published.proto,
		host: formatHost(published),
		container: `${destination.inside ? "" : `${destination.address ?? destination.address6}:`}${formatRange(published.port, published.count)}`,
		by: wayOf(published, destination, nat),
		pid: owner.pid,
	}));
}

function wayOf(published: Published, destination: Publication["destination"], nat: Publication["nat"]): string {
	if (destination.inside) return "proxy inside";
	return nat !== "none" && translatedFamilies(published, destination).length > 0 ? `${nat}, proxy` : "proxy";
}

const columns: Column<Row>[] = [
	{ header: "ID", value: ({ id }) => id },
	{ header: "PROTO", value: ({ proto }) => proto },
	{ header: "HOST", value: ({ host }) => host },
	{ header: "CONTAINER", value: ({ container }) => container },
	{ header: "BY", value: ({ by }) => by },
	{ header: "PID", value: ({ pid }) => pid, right: true },
];

export function ls({ options, operands }: { options: { json?: true }; operands: string[] }) {
	for (const name of operands) if (!isName(name)) throw new UsageError(`${show(name)}: not a PID or a sandbox's id`);
	const names = operands.length > 0 ? operands : publicationNames();
	const rows = names.flatMap((name) => {
		const publication = servedPublication(name);
		return publication ? rowsOf(name, publication) : [];
	});
	print(options.json ? json(rows) : table(rows, columns));
}

export function stats({ operands }: { operands: string[] }) {
	if (operands.length === 0) throw new UsageError("stats: no PID or sandbox's id given");
	for (const name of operands) if (!isName(name)) throw new UsageError(`${show(name)}: not a PID or a sandbox's id`);
	for (const name of operands) {
		if (!servedPublication(name)) fail(`${name}: publishes no ports`, "`tsportproxy ls` shows who does");
		print(`${JSON.stringify(ask(`${publicationFolder(name)}/control`, { stats: true }))}\n`);
	}
}

/** Removes what a killed proxy, or one whose sandbox has gone, has left. */
export function gc() {
	for (const name of publicationNames()) {
		const publication = readPublication(name);
		if (publication && isAlive(publication.owner) && isAlive(publication.sandbox)) continue;
		putAway(name);
		print(`${name}\n`);
	}
	collectElements();
	removeHalfWritten(`${runFolder()}/firewall`);
}
