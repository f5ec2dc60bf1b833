/**
 * --format: the part of Go's templates that is used with volumes. `{{.Name}}`, `{{.Labels.key}}`, `{{index .Labels "key"}}`,
 * `{{json .Options}}`, `{{.Label "key"}}`, `{{range $k, $v := ...}}` is not; \t and \n in the text; `json` alone is `{{json .}}`.
 */
import { show, UsageError } from "../common/errors.ts";

type Facts = Record<string, unknown>;

/** Makes a function that fills a template. Throws UsageError for one that it cannot. */
export function template(format: string): (facts: Facts) => string {
	const source = format === "json" ? "{{json .}}" : format.replace(/\\t/g, "\t").replace(/\\n/g, "\n");
	const parts: ((facts: Facts) => string)[] = [];
	let at = 0;
	while (at < source.length) {
		const open = source.indexOf("{{", at);
		const text = source.slice(at, open < 0 ? undefined : open);
		if (text !== "") parts.push(() => text);
		if (open < 0) break;
		const close = source.indexOf("}}", open);
		if (close < 0) throw new UsageError(`--format: ${show(format)}: {{ without }}`);
		parts.push(expression(source.slice(open + 2, close).trim(), format));
		at = close + 2;
	}
	return (facts) => parts.map((part) => part(facts)).join("");
}

function expression(text: string, format: string): (facts: Facts) => string {
	const [, json = "", rest = text] = /^(json)\s+(.*)$/.exec(text) ?? [];
	const value = path(rest, format);
	return (facts) => (json ? goJson(value(facts)) : plain(value(facts)));
}

function path(text: string, format: string): (facts: Facts) => unknown {
	const index = /^index\s+(\.[\w.]*)\s+"([^"]*)"$/.exec(text);
	if (index) {
		const inner = path(index[1] as string, format);
		return (facts) => member(inner(facts), index[2] as string, "");
	}
	const label = /^\.Label\s+"([^"]*)"$/.exec(text);
	if (label) return (facts) => member(facts.LabelMap ?? facts.Labels, label[1] as string, "");
	if (text === ".") return (facts) => withoutHidden(facts);
	if (!/^(\.\w[\w-]*)+$/.test(text)) throw new UsageError(`--format: ${show(format)}: cannot read {{${text}}}`);
	const names = text.slice(1).split(".");
	return (facts) => {
		let value: unknown = facts;
		names.forEach((name, i) => {
			if (i === 0 && !(name in facts))
				throw new UsageError(`--format: no member ${show(name)}`, `there are ${Object.keys(withoutHidden(facts)).join(", ")}`);
			value = member(value, name, "<no value>");
		});
		return value;
	};
}

/** What `{{json .}}` shows not. */
function withoutHidden({ LabelMap: _, ...facts }: Facts): Facts {
	return facts;
}

function member(value: unknown, name: string, otherwise: string): unknown {
	if (typeof value !== "object" || value === null || !Object.keys(value).includes(name)) return otherwise;
	return (value as Facts)[name];
}

function plain(value: unknown): string {
	if (value === null || value === undefined) return "<no value>";
	if (Array.isArray(value)) return `[${value.map(plain).join(" ")}]`;
	if (typeof value !== "object") return String(value);
	return `map[${Object.keys(value)
		.sort()
		.map((key) => `${key}:${plain((value as Facts)[key])}`)
		.join(" ")}]`;
}

/** As Go's encoding/json writes: without blanks, and < > & escaped. */
function goJson(value: unknown): string {
	return JSON.stringify(value).replace(/[<>&]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
}
