/** The kernel mounts network file systems by addresses; names are looked up as the machine is set up to (getent). */
import { fail, show } from "../../common/errors.ts";
import { runProgram } from "../../common/run-program.ts";
import type { Options } from "./options.ts";

const isAddress = (host: string) => /^\d+\.\d+\.\d+\.\d+$/.test(host) || host.includes(":");

function addressOf(host: string): string {
	if (isAddress(host)) return host;
	const result = runProgram(["getent", "ahosts", host]);
	if (!result) fail(`${show(host)}: getent is not there to look up its address`, "give the address in place of the name");
	const address = /^\S+/m.exec(result.output)?.[0];
	return result.status === 0 && address ? address : fail(`${show(host)}: no address of this host is known`);
}

/** `o` with addr= an address: given as a name, or that of the device's host. */
export function withAddress({ type = "", device = "", o = "" }: Options): string {
	if (!/^(nfs|nfs3|nfs4|cifs|smb3)$/.test(type)) return o;
	const words = o === "" ? [] : o.split(",");
	const at = words.findIndex((word) => word.startsWith("addr=") || word.startsWith("ip="));
	const host =
		at >= 0
			? (words[at] as string).replace(/^\w+=/, "")
			: type.startsWith("nfs")
				? device.slice(0, device.lastIndexOf(":/"))
				: /^\/\/([^/]+)\//.exec(device)?.[1];
	if (!host) return o;
	const plain = host.replace(/^\[(.*)\]$/, "$1");
	const word = `${type.startsWith("nfs") ? "addr" : "ip"}=${addressOf(plain)}`;
	if (at >= 0) words[at] = word;
	else words.push(word);
	return words.join(",");
}
