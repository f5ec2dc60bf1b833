/** Waiting for many descriptors: man 7 epoll. */
import * as host from "#host";
import { EINTR } from "./errno.ts";
import * as nr from "./nr.ts";
import { struct } from "./struct.ts";
import { call, SysError, tryCall } from "./syscall.ts";

export const EPOLLIN = 1;
export const EPOLLPRI = 2;
export const EPOLLOUT = 4;
export const EPOLLERR = 8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
export const EPOLLEXCLUSIVE = 1 << 28;
export const EPOLLONESHOT = 1 << 30;
/** Events on change only: what is ready must be used up before it is waited for again. */
export const EPOLLET = 2 ** 31;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLL_CLOEXEC = 0o2000000;

/** The kernel packs it on x86_64 only. `data` is two numbers: what the event is of, and which one. */
export const epollEvent = /* @__PURE__ */ struct(
	[
		["events", "u32"],
		["data", "u64"],
	],
	host.arch === "x86_64",
);

export function epollCreate(): number {
	return call("epoll_create1", nr.SYS_epoll_create1, EPOLL_CLOEXEC);
}

/** An epoll instance with room for `count` events at a time. Its calls allocate nothing. */
export interface Epoll {
	readonly fd: number;
	/** Watches a descriptor: an event of it will have the numbers `kind` and `index`, 32 bits each. */
	add(fd: number, events: number, kind: number, index: number): void;
	/** The same, returning 0 or -errno (ENOSPC: /proc/sys/fs/epoll/max_user_watches; EPERM: not a file to wait for). */
	tryAdd(fd: number, events: number, kind: number, index: number): number;
	modify(fd: number, events: number, kind: number, index: number): void;
	/** A closed descriptor is no longer watched, unless another open one is the same file. */
	remove(fd: number): void;
	/** Sleeps until there are events or `milliseconds` (-1: for ever) have passed; returns how many there are, 0 too when a signal came. */
	wait(milliseconds: number): number;
	events(i: number): number;
	kind(i: number): number;
	index(i: number): number;
	/** Calls `handle` of each event's kind with its index and events: the same, faster. */
	dispatch(count: number, handlers: readonly ((index: number, events: number) => void)[]): void;
}

export function epoll(count: number): Epoll {
	const { size, offset } = epollEvent;
	const fd = epollCreate();
	const one = new Uint32Array(Math.ceil(size / 4));
	const ready = new Uint32Array(Math.ceil((size * count) / 4));
	/* Addresses, since the host takes a number faster than a view. Both views live as long as the functions below. */
	const [oneAt, readyAt] = [host.addressOf(one), host.addressOf(ready)];
	const step = size / 4;
	const data = offset.data / 4;
	const control = (operation: number, file: number, events: number, kind: number, index: number): number => {
		one[0] = events;
		one[data] = index;
		one[data + 1] = kind;
		return tryCall("epoll_ctl", nr.SYS_epoll_ctl, fd, operation, file, oneAt);
	};
	const check = (result: number) => {
		if (result < 0) throw new SysError("epoll_ctl", -result);
	};
	return {
		fd,
		add: (file, events, kind, index) => check(control(EPOLL_CTL_ADD, file, events, kind, index)),
		tryAdd: (file, events, kind, index) => control(EPOLL_CTL_ADD, file, events, kind, index),
		modify: (file, events, kind, index) => check(control(EPOLL_CTL_MOD, file, events, kind, index)),
		remove: (file) => check(control(EPOLL_CTL_DEL, file, 0, 0, 0)),
		wait(milliseconds) {
			const result = host.syscall(nr.SYS_epoll_pwait, fd, readyAt, count, milliseconds, null, 8);
			if (result < 0 && result !== -EINTR) throw new SysError("epoll_pwait", -result);
			return Math.max(result, 0);
		},
		events: (i) => ready[i * step] as number,
		kind: (i) => ready[i * step + data + 1] as number,
		index: (i) => ready[i * step + data] as number,
		dispatch(ended, handlers) {
			for (let at = 0; at < ended * step; at += step) {
				const handle = handlers[ready[at + data + 1] as number] as (index: number, events: number) => void;
				handle(ready[at + data] as number, ready[at] as number);
			}
		},
	};
}
