/** The container's terminal: script(1) is the user's. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { makeRoot, makeWorld, NOBODY, needsRoot } from "../support/sandbox.ts";

const world = makeWorld("tty");
mkdirSync(join(world.folder, "run/sandboxes"), { recursive: true, mode: 0o700 });
t.teardown(world.remove);
const { shell, folder } = world;

/** Runs a script on a terminal of 33 rows and 101 columns; what is typed comes when the script has written "ready". */
function onTerminal(script: string, typed = "", options = {}): string {
	const whole = `stty rows 33 cols 101; before=$(stty -g); ${script}; echo status $?; [ "$(stty -g)" = "$before" ] && echo restored`;
	const input = typed
		? `{ while ! grep -q ^ready typescript 2>/dev/null; do sleep 0.02; done; printf '${typed}'; sleep 0.3; }`
		: "sleep 0.2";
	const { stdout, stderr } = shell(`cd $(mktemp -d -p $TSBOX_RUN); ${input} | script -qfec '${whole}' typescript`, options);
	return `${stdout}${stderr}`.replace(/\r/g, "");
}

const container = "$T --rootfs $R --pid --proc --dev --tty";

t.test("as root", needsRoot, (t) => {
	t.test("the program's terminal is of its own devpts, controlling, /dev/console as well, and as large as the user's", (t) => {
		const output = onTerminal(
			`${container} sh -c "tty; stty size; stat -c %t:%T /dev/console /dev/pts/0; ls -1 /dev/pts; : > /dev/tty && echo controlling; exit 5"`,
		);
		t.match(output, "/dev/pts/0\n33 101\n88:0\n88:0\n0\nptmx\ncontrolling\nstatus 5\nrestored\n");
		t.end();
	});

	t.test("lines are edited by the container's terminal, and nothing is echoed twice", (t) => {
		const output = onTerminal(`${container} sh -c "echo ready; read -r line; echo got \\$line"`, "helk\\177lo\\r");
		t.match(output, "got hello\nstatus 0\nrestored\n");
		t.equal((output.match(/hel/g) ?? []).length, 2, output);
		t.end();
	});

	t.test("Control-C interrupts the program, not the tool", (t) => {
		const output = onTerminal(
			`${container} sh -c "trap \\"echo interrupted; exit 9\\" INT; echo ready; while :; do sleep 0.05; done"`,
			"\\003",
		);
		t.match(output, "interrupted\nstatus 9\nrestored\n");
		t.end();
	});

	t.test("a new size of the user's terminal is passed on", (t) => {
		const output = onTerminal(
			`(sleep 0.2; stty -F /dev/tty rows 40 cols 90) & ${container} sh -c "while [ \\"\\$(stty size)\\" = \\"33 101\\" ]; do sleep 0.05; done; stty size"`,
		);
		t.match(output, "40 90\nstatus 0\nrestored\n");
		t.end();
	});

	t.test("the terminal's settings are restored when the tool is told to end, and when it fails", (t) => {
		const killed = onTerminal(
			`(while ! pid=$(cat ${folder}/pid 2>/dev/null); do sleep 0.02; done; sleep 0.1; kill -TERM $(ps -o ppid= -p $pid)) & ${container} --pidfile ${folder}/pid sh -c "trap \\"exit 3\\" TERM; while :; do sleep 0.05; done"`,
		);
		t.match(killed, "status 3\nrestored\n");
		t.match(onTerminal(`${container} nosuch`), /execve nosuch: No such file or directory\nstatus 127\nrestored\n/);
		t.end();
	});

	t.test("without a terminal outside the program still has one, and the end of the input is its end", (t) => {
		const { stdout } = shell(`printf 'one\\ntwo\\n' | ${container} sh -c 'test -t 0 && test -t 1 && echo terminal; cat; echo end'`);
		t.match(stdout.replace(/\r/g, ""), /terminal\n[\s\S]*one\ntwo\n[\s\S]*end\n/);
		t.end();
	});

	t.test("much output arrives whole", (t) => {
		const { stdout } = shell(`${container} sh -c 'stty -onlcr; seq 1 200000' < /dev/null | md5sum; seq 1 200000 | md5sum`);
		const [got, expected] = stdout.split("\n");
		t.equal(got, expected);
		t.end();
	});

	t.test("start --wait gives a held sandbox the terminal that it has, though its input is the record's pipe", (t) => {
		const output = onTerminal(
			`$T --hold --rootfs $R --pid --proc --dev --tty -- sh -c "tty; stty size; echo ready; read -r line; echo got \\$line; exit 6" | cat | $T start --wait`,
			"hello\\r",
		);
		t.match(output, /\/dev\/pts\/0\n33 101\nready\nhello\ngot hello\nstatus 6\nrestored\n/);
		t.end();
	});

	t.test("the terminal belongs to the program's user", (t) => {
		const output = onTerminal(`${container} --user web sh -c "stat -c %u /dev/pts/0; : > /dev/tty && echo mine"`);
		t.match(output, "33\nmine\nstatus 0\nrestored\n");
		t.end();
	});
	t.end();
});

t.test("an ordinary user has a terminal in a user namespace", (t) => {
	const own = join(folder, "own");
	makeRoot(own, NOBODY);
	const output = onTerminal(`$T -r --rootfs ${own} --pid --proc --dev --tty sh -c "tty; stty size; id -u"`, "", { nobody: true });
	t.match(output, "/dev/pts/0\n33 101\n0\nstatus 0\nrestored\n");
	t.end();
});
