/** What was probably meant by a word that is not known. */

/** The hint with the nearest of the known names, or undefined if none is near. */
export function nearest(text: string, known: string[]): string | undefined {
	let best: string | undefined;
	let least = Math.max(2, Math.floor(text.replace(/^-+/, "").length / 3)) + 1;
	for (const name of known) {
		const d = name === "" ? Infinity : distance(text, name);
		if (d < least) [best, least] = [name, d];
	}
	return best && `did you mean '${best}'?`;
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
	let row = [...Array(b.length + 1).keys()];
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)));
		row = next;
	}
	return row[b.length] as number;
}
