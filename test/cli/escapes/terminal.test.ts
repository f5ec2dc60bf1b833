/** Attack: a program in a container has the caller's terminal, types into it (TIOCSTI), and reads what is typed later. */
import t from "tap";
import { makeAttack } from "../../support/escapes.ts";
import { needsRoot } from "../../support/sandbox.ts";
import { tool } from "../../support/tools.ts";

const { folder, start, shell, remove } = makeAttack("terminal");
t.teardown(remove);

/** What a command's attack gets of the terminal that it is run on: lines of `escape terminal`, and the line that it typed. */
function onTerminal(command: string): { streams: string[]; typed: string } {
	const whole = `echo host $(stat -Lc %d:%r /dev/stdin); ${command} /escape terminal "typed\n"; read -r -t 0.3 line; echo "<$line>"`;
	const { stdout } = shell(`cd $(mktemp -d -p $TSBOX_RUN); sleep 1 | SHELL=/bin/bash script -qfec '${whole}' typescript`, {
		env: { TSBOX_DATA: `${folder}/data`, M: tool("mkcontainer.sh") },
	});
	const lines = stdout.replace(/\r/g, "").split("\n");
	const host = lines.find((line) => line.startsWith("host "))?.slice(5);
	if (!host || !lines.includes("ran terminal")) throw new Error(`${command}: ${stdout}`);
	return {
		streams: lines.filter((line) => line.endsWith(` ${host}`) && !line.startsWith("host")),
		typed: /<(.*)>/.exec(stdout)?.[1] ?? "",
	};
}

t.test("no program in a container has the caller's terminal, or types into it", needsRoot, (t) => {
	const id = start();
	for (const command of [
		`$M exec ${id}`,
		`$T enter --tty ${id} --`,
		`$T enter ${id} --`,
		`$T enter --new-session ${id} --`,
		"$T --rootfs $R --pid --proc --",
		"$T --rootfs $R --pid --proc --dev --tty --",
		"$M run --rootfs $R --",
		"$M run -it --rootfs $R --",
	]) {
		const { streams, typed } = onTerminal(command);
		t.same(streams, [], `${command}: the host's terminal is not open`);
		t.equal(typed, "", `${command}: no line was typed`);
	}
	t.end();
});
