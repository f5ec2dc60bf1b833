/**
 * Filter expressions, as man 5 scols-filter has them: `TYPE == "net" && NPROCS < 2`.
 *
 *   or:      and { ("||" | OR) and }
 *   and:     not { ("&&" | AND) not }
 *   not:     ("!" | NOT) not | compare
 *   compare: operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | EQ NE LT LE GT GE | "=~" | "!~") operand ]
 *   operand: "(" or ")" | number | "string" | 'string' | true | false | COLUMN
 */
import { UsageError } from "../../common/errors.ts";

type Value = string | number | boolean;
type Term<Row> = (row: Row) => Value;

const WORDS: Record<string, string> = { OR: "||", AND: "&&", NOT: "!", EQ: "==", NE: "!=", LT: "<", LE: "<=", GT: ">", GE: ">=" };
const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|"([^"\n]*)"|'([^'\n]*)'|([A-Za-z][\w.%:/-]*)|(\|\||&&|[=!]~|[=!<>]=|[!<>()]))/y;

/** A token: what it is (an operator as itself), and its text. */
interface Token {
	kind: string;
	text: string;
}

function tokens(expression: string): Token[] {
	const found: Token[] = [];
	TOKEN.lastIndex = 0;
	while (TOKEN.lastIndex < expression.trimEnd().length) {
		const at = TOKEN.lastIndex;
		const match = TOKEN.exec(expression);
		if (!match) throw new UsageError(`--filter: cannot be read from here on: ${expression.slice(at).trim()}`);
		const [, number, double, single, word, operator] = match;
		if (number !== undefined) found.push({ kind: "number", text: number });
		else if (word !== undefined && WORDS[word.toUpperCase()]) found.push({ kind: WORDS[word.toUpperCase()] as string, text: word });
		else if (word !== undefined) found.push({ kind: "word", text: word });
		else if (operator !== undefined) found.push({ kind: operator, text: operator });
		else found.push({ kind: "string", text: double ?? single ?? "" });
	}
	return found;
}

const isTrue = (value: Value) => value !== false && value !== 0 && value !== "";

/** Compares as numbers where both sides are, else as text. Below 0: `a` comes first. */
function order(a: Value, b: Value): number {
	const [x, y] = [Number(a), Number(b)];
	if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
	return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

const COMPARISONS: Record<string, (a: Value, b: Value) => boolean> = {
	"==": (a, b) => order(a, b) === 0,
	"!=": (a, b) => order(a, b) !== 0,
	"<": (a, b) => order(a, b) < 0,
	"<=": (a, b) => order(a, b) <= 0,
	">": (a, b) => order(a, b) > 0,
	">=": (a, b) => order(a, b) >= 0,
};

/** Makes a test of an expression. `column` gives the value of a column by its name, undefined if there is none such. */
export function parseFilter<Row>(expression: string, column: (name: string) => Term<Row> | undefined): (row: Row) => boolean {
	const list = tokens(expression);
	let at = 0;
	const take = (kind: string): boolean => {
		if (list[at]?.kind !== kind) return false;
		at++;
		return true;
	};
	const wrong = (wanted: string): never => {
		const found = list[at];
		throw new UsageError(`--filter: ${wanted} is missing ${found ? `before ${JSON.stringify(found.text)}` : "at the end"}`);
	};

	const chain = (operator: string, part: () => Term<Row>, stopsAt: boolean): Term<Row> => {
		const parts = [part()];
		while (take(operator)) parts.push(part());
		if (parts.length === 1) return parts[0] as Term<Row>;
		return (row) => (stopsAt ? parts.some((term) => isTrue(term(row))) : parts.every((term) => isTrue(term(row))));
	};
	const or = (): Term<Row> => chain("||", and, true);
	const and = (): Term<Row> => chain("&&", not, false);
	const not = (): Term<Row> => {
		if (!take("!")) return compare();
		const term = not();
		return (row) => !isTrue(term(row));
	};
	const compare = (): Term<Row> => {
		const left = operand();
		const operator = list[at]?.kind ?? "";
		if (operator === "=~" || operator === "!~") {
			at++;
			const pattern = list[at]?.text ?? "";
			if (!take("string")) wrong("a string in quotes");
			const expected = operator === "=~";
			const regexp = regularExpression(pattern);
			return (row) => regexp.test(String(left(row))) === expected;
		}
		const comparison = COMPARISONS[operator];
		if (!comparison) return left;
		at++;
		const right = operand();
		return (row) => comparison(left(row), right(row));
	};
	const operand = (): Term<Row> => {
		const { kind, text } = list[at] ?? wrong("a value");
		if (take("(")) {
			const inner = or();
			if (!take(")")) wrong('")"');
			return inner;
		}
		if (take("number")) return () => Number(text);
		if (take("string")) return () => text;
		if (kind !== "word") wrong("a value");
		at++;
		if (/^(true|false)$/i.test(text)) return () => text.toLowerCase() === "true";
		return column(text) ?? wrong(`a column of the name ${text}`);
	};

	const term = or();
	if (at < list.length) wrong("an operator");
	return (row) => isTrue(term(row));
}

function regularExpression(pattern: string): RegExp {
	try {
		return new RegExp(pattern);
	} catch {
		throw new UsageError(`--filter: ${JSON.stringify(pattern)} is not a regular expression`);
	}
}
