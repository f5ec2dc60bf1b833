/** What the single steps read from their command lines. */
import type { Netlink } from "../../../native/linux/netlink/request.ts";
import { findLink, type Link, links, parseHardware } from "../../../native/linux/route/link.ts";
import { parseInet } from "../../../native/linux/sockaddr.ts";
import { isDryRun } from "../../../native/linux/syscall.ts";
import { notA } from "../../common/command-line/options.ts";
import { fail, show, UsageError } from "../../common/errors.ts";
import { parseInterface } from "../subnet.ts";

/** The operand at a place of a command line. */
export function operand(operands: string[], at: number, verb: string, noun: string): string {
	const word = operands[at];
	if (word === undefined || word === "") throw new UsageError(`${verb}: no ${noun} given`);
	return word;
}

/** Nothing follows the operands that were read. */
export function noMore(operands: string[], count: number, verb: string) {
	if (operands.length > count) throw new UsageError(`${verb}: ${show(operands[count] as string)}: one operand too many`);
}

export function hardware(text: string, option: string): Uint8Array {
	return parseHardware(text) ?? notA(option, text, "a hardware address (02:42:ac:12:00:02)");
}

/** An interface that must be there. */
export function getLink(netlink: Netlink, name: string): Link {
	const found = findLink(netlink, name);
	if (found) return found;
	/* It may be one that the steps before would have made. */
	if (isDryRun()) return { index: 0, name, flags: 0, hardware: 1, mtu: 1500, operstate: "DOWN", details: {} };
	return fail(`${show(name)}: no such interface`, "`tsvethctl link ls` shows those that there are");
}

/** Names by index. */
export function linkNames(netlink: Netlink): (index: number | undefined) => string | undefined {
	const all = links(netlink);
	return (index) => (index === undefined ? undefined : (all.find((link) => link.index === index)?.name ?? `#${index}`));
}

/** `192.0.2.1/24`; without a prefix, one address. Throws UsageError. */
export function interfaceAddress(text: string, verb: string): { address: Uint8Array; prefix: number } {
	const read = parseInterface(text);
	if (!read) throw new UsageError(`${verb}: ${show(text)} is not an address (192.0.2.1/24)`);
	return { address: read.address, prefix: read.subnet.prefix };
}

/** `default`, `192.0.2.0/24`, `192.0.2.1`. Throws UsageError. */
export function destination(
	text: string,
	verb: string,
): { destination?: Uint8Array; prefix: number; family: "inet" | "inet6" | undefined } {
	if (text === "default") return { prefix: 0, family: undefined };
	const read = parseInterface(text);
	if (!read) throw new UsageError(`${verb}: ${show(text)} is not a network (192.0.2.0/24), or default`);
	return { destination: read.subnet.address, prefix: read.subnet.prefix, family: read.address.length === 4 ? "inet" : "inet6" };
}

export function inetAddress(text: string, option: string): Uint8Array {
	return parseInet(text) ?? notA(option, text, "an IPv4 or IPv6 address");
}

/** The number of a routing table: main, local, default, or a number. */
export function tableNumber(text: string, option: string): number {
	const named: Record<string, number> = { main: 254, local: 255, default: 253, all: 0 };
	const number = named[text] ?? (/^\d+$/.test(text) ? Number(text) : Number.NaN);
	return number >= 0 && number <= 0xffffffff ? number : notA(option, text, "a routing table (main, local, default, all, or a number)");
}

export function tableName(number: number): string {
	return { 254: "main", 255: "local", 253: "default" }[number] ?? String(number);
}

/** An option that may be on, off, or not given. */
export function onOff(text: string, option: string): boolean {
	return text === "on" ? true : text === "off" ? false : notA(option, text, "on or off");
}
