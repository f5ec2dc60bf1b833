/** tscgctl on this machine's cgroup layout; test/vm/cgctl.test.mjs runs the same on others. */
import { testOnHost } from "../support/cgctl-host.ts";

testOnHost(({ measures }) => !measures);
