/** `info`: for people a paragraph a device, with -c columns. */

import { blockName } from "../../../native/linux/blockdev.ts";
import { type DmInfo, dmInfo, dmList } from "../../../native/linux/devmapper.ts";
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { print } from "../../common/command-line/tool.ts";
import { escapeControls, UsageError } from "../../common/errors.ts";
import { type DeviceOptions, device } from "./input.ts";

export interface InfoOptions extends DeviceOptions {
	columns?: true;
	options?: string;
	noheadings?: true;
	separator?: string;
	inactive?: true;
}

function devices(operands: string[], options: InfoOptions): DmInfo[] {
	if (operands.length > 0) return operands.map((operand) => device(operand));
	if (options.uuid !== undefined || options.minor !== undefined) return [device(undefined, options)];
	return dmList()
		.map(({ name }) => dmInfo(name))
		.filter((info) => info !== undefined);
}

export function info(operands: string[], options: InfoOptions) {
	const all = devices(operands, options);
	if (all.length === 0) return print("No devices found\n");
	print(options.columns || options.options !== undefined ? columns(all, options) : all.map((one) => `${paragraph(one)}\n`).join(""));
}

function paragraph(one: DmInfo): string {
	const state = one.suspended ? "SUSPENDED" : "ACTIVE";
	const tables = [one.hasActive ? "LIVE" : "", one.hasInactive ? "INACTIVE" : ""].filter((word) => word !== "").join(" & ");
	const ahead = readFileIfAny(`/sys/dev/block/${one.major}:${one.minor}/queue/read_ahead_kb`);
	const lines: [string, string | number][] = [
		["Name:", one.name],
		["State:", `${state}${one.readOnly ? " (READ-ONLY)" : ""}${one.deferredRemove ? " (DEFERRED REMOVE)" : ""}`],
		["Read Ahead:", ahead === undefined ? "" : 2 * Number(ahead)],
		["Tables present:", tables || "None"],
		["Open count:", one.openCount],
		["Event number:", one.eventNr],
		["Major, minor:", `${one.major}, ${one.minor}`],
		["Number of targets:", one.targetCount],
	];
	return `${lines.map(([name, value]) => `${name.padEnd(18)} ${escapeControls(String(value))}\n`).join("")}${one.uuid === "" ? "" : `UUID: ${escapeControls(one.uuid)}\n`}`;
}

interface Field {
	header: string;
	/** The least width; dmsetup's. */
	width: number;
	right?: true;
	value(one: DmInfo): string | number;
}

const attributes = (one: DmInfo) =>
	`${one.hasActive ? "L" : "-"}${one.hasInactive ? "I" : "-"}${one.suspended ? "s" : "-"}${one.readOnly ? "r" : "w"}`;

const FIELDS = new Map<string, Field>(
	Object.entries({
		name: { header: "Name", width: 16, value: ({ name }) => name },
		uuid: { header: "UUID", width: 32, value: ({ uuid }) => uuid },
		major: { header: "Maj", width: 3, right: true, value: ({ major }) => major },
		minor: { header: "Min", width: 3, right: true, value: ({ minor }) => minor },
		devno: { header: "DevNo", width: 5, value: ({ major, minor }) => `${major}:${minor}` },
		blkdevname: { header: "BlkDevName", width: 16, value: ({ major, minor }) => blockName(major, minor) ?? "" },
		attr: { header: "Stat", width: 4, value: attributes },
		open: { header: "Open", width: 4, right: true, value: ({ openCount }) => openCount },
		segments: { header: "Targ", width: 4, right: true, value: ({ targetCount }) => targetCount },
		events: { header: "Event", width: 6, right: true, value: ({ eventNr }) => eventNr },
		suspended: { header: "Suspended", width: 9, value: ({ suspended }) => (suspended ? "Suspended" : "Active") },
		readonly: { header: "Read-only", width: 9, value: ({ readOnly }) => (readOnly ? "Read-only" : "Writeable") },
		tables_loaded: {
			header: "Tables",
			width: 16,
			value: ({ hasActive, hasInactive }) =>
				[hasActive ? "Live" : "", hasInactive ? "Inactive" : ""].filter((word) => word !== "").join("/") || "None",
		},
		deferred_remove: { header: "DeferredRemove", width: 14, value: ({ deferredRemove }) => (deferredRemove ? "Deferred" : "") },
	} satisfies Record<string, Field>),
);

const DEFAULT = "name,major,minor,attr,open,segments,events,uuid";

function columns(all: DmInfo[], options: InfoOptions): string {
	const words = (options.options ?? DEFAULT).replace(/^\+/, `${DEFAULT},`).split(",");
	const fields = words.map((word) => {
		const field = FIELDS.get(word);
		if (!field) throw new UsageError(`-o: ${JSON.stringify(word)} is not a field`, `there are ${[...FIELDS.keys()].join(", ")}`);
		return field;
	});
	const rows = all.map((one) => fields.map((field) => escapeControls(String(field.value(one)))));
	/* Without a header dmsetup aligns nothing, for scripts. */
	if (options.separator !== undefined || options.noheadings) {
		const separator = options.separator ?? ":";
		const head = options.noheadings ? [] : [fields.map(({ header }) => header)];
		return [...head, ...rows].map((row) => `${row.join(separator)}\n`).join("");
	}
	const widths = fields.map(({ width, header }, i) => Math.max(width, header.length, ...rows.map((row) => (row[i] as string).length)));
	const line = (cells: string[]) =>
		`${cells
			.map((cell, i) => (fields[i]?.right ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
			.join(" ")
			.replace(/ +$/, options.noheadings ? "" : "$&")}\n`;
	return (
		(options.noheadings ? "" : `${fields.map(({ header }, i) => header.padEnd(widths[i] as number)).join(" ")}\n`) + rows.map(line).join("")
	);
}
