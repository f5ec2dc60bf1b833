import { options } from "../../common/command-line/options.ts";
import { integer } from "../../common/units.ts";

/** Letters and names are those of lsns(8). */
export const lsOptions = options([
	{ long: "type", short: "t", value: "TYPE", repeat: true, help: "only this type: mnt, net, ipc, user, pid, uts, cgroup, time" },
	{ long: "task", short: "p", value: "PID", parse: integer(1, 2 ** 31 - 1, "a PID"), help: "only the namespaces of this process" },
	{ long: "persistent", short: "P", help: "only namespaces without a process" },
	{ long: "filter", short: "Q", value: "EXPR", help: "only those of which this is true: 'NPROCS < 2 && TYPE == \"net\"'" },
	{
		long: "tree",
		short: "T",
		value: "RELATION",
		optional: "both",
		help: "as a tree by parent, owner or process; by owner without a value",
	},
	{ long: "json", short: "J", help: "as JSON" },
	{ long: "output", short: "o", value: "LIST", help: "these columns; with a + in front, these too" },
	{ long: "output-all", help: "all columns" },
	{ long: "list-columns", short: "H", help: "print the columns that there are" },
	{ long: "noheadings", short: "n", help: "without the header line" },
	{ long: "notruncate", short: "u", help: "do not cut COMMAND at the terminal's edge" },
	{ long: "raw", short: "r", help: "cells with a single space between, odd characters as \\xNN" },
	{ long: "list", short: "l", help: "as a list: that is the default, but for the processes of one namespace", rare: true },
	{ long: "nowrap", short: "W", help: "a line for each namespace: that is always so", rare: true },
]);
