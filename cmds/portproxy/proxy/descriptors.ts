import { getrlimit, RLIMITS, setrlimit } from "../../../native/linux/rlimit.ts";
import { SysError } from "../../../native/linux/syscall.ts";

/** As many descriptors as we are allowed: the usual soft limit of 1024 is for programs that use select(2). */
export function raiseDescriptorLimit() {
	const resource = RLIMITS.indexOf("nofile");
	try {
		const { soft, hard } = getrlimit(resource);
		if (soft !== hard) setrlimit(resource, hard, hard);
	} catch (error) {
		if (!(error instanceof SysError)) throw error;
	}
}
