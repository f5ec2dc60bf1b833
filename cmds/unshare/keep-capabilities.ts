/** --keep-caps. */
import { capget, capset, raiseAmbient } from "../../native/linux/capability.ts";

/** Lets the program keep what this process may do in its user namespace: an exec keeps the ambient capabilities only. */
export function keepCapabilities() {
	const { effective, permitted } = capget();
	capset({ effective, permitted, inheritable: permitted });
	for (const capability of permitted) raiseAmbient(capability);
}
