import { hierarchyName } from "../../../native/linux/cgroup.ts";
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { print } from "../../common/command-line/tool.ts";
import { json, table } from "../../common/table.ts";
import { findLayout } from "../group/layout.ts";
import { groupAt, isThere, type PathOptions, placesOf } from "../group/path.ts";

/** Shows the layout: which hierarchies are mounted, and which controller is where. */
export function info(line: { options: PathOptions & { json?: true } }) {
	const layout = findLayout();
	/* #subsys_name hierarchy num_cgroups enabled; gone with CONFIG_CGROUPS_V1 off. */
	const kernel = (readFileIfAny("/proc/cgroups") ?? "")
		.split("\n")
		.filter((row) => row !== "" && !row.startsWith("#"))
		.map((row) => row.split("\t"));
	const mounted = layout.hierarchies.flatMap((h) => h.controllers.map((name) => ({ name, version: h.version, mount: h.mount })));
	const controllers = [
		...mounted.map((each) => ({ ...each, cgroups: count(kernel, each.name), state: "on" })),
		...kernel
			.filter(([name]) => !mounted.some((each) => each.name === (each.version === 2 && name === "blkio" ? "io" : name)))
			.map(([name = "", , , enabled]) => ({
				name,
				version: undefined,
				mount: undefined,
				cgroups: undefined,
				state: enabled === "0" ? "disabled at boot" : "not mounted",
			})),
	].filter(({ name, state }) => state !== "not mounted" || !(layout.kind === "v2" && ["cpuacct", "devices", "freezer"].includes(name)));
	const root = groupAt("/", line.options, layout);
	const v2 = layout.hierarchies.find((h) => h.version === 2);
	const facts = {
		layout: layout.kind,
		root: root.name || "/",
		rootExists: placesOf(root).length > 0,
		...(v2 && { v2: { mount: v2.mount, controllers: v2.controllers, pressure: isThere("/proc/pressure/cpu") } }),
	};
	if (line.options.json) {
		const hierarchies = layout.hierarchies.map(({ version, mount, controllers: names, root: inside }) => ({
			version,
			mount,
			root: inside,
			controllers: names,
		}));
		return print(json({ ...facts, hierarchies, named: layout.named.map(({ name, mount }) => ({ name, mount })), controllers }));
	}
	const about = {
		v1: "v1: each controller on a hierarchy of its own",
		v2: "v2: all controllers on one hierarchy",
		hybrid: "hybrid: v1's hierarchies, and v2 beside them",
	};
	print(`layout  ${about[layout.kind]}\nroot    ${facts.root}${facts.rootExists ? "" : " (made when it is first needed)"}\n`);
	if (v2)
		print(
			`v2      ${v2.mount}, ${v2.controllers.length > 0 ? `with ${v2.controllers.join(" ")}` : "without controllers"}${facts.v2?.pressure ? ", pressure" : ", no pressure (psi=1 at boot turns it on)"}\n`,
		);
	for (const named of layout.named) print(`other   ${hierarchyName(named)} at ${named.mount}, left alone\n`);
	print("\n");
	print(
		table(controllers, [
			{ header: "CONTROLLER", value: (row) => row.name },
			{ header: "VERSION", value: (row) => row.version && `v${row.version}` },
			{ header: "CGROUPS", value: (row) => row.cgroups, right: true },
			{ header: "MOUNTED AT", value: (row) => row.mount ?? row.state },
		]),
	);
}

function count(kernel: string[][], name: string): number | undefined {
	const row = kernel.find(([each]) => each === (name === "io" ? "blkio" : name));
	return row && Number(row[2]);
}
