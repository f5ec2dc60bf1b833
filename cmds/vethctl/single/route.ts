/** route ls, add, del, get; rule ls, add, del; neigh ls, add, del: man 8 ip-route, ip-rule, ip-neighbour. */
import { change } from "../../../native/linux/netlink/request.ts";
import { neighbourAdd, neighbourDelete, neighbours } from "../../../native/linux/route/neighbour.ts";
import { destinationText, type Route, type RouteSpec, routeAdd, routeDelete, routes, routeTo } from "../../../native/linux/route/route.ts";
import { type RuleSpec, ruleAdd, ruleDelete, rules } from "../../../native/linux/route/rule.ts";
import { AF_INET, AF_INET6, formatInet } from "../../../native/linux/sockaddr.ts";
import { print } from "../../common/command-line/tool.ts";
import { UsageError } from "../../common/errors.ts";
import { json, table } from "../../common/table.ts";
import { inNamed, withRoute } from "../netns.ts";
import { destination, getLink, inetAddress, linkNames, noMore, operand, tableName } from "./words.ts";

type Names = (index: number | undefined) => string | undefined;

function view(route: Route, name: Names) {
	const { destination: _, prefix: __, gateway, oif, prefsrc, table: number, ...rest } = route;
	return {
		destination: destinationText(route),
		...(gateway && { gateway: formatInet(gateway) }),
		...(oif !== undefined && { interface: name(oif) }),
		...(prefsrc && { source: formatInet(prefsrc) }),
		table: tableName(number),
		...rest,
	};
}

function printRoutes(rows: ReturnType<typeof view>[], asJson: boolean) {
	if (asJson) return print(json(rows));
	print(
		table(rows, [
			{ header: "DESTINATION", value: (row) => (row.type === "unicast" ? row.destination : `${row.type} ${row.destination}`) },
			{ header: "GATEWAY", value: ({ gateway }) => gateway },
			{ header: "INTERFACE", value: (row) => row.interface },
			{ header: "SOURCE", value: ({ source }) => source },
			{ header: "METRIC", value: ({ metric }) => metric, right: true },
			{ header: "TABLE", value: (row) => row.table },
			{ header: "PROTOCOL", value: ({ protocol }) => protocol },
			{ header: "SCOPE", value: ({ scope }) => scope },
		]),
	);
}

interface ListOptions {
	netns?: string;
	json?: true;
	table?: number;
	ipv4?: true;
	ipv6?: true;
}

const familiesOf = ({ ipv4, ipv6 }: { ipv4?: true; ipv6?: true }) =>
	ipv6 && !ipv4 ? [AF_INET6] : ipv4 && !ipv6 ? [AF_INET] : [AF_INET, AF_INET6];

export function ls({ options }: { options: ListOptions }) {
	const rows = inNamed(options.netns, () =>
		withRoute((netlink) => {
			const name = linkNames(netlink);
			return familiesOf(options).flatMap((family) => routes(netlink, family, options.table ?? 254).map((route) => view(route, name)));
		}),
	);
	printRoutes(rows, options.json === true);
}

export function get({ options, operands }: { options: { netns?: string; json?: true }; operands: string[] }) {
	const address = inetAddress(operand(operands, 0, "route get", "ADDRESS"), "route get");
	noMore(operands, 1, "route get");
	const row = inNamed(options.netns, () => withRoute((netlink) => view(routeTo(netlink, address), linkNames(netlink))));
	printRoutes([row], options.json === true);
}

export interface RouteOptions {
	netns?: string;
	via?: Uint8Array;
	dev?: string;
	src?: Uint8Array;
	metric?: number;
	table?: number;
	type?: string;
	onlink?: true;
	replace?: true;
}

function changeRoute(verb: string, { options, operands }: { options: RouteOptions; operands: string[] }, isAdded: boolean) {
	const read = destination(operand(operands, 0, verb, "DESTINATION"), verb);
	noMore(operands, 1, verb);
	const family = read.family ?? (options.via?.length === 16 || options.src?.length === 16 ? "inet6" : "inet");
	for (const [option, bytes] of [
		["--via", options.via],
		["--src", options.src],
	] as const)
		if (bytes && (bytes.length === 16) !== (family === "inet6"))
			throw new UsageError(`${option}: is of another family than the destination`);
	if (isAdded && !options.via && options.dev === undefined && options.type === undefined)
		throw new UsageError(`${verb}: no way given`, "--via ADDRESS, --dev IF, or --type blackhole");
	inNamed(options.netns, () =>
		withRoute((netlink) => {
			const { via, dev, src, metric, table: number, type, onlink, replace } = options;
			const oif = dev === undefined ? undefined : getLink(netlink, dev).index;
			const spec: RouteSpec = {
				family,
				prefix: read.prefix,
				...(read.destination && { destination: read.destination }),
				...(via && { gateway: via }),
				...(oif !== undefined && { oif }),
				...(src && { prefsrc: src }),
				...(metric !== undefined && { metric }),
				...(number !== undefined && number !== 0 && { table: number }),
				...(type !== undefined && { type }),
				...(onlink && { onlink }),
			};
			const called = dev === undefined ? {} : { called: dev };
			change(netlink, isAdded ? routeAdd(spec, { replace: replace === true, ...called }) : routeDelete(spec, dev));
		}),
	);
}

export function add(line: { options: RouteOptions; operands: string[] }) {
	changeRoute("route add", line, true);
}

export function del(line: { options: RouteOptions; operands: string[] }) {
	changeRoute("route del", line, false);
}

export function lsRules({ options }: { options: ListOptions }) {
	const rows = inNamed(options.netns, () => withRoute((netlink) => familiesOf(options).flatMap((family) => rules(netlink, family))));
	if (options.json) return print(json(rows));
	print(
		table(rows, [
			{ header: "PRIORITY", value: ({ priority }) => priority, right: true },
			{ header: "FAMILY", value: ({ family }) => family },
			{ header: "FROM", value: ({ from, not }) => `${not ? "not " : ""}${from ?? "all"}` },
			{ header: "TO", value: ({ to }) => to },
			{ header: "IIF", value: ({ iif }) => iif },
			{ header: "OIF", value: ({ oif }) => oif },
			{ header: "MARK", value: ({ mark }) => (mark === undefined ? undefined : `0x${mark.toString(16)}`) },
			{ header: "ACTION", value: ({ action, table: number }) => (action === "lookup" ? `lookup ${tableName(number)}` : action) },
		]),
	);
}

export interface RuleOptions {
	netns?: string;
	from?: string;
	to?: string;
	iif?: string;
	oif?: string;
	mark?: number;
	priority?: number;
	table?: number;
	ipv6?: true;
}

function ruleSpec(verb: string, options: RuleOptions): RuleSpec {
	if (options.table === undefined || options.table === 0) throw new UsageError(`${verb}: no --table given`);
	const network = (text: string | undefined) => {
		const read = text === undefined ? undefined : destination(text, verb);
		return read?.destination && { address: read.destination, prefix: read.prefix };
	};
	const [from, to] = [network(options.from), network(options.to)];
	const is6 = options.ipv6 === true || (from ?? to)?.address.length === 16;
	if ([from, to].some((net) => net && (net.address.length === 16) !== is6)) throw new UsageError(`${verb}: addresses of two families`);
	const { iif, oif, mark, priority, table: number } = options;
	return {
		family: is6 ? "inet6" : "inet",
		table: number,
		...(from && { from }),
		...(to && { to }),
		...(iif !== undefined && { iif }),
		...(oif !== undefined && { oif }),
		...(mark !== undefined && { mark }),
		...(priority !== undefined && { priority }),
	};
}

export function addRule({ options }: { options: RuleOptions }) {
	const spec = ruleSpec("rule add", options);
	inNamed(options.netns, () => withRoute((netlink) => change(netlink, ruleAdd(spec))));
}

export function delRule({ options }: { options: RuleOptions }) {
	const spec = ruleSpec("rule del", options);
	inNamed(options.netns, () => withRoute((netlink) => change(netlink, ruleDelete(spec))));
}

export function lsNeighbours({ options, operands }: { options: { netns?: string; json?: true }; operands: string[] }) {
	const rows = inNamed(options.netns, () =>
		withRoute((netlink) => {
			for (const one of operands) getLink(netlink, one);
			const name = linkNames(netlink);
			return neighbours(netlink)
				.map(({ index, ...rest }) => ({ interface: name(index) as string, ...rest }))
				.filter((row) => operands.length === 0 || operands.includes(row.interface));
		}),
	);
	if (options.json) return print(json(rows));
	print(
		table(rows, [
			{ header: "ADDRESS", value: ({ address }) => address },
			{ header: "INTERFACE", value: (row) => row.interface },
			{ header: "HARDWARE", value: ({ hardware }) => hardware },
			{ header: "STATE", value: ({ states, flags }) => [...states.map((state) => state.toLowerCase()), ...flags].join(",") },
		]),
	);
}

export function addNeighbour({
	options,
	operands,
}: {
	options: { netns?: string; hardware?: Uint8Array; replace?: true };
	operands: string[];
}) {
	const name = operand(operands, 0, "neigh add", "IF");
	const address = inetAddress(operand(operands, 1, "neigh add", "ADDRESS"), "neigh add");
	noMore(operands, 2, "neigh add");
	inNamed(options.netns, () =>
		withRoute((netlink) =>
			change(
				netlink,
				neighbourAdd(getLink(netlink, name).index, address, options.hardware, { replace: options.replace === true, called: name }),
			),
		),
	);
}

export function delNeighbour({ options, operands }: { options: { netns?: string; proxy?: true }; operands: string[] }) {
	const name = operand(operands, 0, "neigh del", "IF");
	const address = inetAddress(operand(operands, 1, "neigh del", "ADDRESS"), "neigh del");
	noMore(operands, 2, "neigh del");
	inNamed(options.netns, () =>
		withRoute((netlink) =>
			change(netlink, neighbourDelete(getLink(netlink, name).index, address, { proxy: options.proxy === true, called: name })),
		),
	);
}
