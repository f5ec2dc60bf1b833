/** Taking out all that is published of a sandbox. */
import { close } from "../../native/linux/fd.ts";
import { POLLIN, poll } from "../../native/linux/poll.ts";
import { pidfdOpen, pidfdSendSignal } from "../../native/linux/process.ts";
import { SIGINT, SIGKILL } from "../../native/linux/signal.ts";
import { SysError } from "../../native/linux/syscall.ts";
import { removeElements } from "../common/firewall/change.ts";
import { isAlive, type Owner } from "../common/state.ts";
import { forgetFlows } from "./flows.ts";
import { removeIptables } from "./iptables.ts";
import { firewallName, readPublication, removePublication } from "./publication.ts";

/** A proxy that has been asked to end has so long to put away its rules. */
const SECONDS = 5;

/** Ends the proxy of a name, and takes out all that is published; what is gone already is fine. */
export function putAway(name: string) {
	const publication = readPublication(name);
	if (publication) end(publication.owner);
	removeElements(firewallName(name));
	removeIptables(name);
	removePublication(name);
	if (publication) forgetFlows(publication.ports);
}

/** Asks a proxy to end, and waits until it has. */
export function end(owner: Owner) {
	let pidfd: number;
	try {
		pidfd = pidfdOpen(owner.pid);
	} catch (error) {
		if (error instanceof SysError) return;
		throw error;
	}
	if (isAlive(owner)) {
		pidfdSendSignal(pidfd, SIGINT);
		if (poll([{ fd: pidfd, events: POLLIN }], SECONDS)[0] === 0) pidfdSendSignal(pidfd, SIGKILL);
	}
	close(pidfd);
}
