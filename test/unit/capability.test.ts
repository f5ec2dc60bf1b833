/** Capabilities, beside /proc/self/status: of this thread, which gets back what it gives up. */
import { readFileSync } from "node:fs";
import t from "tap";
import {
	CAPABILITIES,
	type CapabilitySets,
	capabilityNumber,
	capget,
	capset,
	clearAmbient,
	lastCapability,
	raiseAmbient,
} from "../../native/linux/capability.ts";
import { failing } from "../support/failing.ts";

const needsRoot = process.getuid?.() === 0 ? {} : { skip: "needs root" };

/** A line of /proc/thread-self/status as a list of numbers. */
function status(field: string): number[] {
	const mask = BigInt(`0x${new RegExp(`^${field}:\\t([0-9a-f]+)$`, "m").exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1]}`);
	return Array.from({ length: 64 }, (_, i) => i).filter((i) => (mask >> BigInt(i)) & 1n);
}
const kernel = (): CapabilitySets => ({ effective: status("CapEff"), permitted: status("CapPrm"), inheritable: status("CapInh") });

t.test("the sets are those that the kernel shows", async (t) => {
	t.same(capget(), kernel());
});

t.test("the last one is that of /proc/sys/kernel/cap_last_cap", async (t) => {
	t.equal(lastCapability(), Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")));
});

t.test("a capability is known by its name in each spelling, and by its number", async (t) => {
	for (const text of ["CAP_SYS_ADMIN", "cap_sys_admin", "SYS_ADMIN", "sys_admin", "Cap_Sys_Admin", "21"])
		t.equal(capabilityNumber(text), 21, text);
	for (const text of ["", "CAP_", "SYS", "64", "-1", "1.5", "CAP_CAP_CHOWN", "0x15", "all", " 21"])
		t.equal(capabilityNumber(text), undefined, JSON.stringify(text));
	/* A kernel may have newer ones than we know by name. */
	t.equal(capabilityNumber("63"), 63);
});

t.test("what is dropped is gone from the effective set, and what is permitted can be taken up again", needsRoot, async (t) => {
	const before = capget();
	t.teardown(() => capset(before));
	const dropped = capabilityNumber("NET_RAW") as number;
	const high = CAPABILITIES.indexOf("CHECKPOINT_RESTORE");
	const without = (list: number[]) => list.filter((number) => number !== dropped && number !== high);
	capset({ ...before, effective: without(before.effective) });
	t.same(kernel(), { ...before, effective: without(before.effective) });
	capset(before);
	t.same(kernel(), before);
});

t.test("an ambient capability has to be inheritable, and all are cleared at once", needsRoot, async (t) => {
	const before = capget();
	t.teardown(() => capset(before));
	const chown = capabilityNumber("CHOWN") as number;
	failing(t, () => raiseAmbient(chown), { call: "prctl(PR_CAP_AMBIENT_RAISE)", errno: 1 });
	capset({ ...before, inheritable: [chown, 40] });
	t.same(status("CapInh"), [chown, 40]);
	raiseAmbient(chown);
	raiseAmbient(40);
	t.same(status("CapAmb"), [chown, 40]);
	clearAmbient();
	t.same(status("CapAmb"), []);
});
