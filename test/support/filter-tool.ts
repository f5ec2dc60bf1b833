/** A filter of sandbox records, for test/unit/record.test.ts: adds a member, and refuses a sandbox whose id is `bad`. */

import { options } from "../../cmds/common/command-line/options.ts";
import { command, main, print } from "../../cmds/common/command-line/tool.ts";
import { fail } from "../../cmds/common/errors.ts";
import { filterRecords } from "../../cmds/common/record.ts";

main({
	name: "filter-tool",
	summary: "adds a member to each record",
	examples: [],
	commands: [
		command({
			name: "",
			summary: "adds a member to each record",
			operands: "[PID|ID...]",
			options: options([]),
			run({ operands }) {
				filterRecords(operands, ({ pid, record }) => {
					if (record?.id === "bad") fail("bad: refused");
					if (operands.length > 0 || !record) print(`${pid} ${record?.id ?? "-"}\n`);
					return { seen: pid };
				});
			},
		}),
	],
});
