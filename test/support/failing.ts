/** For tests of bindings: a system call that has to fail. */
import type { Test } from "tap";
import { SysError } from "../../native/linux/syscall.ts";

/** Asserts that it throws a SysError of these properties. */
export function failing(
	t: Pick<Test, "match" | "ok">,
	run: () => unknown,
	wanted: Partial<Pick<SysError, "call" | "errno" | "object" | "message">>,
) {
	let thrown: unknown;
	try {
		run();
	} catch (error) {
		thrown = error;
	}
	t.ok(thrown instanceof SysError, `${run} fails`);
	const { call, errno, object, message } = (thrown ?? {}) as SysError;
	t.match({ call, errno, object, message }, wanted, String(run));
}
