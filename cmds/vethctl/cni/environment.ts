/** What a runtime says in the environment: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME. */
import { getenv } from "../../common/state.ts";
import { CniError, codes } from "./error.ts";

export interface Call {
	command: string;
	container: string;
	netns: string | undefined;
	ifname: string;
}

const commands = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"];

function wrong(name: string, why: string): never {
	throw new CniError(codes.invalidEnvironment, `${name}: ${why}`);
}

/** Throws CniError 4 for what is missing or cannot be. */
export function readEnvironment(): Call {
	const command = getenv("CNI_COMMAND") ?? "";
	if (!commands.includes(command)) wrong("CNI_COMMAND", `${JSON.stringify(command)} is none of ${commands.join(", ")}`);
	const needsContainer = ["ADD", "DEL", "CHECK"].includes(command);
	const container = getenv("CNI_CONTAINERID") ?? "";
	if (needsContainer && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}$/.test(container))
		wrong("CNI_CONTAINERID", container === "" ? "is missing" : "is not of letters, digits, _ . - (100 at most)");
	const ifname = getenv("CNI_IFNAME") ?? "";
	if (needsContainer && (!/^[\x21-\x7e]{1,15}$/.test(ifname) || /[/:%]/.test(ifname) || ifname === "." || ifname === ".."))
		wrong("CNI_IFNAME", ifname === "" ? "is missing" : "is not an interface's name (1 to 15 letters)");
	const netns = getenv("CNI_NETNS");
	if ((command === "ADD" || command === "CHECK") && netns === undefined) wrong("CNI_NETNS", "is missing");
	return { command, container, netns, ifname };
}
