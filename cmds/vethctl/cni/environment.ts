/** What a runtime says in the environment: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_ARGS. */
import { parseHardware } from "../../../native/linux/route/link.ts";
import { getenv } from "../../common/state.ts";
import { parseInterface } from "../subnet.ts";
import { CniError, codes } from "./error.ts";

export interface Call {
	command: string;
	container: string;
	netns: string | undefined;
	ifname: string;
	/** Of CNI_ARGS: `IP=10.1.0.7,fd00::7;MAC=02:…`; other words are other plugins'. */
	ips: Uint8Array[];
	mac: Uint8Array | undefined;
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
	return { command, container, netns, ifname, ...readArguments(getenv("CNI_ARGS") ?? "") };
}

function readArguments(text: string): { ips: Uint8Array[]; mac: Uint8Array | undefined } {
	const words = text.split(";").map((word) => word.split("="));
	const value = (name: string) => words.find(([key]) => key === name)?.[1];
	const ips = (value("IP") ?? "").split(",").filter((one) => one !== "");
	const mac = value("MAC");
	return {
		ips: ips.map((one) => parseInterface(one)?.address ?? wrong("CNI_ARGS", `IP: ${JSON.stringify(one)} is not an address`)),
		mac: mac === undefined ? undefined : (parseHardware(mac) ?? wrong("CNI_ARGS", `MAC: ${JSON.stringify(mac)} is not a hardware address`)),
	};
}
