/**
 * The kernel passes packets on between interfaces only if it is told to: net.ipv4.ip_forward, net.ipv6.conf.all.forwarding.
 *
 *     RUN/forwarding   {"ip":"0"}: what there was before the first network; put back after the last, if nobody has changed it since
 */
import { readFileIfAny, writeKernelFile } from "../../../native/linux/fd.ts";
import { unlinkIfAny } from "../../../native/linux/stat.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { readState, runFolder, writeState } from "../../common/state.ts";

const files = { ip: "/proc/sys/net/ipv4/ip_forward", ip6: "/proc/sys/net/ipv6/conf/all/forwarding" };

const pathOf = () => `${runFolder()}/forwarding`;

/** Turns it on, and remembers that we did. To be called under the lock of the networks. */
export function enableForwarding(family: keyof typeof files) {
	const now = readFileIfAny(files[family])?.trim();
	if (now === undefined || now === "1") return;
	if (!isDryRun()) writeState(pathOf(), `${JSON.stringify({ ...readState<Record<string, string>>(pathOf()), [family]: now })}\n`);
	writeKernelFile(files[family], "1");
}

/** Puts back what was there before, once no network needs it. */
export function restoreForwarding() {
	const before = readState<Partial<Record<keyof typeof files, string>>>(pathOf());
	if (!before) return;
	for (const family of ["ip", "ip6"] as const) {
		const value = before[family];
		if (value !== undefined && readFileIfAny(files[family])?.trim() === "1") writeKernelFile(files[family], value === "0" ? "0" : "1");
	}
	if (!isDryRun()) unlinkIfAny(pathOf());
}
