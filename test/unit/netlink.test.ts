/** native/linux/netlink: messages and attributes, both ways; what the kernel says; hostile answers. */
import { spawnSync } from "node:child_process";
import { parseAttributes, parseMessages } from "netlink/dist/structs.js";
import t from "tap";
import { EEXIST, EINVAL, ENODEV } from "../../native/linux/errno.ts";
import { CLONE_NEWNET, unshare } from "../../native/linux/namespace.ts";
import {
	type Attribute,
	Attributes,
	be16,
	be32,
	be64,
	encodeAttributes,
	flag,
	NLA_F_NESTED,
	u8,
	u16,
	u32,
	u64,
} from "../../native/linux/netlink/attribute.ts";
import {
	attributePath,
	attributesOf,
	encodeMessage,
	NLM_F_ACK_TLVS,
	NLM_F_CAPPED,
	NLM_F_REQUEST,
	NLMSG_DONE,
	NLMSG_ERROR,
	readAcknowledgement,
	readMessages,
} from "../../native/linux/netlink/message.ts";
import { change, changeAll, closeNetlink, NETLINK_ROUTE, type NetlinkError, openNetlink } from "../../native/linux/netlink/request.ts";
import { addressAdd, addresses, readAddress } from "../../native/linux/route/address.ts";
import { findLink, IFLA_MTU, ifinfomsg, links, RTM_NEWLINK, readLink } from "../../native/linux/route/link.ts";
import { bridgeKind, linkAdd, linkDelete, linkSet, vethKind } from "../../native/linux/route/link-change.ts";
import { readNeighbour } from "../../native/linux/route/neighbour.ts";
import { readRoute } from "../../native/linux/route/route.ts";
import { readRule } from "../../native/linux/route/rule.ts";
import { SysError } from "../../native/linux/syscall.ts";

const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? {} : { skip: "needs root" };

const list: Attribute[] = [
	[1, u8(200)],
	[2, u16(65000)],
	[3, u32(4_000_000_000)],
	[4, u64(2 ** 52 + 1)],
	[5, be16(0x1234)],
	[6, be32(0x12345678)],
	[7, be64(2 ** 40 + 3)],
	[8, "eth0"],
	[9, flag],
	[10, new Uint8Array([1, 2, 3])],
	[
		11,
		[
			[1, u32(7)],
			[2, [[3, "deep"]]],
		],
	],
	[12, [new Uint8Array([9, 9, 9, 9, 9]), [1, u32(8)]]],
	[
		13,
		[
			[1, "one"],
			[1, "two"],
		],
	],
	[14, u32(-1)],
];

t.test("attributes that are written are read the same: numbers of all widths, strings, bytes, nested ones, arrays", async (t) => {
	const bytes = encodeAttributes(list);
	t.equal(bytes.length % 4, 0);
	const a = new Attributes(bytes);
	t.equal(a.u8(1), 200);
	t.equal(a.u16(2), 65000);
	t.equal(a.u32(3), 4_000_000_000);
	t.equal(a.u64(4), 2 ** 52 + 1);
	t.equal(a.be16(5), 0x1234);
	t.equal(a.be32(6), 0x12345678);
	t.equal(a.be64(7), 2 ** 40 + 3);
	t.equal(a.string(8), "eth0");
	t.equal(a.has(9), true);
	t.same(a.payload(10), new Uint8Array([1, 2, 3]));
	t.equal(a.nested(11)?.u32(1), 7);
	t.equal(a.nested(11)?.nested(2)?.string(3), "deep");
	t.equal(a.nested(12, 8)?.u32(1), 8);
	t.same(
		a
			.nested(13)
			?.each()
			.map(({ payload }) => String.fromCharCode(...payload.subarray(0, 3))),
		["one", "two"],
	);
	t.equal(a.s32(14), -1);
	t.equal(a.u32(99), undefined);
	t.equal(a.nested(99), undefined);
});

t.test("the package netlink reads the same attributes and message", async (t) => {
	const message = encodeMessage(RTM_NEWLINK, NLM_F_REQUEST, 77, ifinfomsg.pack({ ifi_index: 3 }), list);
	const [read] = parseMessages(Buffer.from(message)) as [ReturnType<typeof parseMessages>[number]];
	t.equal(read.type, RTM_NEWLINK);
	t.equal(read.seq, 77);
	const those = (bytes: Buffer) => {
		const found: { type: number; data: Buffer }[] = [];
		parseAttributes(bytes, ({ type, data }) => found.push({ type, data }));
		return found;
	};
	const attributes = those(read.data.subarray(ifinfomsg.size) as Buffer);
	t.same(
		attributes.map(({ type }) => type & 0x3fff),
		list.map(([type]) => type),
	);
	t.equal(String(attributes[7]?.data), "eth0\0");
	t.same(
		those(attributes[10]?.data as Buffer).map(({ type }) => type & 0x3fff),
		[1, 2],
	);
});

t.test("what is nested is marked so", async (t) => {
	const bytes = encodeAttributes([[11, [[1, u32(7)]]]]);
	t.equal(new DataView(bytes.buffer).getUint16(2, true), 11 | NLA_F_NESTED);
});

t.test("an attribute that does not fit into its message, or is too short for its number, is refused", async (t) => {
	const broken = (bytes: number[], read: (a: Attributes) => unknown = () => 0) =>
		t.throws(() => read(new Attributes(Uint8Array.from(bytes))), { message: "netlink: Bad message" });
	broken([3, 0, 1, 0]);
	broken([0, 0, 1, 0]);
	broken([9, 0, 1, 0, 1, 2, 3, 4]);
	broken([255, 255, 1, 0, 1, 2, 3, 4]);
	broken([6, 0, 1, 0, 1, 2, 0, 0], (a) => a.u32(1));
	broken([4, 0, 1, 0], (a) => a.u8(1));
	broken([8, 0, 1, 0, 1, 2, 3, 4], (a) => a.u64(1));
	broken([8, 0, 1, 0, 9, 0, 1, 0], (a) => a.nested(1));
	broken([8, 0, 1, 0, 9, 0, 1, 0], (a) => a.nested(1, 8));
	t.throws(() => encodeAttributes([[1, new Uint8Array(65532)]]), RangeError);
});

t.test("a datagram whose messages do not fit in it is refused", async (t) => {
	const good = encodeMessage(RTM_NEWLINK, 0, 1, new Uint8Array(16), list);
	t.equal(readMessages(good).length, 1);
	const both = new Uint8Array(2 * good.length);
	both.set(good);
	both.set(good, good.length);
	t.equal(readMessages(both).length, 2);
	for (const length of [1, 15, 17, good.length - 1, good.length + 5])
		t.throws(() => readMessages(both.subarray(0, length)), { message: "netlink: Bad message" });
	t.throws(() => attributesOf({ type: 1, flags: 0, seq: 1, payload: new Uint8Array(8) }, 16), { message: "netlink: Bad message" });
});

t.test("an acknowledgement gives the kernel's text, and where the attribute is that it does not like", async (t) => {
	const request = encodeMessage(RTM_NEWLINK, NLM_F_REQUEST, 5, new Uint8Array(16), list);
	for (const capped of [true, false]) {
		const body = capped ? request.subarray(0, 16) : request;
		const tail = encodeAttributes([
			[1, "too large"],
			[2, u32(16 + 16 + 8)],
		]);
		const payload = new Uint8Array(4 + body.length + tail.length);
		new DataView(payload.buffer).setInt32(0, -EINVAL, true);
		payload.set(body, 4);
		payload.set(tail, 4 + body.length);
		const flags = NLM_F_ACK_TLVS | (capped ? NLM_F_CAPPED : 0);
		t.same(readAcknowledgement({ type: NLMSG_ERROR, flags, seq: 5, payload }), { errno: EINVAL, text: "too large", offset: 40 });
	}
	t.same(attributePath(request, 16, 40), [2]);
	t.same(readAcknowledgement({ type: NLMSG_DONE, flags: 0, seq: 5, payload: new Uint8Array(4) }), { errno: 0 });
	t.throws(() => readAcknowledgement({ type: NLMSG_ERROR, flags: 0, seq: 5, payload: new Uint8Array(12) }), {
		message: "netlink: Bad message",
	});
});

t.test("the path of an attribute goes into those that it is nested in", async (t) => {
	const request = encodeMessage(RTM_NEWLINK, NLM_F_REQUEST, 5, new Uint8Array(16), [
		[1, u32(1)],
		[
			2,
			[
				[3, u32(1)],
				[4, [[5, u32(1)]]],
			],
		],
	]);
	t.same(attributePath(request, 16, 32 + 8 + 4), [2, 3]);
	t.same(attributePath(request, 16, 32 + 8 + 4 + 8 + 4), [2, 4, 5]);
	t.same(attributePath(request, 16, 5000), []);
});

t.test("100,000 mutated answers are read or refused, and nothing else", async (t) => {
	const netlink = openNetlink(NETLINK_ROUTE);
	t.teardown(() => closeNetlink(netlink));
	const real = spawnSync("ip", ["link", "show", "lo"]).status === 0;
	t.ok(real);
	const answer = encodeMessage(RTM_NEWLINK, 0, 1, ifinfomsg.pack({ ifi_index: 1 }), [
		[3, "lo"],
		[4, u32(65536)],
		[1, new Uint8Array(6)],
		[
			18,
			[
				[1, "bridge"],
				[
					2,
					[
						[1, u32(3)],
						[5, u32(0)],
					],
				],
				[4, "bridge"],
				[
					5,
					[
						[1, u8(3)],
						[33, u8(1)],
					],
				],
			],
		],
		[23, new Uint8Array(200)],
	]);
	let seed = 12345;
	const random = (n: number) => {
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return (seed >>> 8) % n;
	};
	const readers = [readLink, readAddress, readRoute, readNeighbour, readRule, readAcknowledgement];
	let refused = 0;
	let accepted = 0;
	for (let i = 0; i < 100_000; i++) {
		const bytes = answer.slice(0, random(4) === 0 ? random(answer.length + 1) : answer.length);
		for (let n = 1 + random(4); n > 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(3) === 0 ? 255 : random(256);
		try {
			for (const message of readMessages(bytes)) (readers[random(readers.length)] as (typeof readers)[number])(message);
			accepted++;
		} catch (error) {
			if (!(error instanceof SysError)) throw error;
			refused++;
		}
	}
	t.ok(refused > 1000 && accepted > 1000, `${refused} refused, ${accepted} accepted`);
});

interface IpLink {
	ifindex: number;
	ifname: string;
	flags: string[];
	mtu: number;
	operstate: string;
	address?: string;
	master?: string;
	linkinfo?: { info_kind?: string };
}

t.test("in a network namespace of its own", needsRoot, async (t) => {
	unshare(CLONE_NEWNET);
	const ip = <T>(...args: string[]): T => JSON.parse(spawnSync("ip", ["-json", "-d", ...args], { encoding: "utf8" }).stdout || "[]") as T;
	const netlink = openNetlink(NETLINK_ROUTE);
	t.teardown(() => closeNetlink(netlink));

	t.test("links are made in one batch, and listed as ip lists them", async (t) => {
		changeAll(netlink, [
			linkAdd({ name: "br-a", up: true }, bridgeKind({ forward_delay: 0 })),
			linkAdd({ name: "va", mtu: 1400, up: true, address: new Uint8Array([2, 0, 0, 0, 0, 1]) }, vethKind({ name: "vb", mtu: 1400 })),
		]);
		const bridge = findLink(netlink, "br-a")?.index as number;
		change(netlink, linkSet(findLink(netlink, "va")?.index as number, { master: bridge, alias: "an end" }, "va"));
		const theirs = ip<IpLink[]>("link");
		const ours = links(netlink, true);
		t.equal(ours.length, 4);
		t.same(
			ours.map(({ index, name, mtu, operstate, address, kind, master }) => ({ index, name, mtu, operstate, address, kind, master })),
			theirs.map(({ ifindex, ifname, mtu, operstate, address, linkinfo, master }) => ({
				index: ifindex,
				name: ifname,
				mtu,
				operstate,
				address,
				kind: linkinfo?.info_kind,
				master: theirs.find((link) => link.ifname === master)?.ifindex,
			})),
		);
		spawnSync("ip", ["link", "set", "vb", "up"]);
		t.equal(findLink(netlink, "va")?.port?.state, "forwarding");
		t.equal(findLink(netlink, "va")?.alias, "an end");
		t.equal(findLink(netlink, "nobody"), undefined);
		t.equal(findLink(netlink, 4711), undefined);
	});

	t.test("an error is the kernel's, with its text and the attribute", async (t) => {
		const failure = (request: Parameters<typeof change>[1]): NetlinkError => {
			try {
				change(netlink, request);
			} catch (error) {
				return error as NetlinkError;
			}
			return t.fail("it worked") as never;
		};
		const exists = failure(linkAdd({ name: "br-a" }, bridgeKind()));
		t.equal(exists.errno, EEXIST);
		t.equal(exists.message, "RTM_NEWLINK br-a: File exists");
		const mtu = failure(linkSet(findLink(netlink, "va")?.index as number, { mtu: 1_000_000 }, "va"));
		t.match(mtu.message, /^RTM_SETLINK va: Invalid argument: .*mtu greater than device maximum/);
		const kind = failure(linkAdd({ name: "x" }, { kind: "nonsense" }));
		t.match(kind.message, /^RTM_NEWLINK x: Operation not supported: Unknown device type/);
		t.equal(failure(linkDelete(4711)).errno, ENODEV);
		const range = failure({ ...linkAdd({ name: "y" }, bridgeKind()), attributes: [[IFLA_MTU, u16(1)]] });
		t.match(range.message, /\(IFLA_MTU\)$/);
	});

	t.test("the first error of a batch is thrown, and the requests around it are done", async (t) => {
		const batch = [linkAdd({ name: "b1" }, bridgeKind()), linkAdd({ name: "br-a" }, bridgeKind()), linkAdd({ name: "b2" }, bridgeKind())];
		t.throws(() => changeAll(netlink, batch), { errno: EEXIST, index: 1, message: "RTM_NEWLINK br-a: File exists" });
		t.ok(findLink(netlink, "b1"));
		t.ok(findLink(netlink, "b2"));
	});

	t.test("3,000 requests are done as a batch", async (t) => {
		const index = findLink(netlink, "br-a")?.index as number;
		const wanted = Array.from({ length: 3000 }, (_, i) => new Uint8Array([10, 1, i >> 8, i & 0xff]));
		changeAll(
			netlink,
			wanted.map((address) => addressAdd(index, address, 32)),
		);
		t.equal(addresses(netlink).filter(({ address }) => address[0] === 10 && address[1] === 1).length, 3000);
		t.throws(
			() =>
				changeAll(
					netlink,
					wanted.map((address) => addressAdd(index, address, 32)),
				),
			{ message: "RTM_NEWADDR 10.1.0.0/32: File exists" },
		);
		change(netlink, linkDelete(index, "br-a"));
		change(netlink, linkAdd({ name: "br-a", up: true }, bridgeKind()));
	});

	t.test("addresses are those of ip", async (t) => {
		spawnSync("ip", ["addr", "add", "192.0.2.1/24", "brd", "+", "dev", "br-a"]);
		spawnSync("ip", ["addr", "add", "2001:db8::1/64", "dev", "br-a", "nodad"]);
		spawnSync("ip", ["addr", "add", "10.9.9.1", "peer", "10.9.9.2/32", "dev", "br-a"]);
		const theirs = ip<{ ifindex: number; addr_info: { local: string; prefixlen: number; scope: string; address?: string }[] }[]>("addr");
		const wanted = theirs
			.flatMap(({ ifindex, addr_info }) => addr_info.map((a) => `${ifindex} ${a.local}/${a.prefixlen} ${a.scope}`))
			.sort();
		const { formatBytes } = await import("../../native/linux/route/address.ts");
		const ours = addresses(netlink).map((a) => `${a.index} ${formatBytes(a.address)}/${a.prefix} ${a.scope}`);
		t.same(ours.sort(), wanted);
		t.equal(formatBytes(addresses(netlink).find(({ peer }) => peer)?.peer as Uint8Array), "10.9.9.2");
	});
});

t.test("a user without rights is told EPERM", { skip: isRoot ? "root has them" : false }, async (t) => {
	const netlink = openNetlink(NETLINK_ROUTE);
	t.throws(() => change(netlink, linkAdd({ name: "x" }, bridgeKind())), { message: "RTM_NEWLINK x: Operation not permitted" });
	closeNetlink(netlink);
});
