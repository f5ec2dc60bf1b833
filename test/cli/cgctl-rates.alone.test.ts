/** What tscgctl's limits come to, in cpu time and bytes a second: measured, so alone on the machine. */
import { testOnHost } from "../support/cgctl-host.ts";

testOnHost(({ measures }) => measures === true);
