/** Compares what came of a behaviour's script with what it says. */
import type tap from "tap";
import type { Behaviour } from "./cgctl-behaviours.ts";

export interface Outcome {
	status: number | null;
	stdout: string;
	stderr: string;
}

type Assertions = Pick<typeof tap, "equal" | "match">;

export function checkBehaviour(t: Assertions, { status = 0, stdout, stderr }: Behaviour, result: Outcome) {
	if (stdout !== undefined) compare(t, result.stdout, stdout, "stdout");
	if (stderr !== undefined) compare(t, result.stderr, stderr, "stderr");
	t.equal(result.status, status, `status; stderr was: ${result.stderr}`);
}

function compare(t: Assertions, found: string, wanted: string | RegExp, name: string) {
	if (typeof wanted === "string") t.equal(found, wanted, name);
	else t.match(found, wanted, name);
}
