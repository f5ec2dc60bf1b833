/** The single steps beside ip(8) and bridge(8): what one makes the other lists. */
import { spawn } from "node:child_process";
import t from "tap";
import { lab, needsLab } from "../support/netlab.ts";
import { tool } from "../support/tools.ts";

t.test("single steps", needsLab, async (t) => {
	const l = await lab(t);
	const box = await l.namespace();
	const ok = (...args: string[]) => {
		const ran = l.veth(args);
		t.equal(ran.status, 0, `${args.join(" ")}: ${ran.stderr}`);
		return ran.stdout;
	};
	const before = l.facts();

	t.test("links are made, changed and listed as ip does it", async (t) => {
		ok("bridge", "add", "br0");
		ok(
			"link",
			"add",
			"v0",
			"--type",
			"veth",
			"--peer",
			"eth0",
			"--peer-netns",
			String(box),
			"--master",
			"br0",
			"--up",
			"--mtu",
			"1400",
			"--address",
			"02:00:00:00:00:01",
		);
		ok("link", "add", "m0", "--type", "macvlan", "--link", "br0", "--mode", "private");
		ok("link", "add", "x0", "--type", "vxlan", "--id", "42", "--remote", "198.51.100.2", "--port", "4790");
		ok("link", "add", "t0", "--type", "tap", "--up");
		ok("link", "set", "v0", "--hairpin", "on", "--isolated", "on", "--alias", "a note");
		ok("link", "set", "m0", "--name", "m1");
		const theirs =
			l.json<
				{
					ifindex: number;
					ifname: string;
					mtu: number;
					address: string;
					operstate: string;
					master?: string;
					ifalias?: string;
					linkinfo?: {
						info_kind: string;
						info_data?: { mode?: string; id?: number; port?: number };
						info_slave_data?: { hairpin: boolean; isolated: boolean };
					};
				}[]
			>("ip -json -d link");
		const ours = JSON.parse(ok("link", "ls", "--json")) as {
			index: number;
			name: string;
			mtu: number;
			address: string;
			operstate: string;
			master?: string;
			kind?: string;
			alias?: string;
		}[];
		t.same(
			ours.map(({ index, name, mtu, address, operstate, master, kind, alias }) => ({
				index,
				name,
				mtu,
				address,
				operstate,
				master,
				kind,
				alias,
			})),
			theirs.map(({ ifindex, ifname, mtu, address, operstate, master, linkinfo, ifalias }) => ({
				index: ifindex,
				name: ifname,
				mtu,
				address,
				operstate,
				master,
				kind: linkinfo?.info_kind,
				alias: ifalias,
			})),
		);
		const info = (name: string) => theirs.find(({ ifname }) => ifname === name)?.linkinfo;
		t.equal(info("m1")?.info_data?.mode, "private");
		t.equal(info("x0")?.info_data?.id, 42);
		t.equal(info("x0")?.info_data?.port, 4790);
		t.match(info("v0")?.info_slave_data, { hairpin: true, isolated: true });
		t.equal((JSON.parse(ok("link", "ls", "--netns", String(box), "--json")) as unknown[]).length, 2);
		t.match(ok("bridge", "ls"), /^br0 .*v0 \((disabled|forwarding), isolated\)/m);
		ok("bridge", "detach", "v0");
		ok("bridge", "attach", "br0", "v0");
		const fdb = l.json<{ mac: string; ifname: string }[]>("bridge -json fdb show br br0").map(({ mac, ifname }) => `${mac} ${ifname}`);
		const mine = (JSON.parse(ok("bridge", "fdb", "br0", "--json")) as { hardware: string; port: string }[]).map(
			({ hardware, port }) => `${hardware} ${port}`,
		);
		t.same(mine.sort(), fdb.sort());
	});

	t.test("addresses, routes, rules and neighbours are those of ip", async (t) => {
		ok("addr", "add", "br0", "192.0.2.1/24", "2001:db8:7::1/64", "--nodad");
		ok("route", "add", "10.0.0.0/8", "--via", "192.0.2.9", "--metric", "50");
		ok("route", "add", "10.1.0.0/16", "--type", "blackhole");
		ok("route", "add", "10.2.0.0/16", "--dev", "br0", "--table", "100", "--src", "192.0.2.1");
		ok("rule", "add", "--from", "10.0.0.0/8", "--table", "100", "--priority", "50");
		ok("neigh", "add", "br0", "192.0.2.9", "--hardware", "02:00:00:00:00:09");
		t.match(l.sh("ip addr show br0").stdout, /inet 192\.0\.2\.1\/24 brd 192\.0\.2\.255 [\s\S]*inet6 2001:db8:7::1\/64/);
		t.match(l.sh("ip route").stdout, /^10\.0\.0\.0\/8 via 192\.0\.2\.9 dev br0 metric 50/m);
		t.match(l.sh("ip route").stdout, /^blackhole 10\.1\.0\.0\/16/m);
		t.match(l.sh("ip route show table 100").stdout, /^10\.2\.0\.0\/16 dev br0 scope link src 192\.0\.2\.1/m);
		t.match(l.sh("ip rule").stdout, /^50:\tfrom 10\.0\.0\.0\/8 lookup 100/m);
		t.match(l.sh("ip neigh").stdout, /^192\.0\.2\.9 dev br0 lladdr 02:00:00:00:00:09 PERMANENT/m);
		const theirs = l
			.json<{ dst: string; gateway?: string; dev?: string }[]>("ip -json route")
			.map(({ dst, gateway }) => `${dst} ${gateway ?? ""}`);
		const ours = (JSON.parse(ok("route", "ls", "-4", "--json")) as { destination: string; gateway?: string }[]).map(
			({ destination, gateway }) => `${destination} ${gateway ?? ""}`,
		);
		t.same(ours.sort(), theirs.sort());
		t.equal((JSON.parse(ok("route", "get", "10.9.9.9", "--json")) as { gateway: string }[])[0]?.gateway, "192.0.2.9");
		t.match(
			l.veth(["route", "add", "10.0.0.0/8", "--via", "203.0.113.9", "--metric", "7"]).stderr,
			"tsvethctl: RTM_NEWROUTE 10.0.0.0/8: Network is unreachable: Nexthop has invalid gateway",
		);
		t.match(l.veth(["link", "add", "br0", "--type", "bridge"]).stderr, "tsvethctl: RTM_NEWLINK br0: File exists");
		ok("neigh", "del", "br0", "192.0.2.9");
		ok("rule", "del", "--from", "10.0.0.0/8", "--table", "100");
		ok("route", "del", "10.2.0.0/16", "--table", "100");
		ok("route", "del", "10.1.0.0/16", "--type", "blackhole");
		ok("addr", "del", "br0", "2001:db8:7::1");
	});

	t.test("monitor tells of changes as they happen", async (t) => {
		const child = spawn("nsenter", [`--net=/proc/${l.host}/ns/net`, tool("tsvethctl"), "monitor", "link", "addr", "--json"], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		let text = "";
		child.stdout.on("data", (data) => {
			text += data;
		});
		await new Promise((resolve) => setTimeout(resolve, 300));
		l.sh("ip link add z1 type bridge; ip addr add 203.0.113.1/32 dev z1; ip link del z1");
		for (let i = 0; i < 30 && !/"removed","what":"link"/.test(text); i++) await new Promise((resolve) => setTimeout(resolve, 50));
		child.kill("SIGKILL");
		t.match(text, /"event":"changed","what":"link".*"name":"z1"/);
		t.match(text, /"event":"changed","what":"addr".*"address":"203\.0\.113\.1\/32"/);
		t.match(text, /"event":"removed","what":"link".*"name":"z1"/);
	});

	t.test("what was made is removed", async () => {
		ok("link", "del", "m1", "x0", "t0", "v0", "br0");
		t.equal(l.facts(), before);
	});
});
