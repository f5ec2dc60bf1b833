/** Terminals, beside stty(1) and the C library. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { close, O_NOCTTY, O_RDWR, open, pipe, read, write } from "../../native/linux/fd.ts";
import {
	columns,
	getAttributes,
	getForegroundGroup,
	getWindowSize,
	isTerminal,
	openPeer,
	openPseudoTerminal,
	rawAttributes,
	setAttributes,
	setForegroundGroup,
	setWindowSize,
} from "../../native/linux/terminal.ts";
import { hasCompiler, runC } from "../support/c.ts";
import { failing } from "../support/failing.ts";

function pair(t: Test) {
	const { master, number } = openPseudoTerminal();
	const path = `/dev/pts/${number}`;
	const slave = open(path, O_RDWR | O_NOCTTY);
	t.teardown(() => {
		close(slave);
		close(master);
	});
	const stty = (...words: string[]) => spawnSync("stty", ["-F", path, ...words], { encoding: "utf8" }).stdout.trim();
	return { master, slave, path, stty };
}

t.test("a pseudo-terminal has two ends, the slave at the path of its number", async (t) => {
	const { master, slave, path } = pair(t);
	t.ok(existsSync(path));
	t.ok(isTerminal(slave));
	t.ok(isTerminal(master));
	const { reader, writer } = pipe();
	t.notOk(isTerminal(reader));
	t.notOk(isTerminal(1_000_000));
	for (const fd of [reader, writer]) close(fd);
	write(slave, "out\n");
	const bytes = new Uint8Array(64);
	t.equal(Buffer.from(bytes.subarray(0, read(master, bytes))).toString(), "out\r\n");
	const peer = openPeer(master);
	t.ok(isTerminal(peer));
	close(peer);
});

t.test("the window's size is what stty says and sets", async (t) => {
	const { master, slave, stty } = pair(t);
	stty("rows", "33", "cols", "123");
	t.same([...new Uint16Array((getWindowSize(slave) as Uint8Array).buffer)], [33, 123, 0, 0]);
	t.equal(columns(master), 123);
	setWindowSize(master, new Uint8Array(new Uint16Array([50, 300, 0, 0]).buffer));
	t.equal(stty("size"), "50 300");
	t.equal(columns(slave), 300);
	setWindowSize(master, new Uint8Array(8));
	t.equal(columns(slave), undefined, "a width of 0 is none");
	t.equal(getWindowSize(1_000_000), undefined);
});

t.test("raw settings are those of cfmakeraw, and the old ones come back", async (t) => {
	const { slave, stty } = pair(t);
	for (const settings of [["sane"], ["sane", "-echo", "min", "5", "time", "7"], ["evenp", "ixany", "istrip"]]) {
		stty(...settings);
		const before = stty("-a");
		const attributes = getAttributes(slave);
		const raw = rawAttributes(attributes);
		t.equal(stty("-a"), before, "nothing is set yet");
		setAttributes(slave, raw);
		const after = stty("-a");
		for (const off of ["-isig", "-icanon", "-iexten", "-echo", "-ixon", "-icrnl", "-inlcr", "-istrip", "-opost", "-parenb"])
			t.match(after, new RegExp(`\\s${off}\\b`), off);
		t.match(after, /\scs8\b/);
		t.match(after, /min = 1; time = 0;/);
		if (hasCompiler) {
			const words = (bytes: Uint8Array) => [...new Uint32Array(bytes.slice(0, 16).buffer)];
			const [i, o, c, l] = words(attributes);
			const theirs = runC(`#include <stdio.h>
				#include <termios.h>
				int main(void) {
					struct termios t = { .c_iflag = ${i}u, .c_oflag = ${o}u, .c_cflag = ${c}u, .c_lflag = ${l}u };
					cfmakeraw(&t);
					printf("%u %u %u %u", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
				}`);
			t.equal(words(raw).join(" "), theirs);
		}
		setAttributes(slave, attributes);
		t.equal(stty("-a"), before);
	}
});

t.test("where it is not the controlling terminal it has no foreground group for us", async (t) => {
	const { slave } = pair(t);
	t.equal(getForegroundGroup(slave), -25);
	t.equal(setForegroundGroup(slave, process.pid), -25);
	failing(t, () => getAttributes(1_000_000), { call: "ioctl", errno: 9 });
});
