/** Signals: masks, dispositions, and taking them without a handler. They are sent to this thread alone: Node has others. */
import { readFileSync } from "node:fs";
import t from "tap";
import * as host from "../../native/host/node.ts";
import { close } from "../../native/linux/fd.ts";
import { SYS_tgkill } from "../../native/linux/nr.ts";
import { POLLIN, poll } from "../../native/linux/poll.ts";
import {
	readSignal,
	SIG_BLOCK,
	SIG_DFL,
	SIG_IGN,
	SIG_SETMASK,
	SIG_UNBLOCK,
	SIGINT,
	SIGKILL,
	SIGRTMIN,
	SIGTERM,
	SIGUSR1,
	SIGUSR2,
	setDisposition,
	signalfd,
	sigprocmask,
	sigset,
	sigsetAllBut,
	sigtimedwait,
} from "../../native/linux/signal.ts";
import { failing } from "../support/failing.ts";

/** A set of signals as /proc/PID/status prints it: bit N-1 for signal N. */
const status = (field: string) =>
	BigInt(`0x${new RegExp(`^${field}:\\t([0-9a-f]+)$`, "m").exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1]}`);
const bit = (signal: number) => 1n << BigInt(signal - 1);
const send = (signal: number) => t.equal(host.syscall(SYS_tgkill, process.pid, process.pid, signal), 0);

const LOW = SIGRTMIN + 5;
const HIGH = SIGRTMIN + 6;

t.test("a set has the bits that the kernel shows", async (t) => {
	const before = sigprocmask(SIG_BLOCK, sigset([LOW, HIGH]));
	t.equal(status("SigBlk") & (bit(LOW) | bit(HIGH)), bit(LOW) | bit(HIGH));
	sigprocmask(SIG_UNBLOCK, sigset([HIGH]));
	t.equal(status("SigBlk") & (bit(LOW) | bit(HIGH)), bit(LOW));
	t.same(
		sigprocmask(SIG_SETMASK, before),
		sigset([LOW]).map((byte, i) => byte | (before[i] as number)),
	);
	t.equal(status("SigBlk") & (bit(LOW) | bit(HIGH)), 0n);
	t.same([...sigset([1, 8, 9, 64])], [0x81, 0x01, 0, 0, 0, 0, 0, 0x80]);
	t.same([...sigsetAllBut([1, 64])], [0xfe, 255, 255, 255, 255, 255, 255, 0x7f]);
	t.same([...sigset([])], [0, 0, 0, 0, 0, 0, 0, 0]);
});

t.test("blocked signals are taken one by one, with who sent them; without one the wait ends in time", async (t) => {
	const set = sigset([LOW, HIGH]);
	const before = sigprocmask(SIG_BLOCK, set);
	t.equal(sigtimedwait(set, 0), undefined);
	t.equal(sigtimedwait(set, 0.01), undefined);
	send(HIGH);
	send(LOW);
	send(LOW);
	const from = { pid: process.pid, uid: process.getuid?.(), code: -6 /* SI_TKILL */ };
	t.same(sigtimedwait(set), { ...from, signal: LOW });
	t.same(sigtimedwait(set, 1), { ...from, signal: LOW });
	t.same(sigtimedwait(set, 1), { ...from, signal: HIGH });
	t.equal(sigtimedwait(set, 0), undefined);
	sigprocmask(SIG_SETMASK, before);
});

t.test("a signalfd is ready when there is a signal, and gives each once", async (t) => {
	const set = sigset([LOW]);
	const before = sigprocmask(SIG_BLOCK, set);
	const fd = signalfd(set);
	t.equal(readSignal(fd), undefined);
	t.same(poll([{ fd, events: POLLIN }], 0), [0]);
	send(LOW);
	t.same(poll([{ fd, events: POLLIN }], 1), [POLLIN]);
	t.same(readSignal(fd), { signal: LOW, code: -6, pid: process.pid, uid: process.getuid?.() });
	t.equal(readSignal(fd), undefined);
	close(fd);
	sigprocmask(SIG_SETMASK, before);
});

t.test("a disposition is set, and what it was before is told", async (t) => {
	t.equal(setDisposition(LOW, SIG_IGN), false);
	t.equal(status("SigIgn") & bit(LOW), bit(LOW));
	t.equal(setDisposition(LOW, SIG_IGN), true);
	send(LOW); /* and nothing happens */
	t.equal(setDisposition(LOW, SIG_DFL), true);
	t.equal(status("SigIgn") & bit(LOW), 0n);
	failing(t, () => setDisposition(SIGKILL, SIG_IGN), { call: "rt_sigaction", errno: 22 });
	failing(t, () => setDisposition(0, SIG_IGN), { errno: 22 });
});

t.test("signals that cannot be blocked are not", async (t) => {
	const before = sigprocmask(SIG_BLOCK, sigset([SIGKILL, SIGUSR1, SIGUSR2, SIGTERM, SIGINT]));
	t.equal(status("SigBlk") & bit(SIGKILL), 0n);
	t.equal(status("SigBlk") & bit(SIGTERM), bit(SIGTERM));
	sigprocmask(SIG_SETMASK, before);
});
