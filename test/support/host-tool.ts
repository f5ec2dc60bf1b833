/**
 * The tool that test/cli/host.test.ts builds and runs: `host-tool checks`, `host-tool argv WORD...`, `host-tool fail WAY`
 * and so on.
 */
import * as host from "#host";
import { SYS_write } from "../../native/linux/nr.ts";
import { execvp } from "../../native/linux/process.ts";
import { hostChecks } from "./host-checks.ts";
import { fail } from "./host-failures.ts";

function print(line: string) {
	const bytes = host.encode(`${line}\n`);
	host.syscall(SYS_write, 1, bytes, bytes.byteLength);
}

/** One line of TAP for each check. */
function runChecks() {
	print(`1..${hostChecks.length}`);
	hostChecks.forEach(([name, check], i) => {
		try {
			check();
			print(`ok ${i + 1} - ${name}`);
		} catch (error) {
			print(`not ok ${i + 1} - ${name}: ${(error as Error).message}`);
		}
	});
}

/** The words as they came, and their bytes. */
function printWords(words: string[]) {
	for (const word of words) {
		const bytes = [...new Uint8Array(host.encode(word))].map((byte) => byte.toString(16).padStart(2, "0"));
		print(`${bytes.join("")} ${word}`);
	}
}

const [, mode = "", ...words] = host.argv();
if (mode === "checks") runChecks();
else if (mode === "argv") printWords(words);
else if (mode === "environ") printWords(host.environ());
else if (mode === "fail") fail(words[0] ?? "");
else if (mode === "exit") host.exit(Number(words[0]));
else if (mode === "exec") execvp(words, host.environ());
