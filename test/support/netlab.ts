/** A laboratory of network namespaces: a host on which the tools run, and neighbours on a wire with it. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { tool } from "./tools.ts";

export interface Ran {
	status: number | null;
	stdout: string;
	stderr: string;
}

export interface Lab {
	folder: string;
	/** The process that holds the host's namespace. */
	host: number;
	env: NodeJS.ProcessEnv;
	/** A shell script on the host, or in another namespace by the PID of its holder; $V and $U are tsvethctl and tsunshare. */
	sh(script: string, pid?: number): Ran;
	/** tsvethctl on the host. */
	veth(args: string[], input?: string): Ran;
	/** JSON that a command on the host prints. */
	json<T>(script: string, pid?: number): T;
	/** A process in a network namespace of its own; its PID. */
	namespace(): Promise<number>;
	/** A neighbour on the host's wire, with an address of 198.51.100.0/24 and 2001:db8:1::/64. */
	neighbour(n: number): Promise<number>;
	/** A sandbox that runs `sleep`, joined to a network; its id. */
	sandbox(id: string, network: string, options?: string): Ran;
	/** All that the kernel and the state have: to be the same before and after. */
	facts(): string;
}

const hasTools = ["nft", "ip", "ping", "nsenter"].every((name) => spawnSync("which", [name]).status === 0);

/** Options of a test that needs a laboratory. */
export const needsLab = process.getuid?.() === 0 && hasTools ? {} : { skip: "needs root, iproute2, nftables, iputils-ping" };

async function hold(t: Test): Promise<number> {
	const child = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec sleep 600"], { stdio: ["ignore", "pipe", "ignore"] });
	await new Promise((resolve) => child.stdout.once("data", resolve));
	t.teardown(async () => {
		const end = new Promise((resolve) => child.once("close", resolve));
		child.kill("SIGKILL");
		await end;
	});
	return child.pid as number;
}

/** Has a wire `up0` with 198.51.100.1/24, 2001:db8:1::1/64; the default route goes to the first neighbour, .2. */
export async function lab(t: Test): Promise<Lab> {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-lab-${process.pid}-`));
	const host = await hold(t);
	/* Where the wires meet: not on the host, whose firewall would see what passes between others. */
	const middle = await hold(t);
	const env = {
		...process.env,
		TSBOX_RUN: join(folder, "run"),
		TSBOX_DATA: join(folder, "data"),
		V: tool("tsvethctl"),
		U: tool("tsunshare"),
	};
	const run = (argv: string[], input = ""): Ran => {
		const { status, stdout, stderr } = spawnSync(argv[0] as string, argv.slice(1), { encoding: "utf8", env, input, timeout: 60_000 });
		return { status, stdout, stderr };
	};
	const inside = (pid: number, argv: string[]) => ["nsenter", `--net=/proc/${pid}/ns/net`, ...argv];
	const made: Lab = {
		folder,
		host,
		env,
		sh: (script, pid = host) => run(inside(pid, ["sh", "-c", script])),
		veth: (args, input) => run(inside(host, [env.V, ...args]), input),
		json: <T>(script: string, pid = host) => JSON.parse(run(inside(pid, ["sh", "-c", script])).stdout || "[]") as T,
		namespace: () => hold(t),
		neighbour: async (n) => {
			const pid = await hold(t);
			made.sh(`ip link add wire${n} type veth peer name up0 netns ${pid}; ip link set wire${n} master wire up`, middle);
			made.sh(
				`ip link set lo up; ip link set up0 up; ip addr add 198.51.100.${n}/24 dev up0; ip addr add 2001:db8:1::${n}/64 dev up0 nodad`,
				pid,
			);
			return pid;
		},
		sandbox: (id, network, options = "") =>
			made.sh(
				`"$U" --hold --net --mount --pid --uts --hostname ${id} --id ${id} --stdout /dev/null --stderr /dev/null sleep 600 | "$V" join ${network} ${options} | "$U" start`,
			),
		/* But for what a cable in or out changes, and link-local addresses, which come a second late. */
		facts: () =>
			made.sh(
				"nft list ruleset; ip -d -o link | grep -oE '^[0-9]+: [^ ]+|mtu [0-9]+|link/ether [^ ]+|\\\\ +[a-z]+'; (ip route show table all; ip -6 route show table all) | grep -vE 'fe80|^multicast ff00' | sed 's/ linkdown//' | sort; ip rule; ip -6 rule; sysctl -a -r '^net\\.(ipv4\\.ip_forward|ipv6\\.conf\\.all|ipv4\\.conf\\.(all|default))' 2>/dev/null; find $TSBOX_RUN $TSBOX_DATA -type f ! -name '.*'",
			).stdout,
	};
	made.sh(
		`ip link add wire type bridge forward_delay 0; ip link set wire up; ip link add wire1 type veth peer name up0 netns ${host}; ip link set wire1 master wire up`,
		middle,
	);
	made.sh(
		"ip link set lo up; ip link set up0 up; ip addr add 198.51.100.1/24 dev up0; ip addr add 2001:db8:1::1/64 dev up0 nodad; ip route add default via 198.51.100.2",
	);
	t.teardown(() => {
		const sandboxes = join(env.TSBOX_RUN, "sandboxes");
		try {
			for (const id of readdirSync(sandboxes)) if (!id.startsWith(".")) run([env.U, "rm", "-f", id]);
		} catch {
			/* None was made. */
		}
		rmSync(folder, { recursive: true, force: true });
	});
	return made;
}
