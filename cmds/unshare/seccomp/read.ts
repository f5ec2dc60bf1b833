/** Policies in OCI's JSON form (runtime-spec, config-linux.md, "Seccomp"), and in Docker's, which is that and some more. */
import { type Architecture, isCall } from "../../../native/linux/seccomp/calls.ts";
import {
	SECCOMP_FILTER_FLAG_LOG,
	SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	SECCOMP_FILTER_FLAG_TSYNC,
	SECCOMP_RET_ERRNO,
	SECCOMP_RET_TRACE,
} from "../../../native/linux/seccomp/constants.ts";
import { COMPATIBLE, type Machine } from "../../../native/linux/seccomp/default.ts";
import { ACTIONS, type Condition, type Operator, type Policy, PolicyError, type Rule } from "../../../native/linux/seccomp/policy.ts";
import { errnoName } from "../../../native/linux/strerror.ts";
import { parseExactly, readWord64 } from "./json.ts";
import { applies, type Surroundings } from "./profile.ts";
import { checkMembers, isObject, listOf, numberOf, objectsOf } from "./values.ts";

export interface Read {
	policy: Policy;
	/** SECCOMP_FILTER_FLAG_*. */
	flags: number;
	/** What of it has no effect here, a sentence each. */
	warnings: string[];
}

const EPERM = 1;
const MAX_ERRNO = 4095;

/** By the names of libseccomp and OCI, which has more: those of other machines are left out. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
	SCMP_ARCH_X86_64: "x86_64",
	SCMP_ARCH_X86: "i386",
	SCMP_ARCH_X32: "x32",
	SCMP_ARCH_AARCH64: "aarch64",
	SCMP_ARCH_ARM: "arm",
};
const OTHER_ARCHITECTURES =
	/^SCMP_ARCH_(NATIVE|MIPS(EL)?(64(N32)?)?|MIPS64N32|MIPSEL64N32|PPC|PPC64|PPC64LE|S390|S390X|PARISC|PARISC64|RISCV64|LOONGARCH64|M68K|SH|SHEB)$/;

const OPERATORS: Readonly<Record<string, Operator>> = {
	SCMP_CMP_NE: "ne",
	SCMP_CMP_LT: "lt",
	SCMP_CMP_LE: "le",
	SCMP_CMP_EQ: "eq",
	SCMP_CMP_GE: "ge",
	SCMP_CMP_GT: "gt",
	SCMP_CMP_MASKED_EQ: "masked",
};

const FLAGS: Readonly<Record<string, number>> = {
	SECCOMP_FILTER_FLAG_TSYNC,
	SECCOMP_FILTER_FLAG_LOG,
	SECCOMP_FILTER_FLAG_SPEC_ALLOW,
};

/** Reads a policy; throws PolicyError, which names the member that is wrong. An OCI config.json is read for its linux.seccomp. */
export function readPolicy(text: string, surroundings: Surroundings): Read {
	const json = parseExactly(text);
	if (!isObject(json)) throw new PolicyError("it is no object");
	const top = isObject(json.linux) && isObject(json.linux.seccomp) ? json.linux.seccomp : json;
	checkMembers(top, "defaultAction defaultErrnoRet defaultErrno architectures archMap flags listenerPath listenerMetadata syscalls", "");
	if (top.listenerPath || top.listenerMetadata) throw new PolicyError(`listenerPath: ${NO_LISTENER}`);
	const rules = objectsOf(top.syscalls, "syscalls").flatMap((rule, i) => {
		const where = `syscalls[${i}]`;
		const read = readRule(rule, where);
		return applies(rule, where, surroundings) ? read : [];
	});
	const unknown = [...new Set(rules.flatMap(({ names }) => names))].filter((name) => !isCall(name));
	return {
		policy: {
			architectures: readArchitectures(top, surroundings.machine),
			defaultAction: readAction(top.defaultAction, errnoOf(top.defaultErrno, "defaultErrno") ?? top.defaultErrnoRet, [
				"defaultAction",
				"defaultErrnoRet",
			]),
			rules,
		},
		flags: readFlags(top.flags),
		warnings: unknown.map((name) => `${JSON.stringify(name)} is no system call that is known here: it is ignored`),
	};
}

const NO_LISTENER = "another process would have to answer each call, and there is none that tsunshare could ask";

function readAction(value: unknown, errnoRet: unknown, [where, whereErrno]: [string, string]): number {
	if (typeof value !== "string") throw new PolicyError(`${where}: it is missing`);
	if (value === "SCMP_ACT_NOTIFY") throw new PolicyError(`${where}: SCMP_ACT_NOTIFY: ${NO_LISTENER}`);
	const name = value.replace(/^SCMP_ACT_/, "");
	const action = value.startsWith("SCMP_ACT_") && Object.keys(ACTIONS).includes(name) ? ACTIONS[name] : undefined;
	if (action === undefined) throw new PolicyError(`${where}: ${JSON.stringify(value)}: it is no action`);
	const hasData = action === SECCOMP_RET_ERRNO || action === SECCOMP_RET_TRACE;
	if (errnoRet === undefined || errnoRet === null) return hasData ? action + EPERM : action;
	if (!hasData) throw new PolicyError(`${whereErrno}: ${value} returns no error`);
	return action + numberOf(errnoRet, action === SECCOMP_RET_ERRNO ? MAX_ERRNO : 0xffff, whereErrno);
}

/** Podman's form names an error beside its number: `"errno": "ENOSYS"`. */
function errnoOf(name: unknown, where: string): number | undefined {
	if (name === undefined || name === null || name === "") return undefined;
	for (let errno = 1; errno < 134; errno++) if (errnoName(errno) === name) return errno;
	throw new PolicyError(`${where}: ${JSON.stringify(name)}: it is no error`);
}

/** A machine's own architecture is always among them. */
function readArchitectures(top: Record<string, unknown>, machine: Machine): Architecture[] {
	const listed = listOf(top.architectures, "architectures");
	const maps = objectsOf(top.archMap, "archMap");
	if (listed.length > 0 && maps.length > 0) throw new PolicyError("archMap: there is architectures already");
	const read = (name: unknown, where: string): Architecture | undefined => {
		const known = typeof name === "string" && Object.keys(ARCHITECTURES).includes(name) ? ARCHITECTURES[name] : undefined;
		if (!known && !OTHER_ARCHITECTURES.test(String(name)))
			throw new PolicyError(`${where}: ${JSON.stringify(name)}: it is no architecture`);
		return known;
	};
	const named = listed.map((name, i) => read(name, `architectures[${i}]`));
	for (const [i, map] of maps.entries()) {
		checkMembers(map, "architecture subArchitectures", `archMap[${i}].`);
		const subs = listOf(map.subArchitectures, `archMap[${i}].subArchitectures`);
		const names = subs.map((name, j) => read(name, `archMap[${i}].subArchitectures[${j}]`));
		if (read(map.architecture, `archMap[${i}].architecture`) === machine) named.push(...names);
	}
	return COMPATIBLE[machine].filter((architecture) => architecture === machine || named.includes(architecture));
}

/** None named is runc's default: speculation stays as it is. */
function readFlags(value: unknown): number {
	if (value === undefined || value === null) return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	return listOf(value, "flags").reduce((flags, name, i) => {
		if (name === "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") throw new PolicyError(`flags[${i}]: ${name}: it goes with SCMP_ACT_NOTIFY only`);
		const flag = Object.keys(FLAGS).includes(name) ? FLAGS[name] : undefined;
		if (flag === undefined) throw new PolicyError(`flags[${i}]: ${JSON.stringify(name)}: it is no flag`);
		return flags | flag;
	}, 0);
}

function readRule(rule: Record<string, unknown>, where: string): Rule[] {
	checkMembers(rule, "names name action errnoRet errno args comment includes excludes", `${where}.`);
	if (rule.name !== undefined && rule.names !== undefined) throw new PolicyError(`${where}.name: there is names already`);
	const names = listOf(rule.name === undefined ? rule.names : [rule.name], `${where}.names`);
	if (names.length === 0 || names.includes("")) throw new PolicyError(`${where}.names: there is no name`);
	const action = readAction(rule.action, errnoOf(rule.errno, `${where}.errno`) ?? rule.errnoRet, [`${where}.action`, `${where}.errnoRet`]);
	const conditions = objectsOf(rule.args, `${where}.args`).map((arg, i) => readCondition(arg, `${where}.args[${i}]`));
	/* Of conditions for one argument any one is enough, as with runc and crun; those for others then stand alone, too. */
	const isRepeated = new Set(conditions.map(({ argument }) => argument)).size < conditions.length;
	return isRepeated ? conditions.map((condition) => ({ names, action, conditions: [condition] })) : [{ names, action, conditions }];
}

function readCondition(arg: Record<string, unknown>, where: string): Condition {
	checkMembers(arg, "index value valueTwo op", `${where}.`);
	const argument = numberOf(arg.index, 5, `${where}.index`);
	const op = arg.op;
	const operator = typeof op === "string" && Object.keys(OPERATORS).includes(op) ? OPERATORS[op] : undefined;
	if (!operator) throw new PolicyError(`${where}.op: ${JSON.stringify(op) ?? "nothing"}: it is no comparison`);
	const read = (name: "value" | "valueTwo") => {
		const word = readWord64(arg[name] ?? 0);
		if (!word) throw new PolicyError(`${where}.${name}: it is no number from 0 to 2^64 - 1`);
		return word;
	};
	/* OCI has the mask first. */
	return operator === "masked"
		? { argument, operator, mask: read("value"), value: read("valueTwo") }
		: { argument, operator, value: read("value") };
}
