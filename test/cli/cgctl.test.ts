/** tscgctl on this machine's cgroup layout; test/vm/cgctl.test.mjs runs the same on others. */
import t from "tap";
import { testOnHost } from "../support/cgctl-host.ts";

t.setTimeout(180_000);
testOnHost(({ measures }) => !measures);
