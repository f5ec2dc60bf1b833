/**
 * The tool as a CNI plugin: https://github.com/containernetworking/cni/blob/main/SPEC.md, versions 0.3.0 to 1.1.0.
 *
 * Its role is told by the configuration's `type`, which is the name of the file that the runtime has looked for: as loopback, host-local,
 * portmap and firewall it does what these do, by any other name the work of bridge, host-local and portmap at once. The result, or an error, goes to standard output as JSON.
 */

import { readAll } from "../../../native/linux/fd.ts";
import { closeNetlink } from "../../../native/linux/netlink/request.ts";
import { tables } from "../../../native/linux/nftables/table.ts";
import { openNetfilter } from "../../../native/linux/nftables/transaction.ts";
import * as process from "../../../native/linux/process.ts";
import { SysError } from "../../../native/linux/syscall.ts";
import { decode } from "../../../native/linux/text.ts";
import { print } from "../../common/command-line/tool.ts";
import { ToolError, UsageError } from "../../common/errors.ts";
import { attachmentsOf, isGone } from "./attachment.ts";
import * as bridge from "./bridge.ts";
import { type Config, type Result, readConfig, versions } from "./config.ts";
import { type Call, readEnvironment } from "./environment.ts";
import { CniError, codes } from "./error.ts";
import { firewall, hostLocal, loopback, portmap, type Role } from "./others.ts";

const newest = versions[versions.length - 1] as string;

const roles: Record<string, Role> = {
	loopback,
	"host-local": hostLocal,
	portmap,
	firewall,
};

const everything: Role = {
	add: bridge.add,
	del: bridge.del,
	check: bridge.check,
	gc(config) {
		const isValid = (container: string, ifname: string | undefined) =>
			config.valid.some((one) => one.containerID === container && one.ifname === ifname);
		for (const attachment of attachmentsOf(config))
			if (isGone(attachment) || !isValid(attachment.container, attachment.ifname)) bridge.release(config, attachment);
	},
};

/** Does what the runtime asks for, and exits. */
export function plugin(): never {
	let version = newest;
	try {
		const call = readEnvironment();
		const input = decode(readAll(0, 1 << 22));
		if (call.command === "VERSION") answerVersion(input);
		else {
			const config = withArguments(readConfig(input, call.command), call);
			version = config.cniVersion;
			const role = roles[config.type] ?? everything;
			needsVersion(call.command, version);
			if (call.command === "ADD") {
				const result = role.add(config, call);
				if (result) print(`${JSON.stringify(resultFor(version, result))}\n`);
			} else if (call.command === "DEL") role.del(config, call);
			else if (call.command === "CHECK") role.check(config, call);
			else if (call.command === "GC") role.gc?.(config);
			else status(config);
		}
	} catch (error) {
		const { code, message, details } = describe(error);
		print(`${JSON.stringify({ cniVersion: version, code, msg: message, ...(details !== "" && { details }) })}\n`);
		process.exit(1);
	}
	process.exit(0);
}

/** What CNI_ARGS say counts where the configuration says nothing. */
function withArguments(config: Config, { ips, mac }: Call): Config {
	return { ...config, ips: config.ips.length > 0 ? config.ips : ips, ...(config.mac === undefined && mac && { mac }) };
}

function answerVersion(input: string) {
	let asked: unknown;
	try {
		asked = (JSON.parse(input === "" ? "{}" : input) as { cniVersion?: unknown } | null)?.cniVersion;
	} catch {
		throw new CniError(codes.decodeFailure, "the network configuration is not JSON");
	}
	print(
		`${JSON.stringify({ cniVersion: typeof asked === "string" && versions.includes(asked) ? asked : newest, supportedVersions: versions })}\n`,
	);
}

/** CHECK came with 0.4.0, STATUS and GC with 1.1.0. */
function needsVersion(command: string, version: string) {
	const needed = command === "CHECK" ? "0.4.0" : command === "STATUS" || command === "GC" ? "1.1.0" : versions[0];
	if (versions.indexOf(version) < versions.indexOf(needed as string))
		throw new CniError(codes.incompatibleVersion, `${command} needs cniVersion ${needed}, not ${version}`);
}

/** Ready for ADD: the firewall can be reached. */
function status(_config: Config) {
	try {
		const netlink = openNetfilter();
		tables(netlink, "ip");
		closeNetlink(netlink);
	} catch (error) {
		throw new CniError(codes.notAvailable, `nf_tables cannot be reached: ${(error as Error).message}`);
	}
}

/** A result in the form of its version: before 1.0.0 each address says its family. */
function resultFor(version: string, result: Result): object {
	const isOld = version.startsWith("0.");
	const ips = result.ips.map((ip) => (isOld ? { version: ip.address.includes(":") ? "6" : "4", ...ip } : withoutVersion(ip)));
	return { ...result, cniVersion: version, ips };
}

function withoutVersion<T extends object>(ip: T): object {
	const { version: _, ...rest } = ip as T & { version?: string };
	return rest;
}

function describe(error: unknown): { code: number; message: string; details: string } {
	if (error instanceof CniError) return error;
	if (error instanceof ToolError || error instanceof UsageError)
		return { code: codes.failed, message: error.message, details: error.hint ?? "" };
	if (error instanceof SysError) return { code: codes.failed, message: error.message, details: "" };
	/* A configuration that is nested so deep that it cannot be read is the only thing that we know to end here. */
	return {
		code: codes.decodeFailure,
		message: "the network configuration cannot be read",
		details: String((error as Error)?.message ?? ""),
	};
}
