/** The same assertions run here on the koffi host, and in test/cli/host.test.ts on the QuickJS host. */
import t from "tap";
import { hostChecks } from "../support/host-checks.ts";

for (const [name, check] of hostChecks) t.test(name, async () => check());
