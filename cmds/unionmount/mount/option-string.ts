/**
 * The option string of an overlay mount, as mount(8) and mount(2) have it.
 *
 *     options  = option { "," option }
 *     option   = NAME [ "=" value ]
 *     lowerdir = LAYER { ":" LAYER } { "::" DATA-ONLY LAYER }       the topmost first
 *
 * A backslash takes the meaning from what follows it: `\,` in each value, `\:` between layers, `\\` for itself
 * (Documentation/filesystems/overlayfs.rst). On a command line a value may also stand in double quotes (mount(8)).
 */
import { show, UsageError } from "../../common/errors.ts";

export interface WrittenOption {
	name: string;
	/** Still escaped; true where there is no `=`. */
	value: string | true;
}

/** Cuts at each `separator` that no backslash stands before; pieces keep their backslashes. */
function cut(text: string, separator: string, quotes: boolean): string[] {
	const pieces: string[] = [];
	let piece = "";
	let quoted = false;
	for (let i = 0; i < text.length; i++) {
		const letter = text[i] as string;
		if (letter === "\\" && i + 1 < text.length) piece += letter + text[++i];
		else if (quotes && letter === '"' && (quoted || piece.endsWith("="))) quoted = !quoted;
		else if (letter === separator && !quoted) {
			pieces.push(piece);
			piece = "";
		} else piece += quoted && (letter === "," || letter === "\\") ? `\\${letter}` : letter;
	}
	if (quoted) throw new UsageError(`-o: ${show(text)}: a quotation mark is not closed`);
	return [...pieces, piece];
}

/** The options of a text, in their order; empty ones are left out. */
export function splitOptions(text: string): WrittenOption[] {
	return cut(text, ",", true)
		.filter((piece) => piece !== "")
		.map((piece) => {
			const equals = piece.indexOf("=");
			return equals < 0 ? { name: piece, value: true } : { name: piece.slice(0, equals), value: piece.slice(equals + 1) };
		});
}

export function unescapeValue(text: string): string {
	return text.includes("\\") ? text.replace(/\\(.)/gs, "$1") : text;
}

/** The value of lowerdir as paths. Layers behind `::` hold data only. Throws UsageError for an empty one. */
export function splitLayers(value: string): { lowerdir: string[]; datadir: string[] } {
	const lowerdir: string[] = [];
	const datadir: string[] = [];
	let isData = false;
	let gap = false;
	for (const piece of cut(value, ":", false)) {
		if (piece === "") {
			if (gap || lowerdir.length === 0) throw new UsageError(`lowerdir: ${show(value)}: a layer's path is empty`);
			gap = true;
			continue;
		}
		if (gap) isData = true;
		else if (isData)
			throw new UsageError(`lowerdir: ${show(value)}: a layer follows the data-only ones`, "data-only layers stand last, each behind ::");
		gap = false;
		(isData ? datadir : lowerdir).push(unescapeValue(piece));
	}
	if (gap) throw new UsageError(`lowerdir: ${show(value)}: a layer's path is empty`);
	return { lowerdir, datadir };
}

/** A path as a value that ends at a comma. */
export function escapeValue(path: string): string {
	return path.replace(/[\\,]/g, "\\$&");
}

/** A path as one layer of lowerdir. */
export function escapeLayer(path: string): string {
	return path.replace(/[\\,:]/g, "\\$&");
}

/** The option string of layers that are paths. */
export function joinOptions(layers: {
	lowerdir: string[];
	datadir?: string[] | undefined;
	upperdir?: string | undefined;
	workdir?: string | undefined;
	options?: Record<string, string | true> | undefined;
}): string {
	const { lowerdir, datadir = [], upperdir, workdir, options = {} } = layers;
	const words = [`lowerdir=${lowerdir.map(escapeLayer).join(":")}${datadir.map((path) => `::${escapeLayer(path)}`).join("")}`];
	if (upperdir !== undefined) words.push(`upperdir=${escapeValue(upperdir)}`);
	if (workdir !== undefined) words.push(`workdir=${escapeValue(workdir)}`);
	for (const name in options) words.push(options[name] === true ? name : `${name}=${escapeValue(options[name] as string)}`);
	return words.join(",");
}
