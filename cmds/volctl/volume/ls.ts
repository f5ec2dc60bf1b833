import { notA } from "../../common/command-line/options.ts";
import { print } from "../../common/command-line/tool.ts";
import { escapeControls, show, UsageError } from "../../common/errors.ts";
import { allUsers, usersOf } from "../store/users.ts";
import { allVolumes, type Volume } from "../store/volume.ts";
import { template } from "../template.ts";

export interface LsOptions {
	quiet?: true;
	filter?: string[];
	format?: string;
}

/** Lists volumes as `docker volume ls` does. */
export function ls({ options, operands }: { options: LsOptions; operands: string[] }) {
	if (operands.length > 0) throw new UsageError("ls: takes no operands", "`tsvolctl ls --filter name=TEXT` lists some");
	const volumes = filtered(allVolumes(), options.filter ?? []);
	const { format = "table" } = options;
	if (options.quiet && options.format === undefined) return print(volumes.map(({ name }) => `${name}\n`).join(""));
	if (format === "table")
		return print(
			tabulate(
				["DRIVER", "VOLUME NAME"],
				volumes.map(({ name }) => ["local", name]),
			),
		);
	const isTable = format.startsWith("table ");
	const fill = template(isTable ? format.slice(6) : format);
	const lines = volumes.map((volume) => fill(facts(volume)));
	if (!isTable) return print(lines.map((line) => `${line}\n`).join(""));
	print(
		tabulate(
			fill(HEADERS).split("\t"),
			lines.map((line) => line.split("\t")),
		),
	);
}

/** What a template is filled with, as Docker's CLI has it for a listing. */
function facts({ name, labels, data }: Volume): Record<string, unknown> {
	return {
		Availability: "N/A",
		Driver: "local",
		Group: "N/A",
		Labels: Object.keys(labels)
			.sort()
			.map((key) => `${key}=${labels[key]}`)
			.join(","),
		Links: "N/A",
		Mountpoint: data,
		Name: name,
		Scope: "local",
		Size: "N/A",
		Status: "N/A",
		LabelMap: labels,
	};
}

const HEADERS = {
	Availability: "AVAILABILITY",
	Driver: "DRIVER",
	Group: "GROUP",
	Labels: "LABELS",
	Links: "LINKS",
	Mountpoint: "MOUNTPOINT",
	Name: "VOLUME NAME",
	Scope: "SCOPE",
	Size: "SIZE",
	Status: "STATUS",
	LabelMap: {},
};

/** Docker's table: columns of at least 10, and 3 blanks between. */
function tabulate(header: string[], rows: string[][]): string {
	const all = [header, ...rows].map((row) => row.map((cell) => escapeControls(cell)));
	const widths = header.map((_, i) => Math.max(10, ...all.map((row) => (row[i] ?? "").length + 3)));
	return all.map((row) => `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] as number))).join("")}\n`).join("");
}

/** Those that --filter lets pass: each key must match, one of several values of a key is enough (all, of labels). */
export function filtered(volumes: Volume[], filters: string[]): Volume[] {
	const tests: Record<string, ((volume: Volume) => boolean)[]> = {};
	const users = allUsers();
	for (const filter of filters) {
		const equals = filter.indexOf("=");
		if (equals < 0) notA("--filter", filter, "KEY=VALUE");
		const [key, value] = [filter.slice(0, equals), filter.slice(equals + 1)];
		const test = testOf(key, value, (volume) => usersOf(volume.name, users).length > 0);
		tests[key] = [...(tests[key] ?? []), test];
	}
	const matches = (volume: Volume, key: string) => {
		const list = tests[key] as ((volume: Volume) => boolean)[];
		return key.startsWith("label") ? list.every((test) => test(volume)) : list.some((test) => test(volume));
	};
	return volumes.filter((volume) => Object.keys(tests).every((key) => matches(volume, key)));
}

function testOf(key: string, value: string, isUsed: (volume: Volume) => boolean): (volume: Volume) => boolean {
	if (key === "name") return ({ name }) => name.includes(value);
	if (key === "driver") return () => value === "local";
	if (key === "label" || key === "label!") {
		const equals = value.indexOf("=");
		const [label, wanted] = equals < 0 ? [value, undefined] : [value.slice(0, equals), value.slice(equals + 1)];
		const has = ({ labels }: Volume) => label in labels && (wanted === undefined || labels[label] === wanted);
		return key === "label" ? has : (volume) => !has(volume);
	}
	if (key !== "dangling") throw new UsageError(`--filter: ${show(key)} is not a filter`, "there are dangling, driver, label and name");
	const wanted = { true: true, "1": true, false: false, "0": false }[value];
	if (wanted === undefined) notA("--filter dangling", value, "true or false");
	return (volume) => isUsed(volume) !== wanted;
}
