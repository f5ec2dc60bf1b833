/**
 * The option table of a command, and how a command line is read by it.
 *
 * One declaration feeds the parser, `--help`, the man page and the shell completion (help.ts).
 */
import { show, UsageError } from "../errors.ts";

export interface Option {
	/** The long name, without dashes. */
	long: string;
	/** One letter. */
	short?: string;
	/** The value's name in the help, if the option has one: `FILE`. */
	value?: string;
	/**
	 * The value may be left out. As getopt_long(3) has it, it then must stand in the same word: `--mount=FILE`. "both"
	 * allows it after the letter too, `-mFILE` (nsenter); "long" does not, so that letters can be joined (unshare).
	 */
	optional?: "long" | "both";
	/** Once this option has been written, the value may be the next word as well: `--user NAME` after --rootfs. */
	valueAfter?: string;
	help: string;
	/** Makes a value of the text, or throws UsageError by saying what it should be: `notA(option, text, "a port number (1-65535)")`. */
	parse?: (text: string, option: string) => unknown;
	/** May be given several times; the value is a list. */
	repeat?: true;
	/** A heading to stand under in the help. */
	group?: string;
	/** Shown by the man page only, to keep `--help` to a screen. */
	rare?: true;
	/** Another spelling that a peer program has. Not shown. */
	alias?: string[];
}

type Camel<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type ParsedValue<O extends Option> = O["parse"] extends (text: string, option: string) => infer V ? V : string;
type OneValue<O extends Option> = O["value"] extends string
	? O["optional"] extends string
		? ParsedValue<O> | true
		: ParsedValue<O>
	: true;
type Value<O extends Option> = O["repeat"] extends true ? OneValue<O>[] : OneValue<O>;

/** The values by the options' long names in camel case; what was not given is absent. */
export type Values<T extends readonly Option[]> = { [O in T[number] as Camel<O["long"]>]?: Value<O> };

export interface CommandLine<T extends readonly Option[]> {
	options: Values<T>;
	/** The options as they were written, for those whose order matters. */
	ordered: { long: string; value: unknown }[];
	operands: string[];
}

/** Declares an option table, with the types of its values. */
export function options<const T extends readonly Option[]>(table: T): T {
	return table;
}

/** Throws the message of a value that does not fit: `--port: "70000" is not a port number (1-65535)`. */
export function notA(option: string, text: string, noun: string): never {
	throw new UsageError(`${option}: ${JSON.stringify(text)} is not ${noun}`);
}

/** What an option table allows, by name. */
function find(table: readonly Option[], long: string): Option {
	const exact = table.find((option) => option.long === long || option.alias?.includes(long));
	if (exact) return exact;
	/* As getopt_long(3): the beginning of a name will do if it is the beginning of one name only. */
	const candidates = long === "" ? [] : table.filter((option) => option.long.startsWith(long));
	if (candidates.length === 1) return candidates[0] as Option;
	throw new UnknownOption(`--${long}`, candidates);
}

/** The runner (tool.ts) makes the message: the nearest known name is looked up only then. */
export class UnknownOption extends UsageError {
	constructor(
		readonly option: string,
		readonly candidates: Option[],
	) {
		super(
			candidates.length > 1
				? `${show(option)}: ambiguous; could be ${candidates.map((c) => `--${c.long}`).join(", ")}`
				: `${show(option)}: unknown option`,
		);
	}
}

/** An option as it stands on the command line: its declaration, how it was written, and its value's text. */
interface Written {
	option: Option;
	as: string;
	text: string | undefined;
}

/**
 * Cuts the command line into options and operands. With `stopAtOperand`, the first operand (or the N-th) ends the options,
 * as POSIX says for a tool that runs a command; `--` always does.
 */
function cut(argv: string[], table: readonly Option[], stopAtOperand: boolean | number): { written: Written[]; operands: string[] } {
	const written: Written[] = [];
	const operands: string[] = [];
	let i = 0;
	const takeValue = (option: Option, as: string, attached: string | undefined): string | undefined => {
		if (attached !== undefined || option.value === undefined) return attached;
		const isFree =
			as.startsWith("--") && i < argv.length && written.some((w) => w.option.long === option.valueAfter) && !argv[i]?.startsWith("-");
		if (option.optional && !isFree) return undefined;
		if (i >= argv.length) throw new UsageError(`${as}: needs a value: ${option.value}`);
		return argv[i++];
	};
	while (i < argv.length) {
		const word = argv[i++] as string;
		if (word === "--") {
			operands.push(...argv.slice(i));
			break;
		}
		if (word.startsWith("--")) {
			const equals = word.indexOf("=");
			const option = find(table, word.slice(2, equals < 0 ? undefined : equals));
			const as = `--${option.long}`;
			if (equals >= 0 && option.value === undefined) throw new UsageError(`${as}: takes no value`);
			written.push({ option, as, text: takeValue(option, as, equals < 0 ? undefined : word.slice(equals + 1)) });
		} else if (word.length > 1 && word.startsWith("-")) {
			for (let at = 1; at < word.length; at++) {
				const option = table.find((candidate) => candidate.short === word[at]);
				const as = `-${word[at]}`;
				if (!option) throw new UnknownOption(as, []);
				const rest = word.slice(at + 1);
				const takesRest = option.value !== undefined && option.optional !== "long" && rest !== "";
				written.push({ option, as, text: takeValue(option, as, takesRest ? rest.replace(/^=/, "") : undefined) });
				if (takesRest) break;
			}
		} else {
			operands.push(word);
			if (stopAtOperand && operands.length >= Number(stopAtOperand)) {
				operands.push(...argv.slice(i));
				break;
			}
		}
	}
	return { written, operands };
}

export function camel(long: string): string {
	return long.indexOf("-") < 0 ? long : long.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Reads a command line. */
export function parse<T extends readonly Option[]>(argv: string[], table: T, stopAtOperand: boolean | number): CommandLine<T> {
	const { written, operands } = cut(argv, table, stopAtOperand);
	const ordered: { long: string; value: unknown }[] = [];
	const values: Record<string, unknown> = {};
	for (const { option, as, text } of written) {
		const key = camel(option.long);
		const value = text === undefined ? true : option.parse ? option.parse(text, as) : text;
		ordered.push({ long: option.long, value });
		const list = option.repeat ? (values[key] as unknown[] | undefined) : undefined;
		if (list) list.push(value);
		else values[key] = option.repeat ? [value] : value;
	}
	return { options: values as Values<T>, ordered, operands };
}
