/** Key rings: man 7 keyrings, man 2 keyctl. */
import * as nr from "./nr.ts";
import { change } from "./syscall.ts";

const KEYCTL_JOIN_SESSION_KEYRING = 1;

/** Puts this process into a new session keyring, an empty one. Throws EDQUOT, ENOSYS. man 2 KEYCTL_JOIN_SESSION_KEYRING. */
export function joinSessionKeyring() {
	change("keyctl(KEYCTL_JOIN_SESSION_KEYRING)", nr.SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, null);
}
