/** The options that verbs share. Values stay text here: limits.ts and path.ts read them, once a verb needs them. */
import { options } from "../common/command-line/options.ts";

/** Which cgroup a path names. */
export const pathOptions = options([
	{
		long: "root",
		value: "PATH",
		help: "the cgroup that paths are below: /tsbox, or $TSBOX_CGROUP_ROOT",
		group: "Common",
		alias: ["cgroup-parent"],
	},
]);

/** The same for a verb that changes cgroups. */
export const changeOptions = options([
	...pathOptions,
	{
		long: "force",
		help: "change also a cgroup that tsbox did not make; v2: set a limit of memory below what is used",
		group: "Common",
		rare: true,
	},
]);

/** How a cgroup is made, where the verb makes it. */
export const leafOption = options([{ long: "leaf", help: "v2: move processes that stand in the way to a child `leaf`" }]);

export const makeOptions = options([
	{ long: "controllers", short: "g", value: "LIST", help: "only on these: cpu,memory; v2 for a hybrid layout's v2" },
	...leafOption,
]);

/** For a verb that puts processes into a cgroup. */
export const thawOption = options([{ long: "thaw", help: "let a frozen cgroup go on first" }]);

export const jsonOption = options([{ long: "json", help: "print JSON" }]);

export const recursiveOption = options([{ long: "recursive", short: "r", help: "the cgroups below it as well" }]);
