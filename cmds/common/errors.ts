/** The errors that a person is to read. Anything else that is thrown is a bug of ours. */

/** `tool: what: why`, with a hint where we know the remedy, and the exit status. */
export class ToolError extends Error {
	constructor(
		message: string,
		readonly hint?: string,
		readonly status?: number,
	) {
		super(message);
	}
}

/** A command line that is wrong: says also where the help is. */
export class UsageError extends Error {
	constructor(
		message: string,
		readonly hint?: string,
	) {
		super(message);
	}
}

/** Ends the tool with an error line; see ToolError. */
export function fail(message: string, hint?: string, status?: number): never {
	throw new ToolError(message, hint, status);
}

/** A text with control characters and broken UTF-8 escaped, so that a hostile name in it cannot write to the reader's terminal. */
export function escapeControls(text: string): string {
	let out = "";
	for (let i = 0; i < text.length; i++) {
		const code = text.charCodeAt(i);
		const stray = code >= 0xdc80 && code <= 0xdcff && !(i > 0 && text.charCodeAt(i - 1) >= 0xd800 && text.charCodeAt(i - 1) < 0xdc00);
		if (code < 0x20 || code === 0x7f || (code >= 0x80 && code < 0xa0) || stray)
			out += `\\x${(stray ? code - 0xdc00 : code).toString(16).padStart(2, "0")}`;
		else out += text[i];
	}
	return out;
}

/** A name or path for a message: as it is if it is plain, else quoted and escaped. */
export function show(text: string): string {
	const isPlain = text !== "" && !/[ "]/.test(text) && escapeControls(text) === text;
	return isPlain ? text : `"${escapeControls(text.replace(/["\\]/g, "\\$&"))}"`;
}
