/** Waiting for descriptors. */
import { unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import * as host from "../../native/host/node.ts";
import { CLOCK_MONOTONIC, clockGettime } from "../../native/linux/clock.ts";
import { eventfd, readEventfd } from "../../native/linux/eventfd.ts";
import { close, pipe, read, write } from "../../native/linux/fd.ts";
import { IN_DELETE_SELF, IN_MODIFY, inotifyAddWatch, inotifyInit, inotifyRead } from "../../native/linux/inotify.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, poll } from "../../native/linux/poll.ts";

t.test("each descriptor is told of in its place; a negative one is left out", async (t) => {
	const { reader, writer } = pipe();
	const wanted = [
		{ fd: reader, events: POLLIN },
		{ fd: -1, events: POLLIN },
		{ fd: writer, events: POLLOUT },
		{ fd: 1_000_000, events: POLLIN },
	];
	t.same(poll(wanted, 0), [0, 0, POLLOUT, POLLNVAL]);
	write(writer, "x");
	t.same(poll(wanted), [POLLIN, 0, POLLOUT, POLLNVAL]);
	read(reader, new Uint8Array(1));
	t.same(poll([{ fd: reader, events: POLLIN }], 0), [0]);
	close(writer);
	t.same(poll([{ fd: reader, events: POLLIN }], 1), [POLLHUP]);
	close(reader);
	t.same(poll([{ fd: reader, events: POLLIN }], 1), [POLLNVAL]);
});

t.test("a writer without a reader has an error", async (t) => {
	const { reader, writer } = pipe();
	close(reader);
	t.same(poll([{ fd: writer, events: POLLOUT }], 1), [POLLOUT | POLLERR]);
	close(writer);
});

t.test("it sleeps as long as it was asked to, and not at all for a time that is past", async (t) => {
	const { reader, writer } = pipe();
	for (const seconds of [0.03, 0]) {
		const from = clockGettime(CLOCK_MONOTONIC);
		t.same(poll([{ fd: reader, events: POLLIN }], seconds), [0]);
		t.ok(clockGettime(CLOCK_MONOTONIC) - from >= seconds);
	}
	t.same(poll([{ fd: reader, events: POLLIN }], -5), [0]);
	t.same(poll([], 0), []);
	close(reader);
	close(writer);
});

t.test("an eventfd counts what is added to it", async (t) => {
	const fd = eventfd();
	t.equal(readEventfd(fd), 0);
	t.same(poll([{ fd, events: POLLIN }], 0), [0]);
	write(fd, new Uint8Array(new BigUint64Array([5n]).buffer));
	write(fd, new Uint8Array(new BigUint64Array([7n]).buffer));
	t.same(poll([{ fd, events: POLLIN }], 1), [POLLIN]);
	t.equal(readEventfd(fd), 12);
	t.equal(readEventfd(fd), 0);
	close(fd);
});

t.test("inotify tells of a change and of the end of a file", async (t) => {
	const path = join(tmpdir(), `tsbox-poll-${process.pid}`);
	writeFileSync(path, "");
	const fd = inotifyInit();
	const watch = inotifyAddWatch(fd, path, IN_MODIFY | IN_DELETE_SELF);
	t.same(inotifyRead(fd), []);
	writeFileSync(path, "x", { flag: "a" });
	t.same(poll([{ fd, events: POLLIN }], 1), [POLLIN]);
	t.same(inotifyRead(fd)[0], { wd: watch, mask: IN_MODIFY, name: "" });
	unlinkSync(path);
	t.ok(inotifyRead(fd).some(({ mask }) => mask === IN_DELETE_SELF));
	close(fd);
	t.equal(host.syscall(-1), -38);
});
