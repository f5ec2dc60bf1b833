/**
 * Published ports as rules of iptables, for machines whose rules are managed with it: what Docker has in its chain DOCKER, line
 * by line, in a chain TSBOX of the table nat.
 *
 *     -A PREROUTING -m addrtype --dst-type LOCAL -j TSBOX
 *     -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j TSBOX
 *     -A TSBOX -i BRIDGE -j RETURN
 *     -A TSBOX ! -i BRIDGE -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80
 *     -A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
 *
 * The rules of a sandbox stand in ports/NAME/iptables as long as they are in force, a JSON list a line: iptables, arguments.
 */
import { close, dup2, pipe, readAll, readFileIfAny } from "../../native/linux/fd.ts";
import { execvp, exit, exitStatus, fork, wait } from "../../native/linux/process.ts";
import { unlinkIfAny } from "../../native/linux/stat.ts";
import { dryRun, SysError } from "../../native/linux/syscall.ts";
import { decode } from "../../native/linux/text.ts";
import { fail } from "../common/errors.ts";
import { makeStateFolder, runFolder, withLock, writeState } from "../common/state.ts";
import type { Destination } from "./destination.ts";
import { publicationFolder, publicationNames } from "./publication.ts";
import { translatedFamilies } from "./rules.ts";
import { formatRange, type Published } from "./spec.ts";

const CHAIN = "TSBOX";

/** The program, the chain, and what comes after `-A CHAIN`. */
type Rule = [program: string, chain: string, ...words: string[]];

const rulesFile = (name: string) => `${publicationFolder(name)}/iptables`;

function jumps(program: string): Rule[] {
	const loopback = program === "iptables" ? "127.0.0.0/8" : "::1/128";
	const local = ["-m", "addrtype", "--dst-type", "LOCAL", "-j", CHAIN];
	return [
		[program, "PREROUTING", ...local],
		[program, "OUTPUT", "!", "-d", loopback, ...local],
	];
}

function rulesFor(ports: Published[], destination: Destination): Rule[] {
	const rules: Rule[] = [];
	const returns = new Set<string>();
	for (const published of ports)
		for (const family of translatedFamilies(published, destination)) {
			const program = family === "ip" ? "iptables" : "ip6tables";
			const to = (family === "ip" ? destination.address : destination.address6) as string;
			const { proto, hostAddress, hostPort, port, count } = published;
			const isAny = hostAddress === "" || hostAddress === "0.0.0.0" || hostAddress === "::";
			const length = family === "ip" ? 32 : 128;
			const at = isAny ? [] : ["-d", `${hostAddress}/${length}`];
			const notBridge = destination.bridge ? ["!", "-i", destination.bridge] : [];
			if (destination.bridge && !returns.has(program)) {
				returns.add(program);
				rules.push([program, CHAIN, "-i", destination.bridge, "-j", "RETURN"]);
			}
			const match = (number: number, ports: number) => ["-p", proto, "-m", proto, "--dport", formatRange(number, ports).replace("-", ":")];
			const target = (number: number) => (family === "ip" ? `${to}:${number}` : `[${to}]:${number}`);
			/* A range with the same ports is one rule: without a port in its target, DNAT keeps it. */
			if (hostPort === port && count > 1)
				rules.push([
					program,
					CHAIN,
					...at,
					...notBridge,
					...match(hostPort, count),
					"-j",
					"DNAT",
					"--to-destination",
					family === "ip" ? to : `[${to}]`,
				]);
			else
				for (let i = 0; i < count; i++)
					rules.push([program, CHAIN, ...at, ...notBridge, ...match(hostPort + i, 1), "-j", "DNAT", "--to-destination", target(port + i)]);
			rules.push([program, "POSTROUTING", "-s", `${to}/${length}`, "-d", `${to}/${length}`, ...match(port, count), "-j", "MASQUERADE"]);
		}
	return rules;
}

/** Adds the rules, all or none. */
export function addIptables(name: string, ports: Published[], destination: Destination) {
	const rules = rulesFor(ports, destination);
	if (rules.length === 0) return;
	for (const [program, chain, ...words] of rules) if (dryRun(`${program} -t nat -A ${chain} ${words.join(" ")}`)) continue;
	locked(() => {
		const before = readFileIfAny(rulesFile(name)) ?? "";
		const done: Rule[] = [];
		/* The file first: what is in force is always in it. */
		writeState(rulesFile(name), before + rules.map((rule) => `${JSON.stringify(rule)}\n`).join(""));
		try {
			for (const program of new Set(rules.map(([program]) => program))) {
				run(program, ["-N", CHAIN]);
				for (const jump of jumps(program)) if (run(program, ["-C", ...jump.slice(1)]) !== "") must("-A", jump);
			}
			for (const rule of rules) {
				if (isReturn(rule) && run(rule[0], ["-C", ...rule.slice(1)]) === "") continue;
				must("-A", rule);
				done.push(rule);
			}
		} catch (error) {
			for (const rule of done.reverse()) run(rule[0], ["-D", ...rule.slice(1)]);
			if (before === "") unlinkIfAny(rulesFile(name));
			else writeState(rulesFile(name), before);
			throw error;
		}
	});
}

const isReturn = (rule: Rule) => rule[rule.length - 1] === "RETURN";

/** Takes the rules out, those that `isWanted` says, and with the last of all the chain; what is gone already is fine. */
export function removeIptables(name: string, isWanted: (words: string[]) => boolean = () => true) {
	if (readFileIfAny(rulesFile(name)) === undefined) return;
	locked(() => {
		const rules = readRules(name);
		const removed = rules.filter((rule) => isWanted(rule));
		const rest = rules.filter((rule) => !removed.includes(rule));
		const others = publicationNames()
			.filter((other) => other !== name)
			.flatMap(readRules);
		for (const rule of removed) {
			/* Two sandboxes of one bridge share its RETURN. */
			const isShared = isReturn(rule) && others.some((other) => other.join(" ") === rule.join(" "));
			if (!isShared) run(rule[0], ["-D", ...rule.slice(1)]);
		}
		if (rest.length > 0) writeState(rulesFile(name), rest.map((rule) => `${JSON.stringify(rule)}\n`).join(""));
		else unlinkIfAny(rulesFile(name));
		for (const program of new Set(removed.map(([program]) => program)))
			if (![...rest, ...others].some((rule) => rule[0] === program)) {
				for (const jump of jumps(program)) run(program, ["-D", ...jump.slice(1)]);
				run(program, ["-F", CHAIN]);
				run(program, ["-X", CHAIN]);
			}
	});
}

function readRules(name: string): Rule[] {
	return (readFileIfAny(rulesFile(name)) ?? "")
		.split("\n")
		.filter(Boolean)
		.map((line) => JSON.parse(line) as Rule);
}

function locked(work: () => void) {
	makeStateFolder(`${runFolder()}/ports`);
	withLock(`${runFolder()}/ports`, work);
}

function must(how: string, [program, ...words]: Rule) {
	const error = run(program, [how, ...words]);
	if (error !== "") fail(`${program} -t nat ${how} ${words.join(" ")}: ${error}`);
}

/** Runs the program on the table nat, waiting for its lock; what it says where it fails, "" where it does not. */
function run(program: string, words: string[]): string {
	const { reader, writer } = pipe();
	const pid = fork();
	if (pid === 0) {
		dup2(writer, 1);
		dup2(writer, 2);
		try {
			execvp([program, "-w", "-t", "nat", ...words], ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
		} catch (error) {
			exit(error instanceof SysError ? 127 : 125);
		}
	}
	close(writer);
	const said = readAll(reader, 1 << 16);
	close(reader);
	const ended = wait(pid);
	const status = ended ? exitStatus(ended) : 1;
	if (status === 0) return "";
	return status === 127 ? "not found" : decode(said).trim().split("\n")[0] || `exit status ${status}`;
}
