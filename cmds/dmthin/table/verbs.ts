/** The single steps, with dmsetup's options. */
import { options } from "../../common/command-line/options.ts";
import { type Command, command } from "../../common/command-line/tool.ts";
import { integer } from "../../common/units.ts";
import { udevComplete, udevCookies, udevFlags } from "../udev/complete.ts";
import { clear, createDevice, load, message, mknodes, removeAll, removeDevices, rename, resume, suspend, wipe } from "./change.ts";
import { info } from "./info.ts";
import { deps, listDevices, status, table, targets, version, waitForEvent } from "./show.ts";

const uuid = { long: "uuid", short: "u", value: "UUID", help: "the device by its uuid; for create: the uuid it gets" } as const;
const major = { long: "major", short: "j", value: "N", parse: integer(0, 4095), help: "the device by its number", rare: true } as const;
const minor = { long: "minor", short: "m", value: "N", parse: integer(0, 1 << 20), help: "the device by its number", rare: true } as const;
const noflush = { long: "noflush", help: "do not wait for what is under way" } as const;
const inactive = { long: "inactive", help: "of the table that is loaded and not in force" } as const;
/** dmsetup's, for scripts: they change nothing here. */
const ignored = [
	{ long: "verbose", short: "v", help: "ignored", rare: true },
	{ long: "noudevsync", help: "ignored: where udevd runs it is waited for", rare: true },
	{ long: "noudevrules", help: "ignored", rare: true },
	{ long: "verifyudev", help: "ignored: nodes are always verified", rare: true },
	{ long: "checks", help: "ignored", rare: true },
	{ long: "readahead", value: "SECTORS", help: "ignored", rare: true },
	{ long: "yes", short: "y", help: "ignored", rare: true },
] as const;
const named = [uuid, major, minor, ...ignored] as const;

/** What `create` and others take of a table; shared with the verb of the same name for volumes. */
export function tableOptions() {
	return options([
		{ long: "table", value: "TABLE", help: "the table: lines START LENGTH TYPE PARAMETERS; else FILE or standard input" },
		{ long: "notable", short: "n", help: "no table yet" },
		{ long: "readonly", short: "r", help: "read-only" },
		...named,
	]);
}

export function statusOptions() {
	return options([{ long: "target", value: "TYPE", help: "only lines of this type" }, inactive, noflush, ...named]);
}

export function listOptions() {
	return options([
		{ long: "target", value: "TYPE", help: "only devices with such a line" },
		{ long: "tree", help: "what stands on what" },
		{ long: "exec", value: "COMMAND", help: "run it for each, with its path", rare: true },
		{ long: "options", short: "o", value: "FORM", help: "devno, blkdevname or devname" },
		...ignored,
	]);
}

/** The verbs, each with `prefix` before its name. */
export function stepVerbs(prefix: string): Command[] {
	const step = (name: string, summary: string, operands: string) => ({
		name: `${prefix}${name}`,
		summary,
		operands,
		...(prefix !== "" && { rare: true as const }),
	});
	const many = (name: string, summary: string, run: (operands: string[], options: object) => void) =>
		command({
			...step(name, summary, "DEVICE..."),
			dryRun: true,
			options: options([noflush, { long: "nolockfs", help: "do not freeze the file system" }, ...named]),
			run: (line) => run(line.operands, line.options),
		});
	return [
		command({
			...step("create", "make a device with a table in force", "DEVICE [FILE]"),
			dryRun: true,
			options: tableOptions(),
			run: (line) => createDevice(line.operands, line.options),
		}),
		command({
			...step("remove", "remove devices", "DEVICE..."),
			dryRun: true,
			options: options([
				{ long: "force", short: "f", help: "let its users get errors" },
				{ long: "retry", help: "try for some seconds" },
				{ long: "deferred", help: "if it is in use, when its last user closes it" },
				...named,
			]),
			run: (line) => removeDevices(line.operands, line.options),
		}),
		command({
			...step("remove_all", "remove all devices that nobody uses", ""),
			dryRun: true,
			options: options([
				{ long: "force", short: "f", help: "let their users get errors" },
				{ long: "deferred", help: "what is in use later" },
				...ignored,
			]),
			run: (line) => removeAll(line.options),
		}),
		many("suspend", "hold back the I/O of devices", suspend),
		many("resume", "put the loaded table in force, let I/O go on", resume),
		...["load", "reload"].map((name) =>
			command({
				...step(name, "load a table, to be put in force by resume", "DEVICE [FILE]"),
				dryRun: true,
				options: tableOptions(),
				run: (line) => load(line.operands, line.options),
			}),
		),
		many("clear", "forget the table that is loaded", clear),
		many("wipe_table", "put a table of errors in force", wipe),
		command({
			...step("rename", "give a device another name", "DEVICE NAME"),
			dryRun: true,
			options: options([{ long: "setuuid", help: "NAME is the uuid of a device that has none" }, ...named]),
			run: (line) => rename(line.operands, line.options),
		}),
		command({
			...step("message", "send a message to a target", "DEVICE SECTOR MESSAGE..."),
			dryRun: true,
			options: options(named),
			run: (line) => message(line.operands, line.options),
		}),
		command({
			...step("mknodes", "make the nodes that are missing, remove those of devices that are gone", "[DEVICE...]"),
			options: options(ignored),
			run: (line) => mknodes(line.operands),
		}),
		command({
			...step("ls", "list the devices", ""),
			options: listOptions(),
			run: (line) => listDevices(line.operands, line.options),
		}),
		command({
			...step("table", "show tables", "[DEVICE...]"),
			options: statusOptions(),
			run: (line) => table(line.operands, line.options),
		}),
		command({
			...step("status", "show what targets say of themselves", "[DEVICE...]"),
			options: statusOptions(),
			run: (line) => status(line.operands, line.options),
		}),
		command({
			...step("deps", "show what devices stand on", "[DEVICE...]"),
			options: options([{ long: "options", short: "o", value: "FORM", help: "devno, blkdevname or devname" }, inactive, ...named]),
			run: (line) => deps(line.operands, line.options),
		}),
		command({
			...step("info", "show devices", "[DEVICE...]"),
			options: options([
				{ long: "columns", short: "c", help: "a line a device" },
				{ long: "options", short: "o", value: "FIELDS", help: "which columns: name,uuid,major,minor,devno,attr,open,segments,events" },
				{ long: "noheadings", help: "no header" },
				{ long: "separator", value: "TEXT", help: "between columns that are not aligned" },
				inactive,
				...named,
			]),
			run: (line) => info(line.operands, line.options),
		}),
		command({
			...step("wait", "sleep until a device's next event", "DEVICE [EVENT]"),
			options: options([noflush, ...named]),
			run: (line) => waitForEvent(line.operands, line.options),
		}),
		command({ ...step("targets", "list the types of targets that the kernel has", ""), options: options(ignored), run: () => targets() }),
		command({ ...step("version", "show the versions of tsbox and the driver", ""), options: options(ignored), run: () => version() }),
		command({
			...step("udevcomplete", "tell a cookie's owner that an event is done: for udev's rules", "COOKIE"),
			options: options(ignored),
			run: (line) => udevComplete(line.operands),
		}),
		command({
			...step("udevflags", "print a cookie's flags: for udev's rules", "COOKIE"),
			options: options(ignored),
			run: (line) => udevFlags(line.operands),
		}),
		command({ ...step("udevcookies", "list the cookies", ""), options: options(ignored), run: () => udevCookies() }),
	];
}
