/** tsportproxy: publishes ports of sandboxes, by rules of the kernel where these reach and by a proxy where they do not. */
import { options } from "../common/command-line/options.ts";
import { command, main } from "../common/command-line/tool.ts";
import { show, UsageError } from "../common/errors.ts";
import { abandonRecords } from "../common/record.ts";
import { serveLikeDockerProxy } from "./docker-proxy.ts";
import { dockerOptions, proxyOptions, publishOptions, runOptions } from "./options.ts";
import { doctor } from "./verbs/doctor.ts";
import { leave, unpublish } from "./verbs/leave.ts";
import { gc, ls, stats } from "./verbs/ls.ts";
import { publish } from "./verbs/publish.ts";
import { run } from "./verbs/run.ts";

/** docker-proxy's options have one dash, as Go's have; -v is its version. */
function likeDockerProxy(argv: string[]): string[] {
	const names = dockerOptions.map(({ long }) => long as string);
	return argv.map((word) => {
		const name = /^-([a-z]+(?:-[a-z]+)*)(?:=.*)?$/.exec(word)?.[1];
		if (name === "v") return "--version";
		return name !== undefined && names.includes(name) ? `-${word}` : word;
	});
}

main({
	name: "tsportproxy",
	summary: "Publish ports of containers: by the kernel's address translation, and by a proxy for what that does not reach.",
	rewrite: likeDockerProxy,
	details: [
		"PORTS are docker's: `[IP:][PORT[-PORT]]:PORT[-PORT][/tcp|udp|sctp]`, this machine's first. Without an IP it is all addresses of both families; without a port, or with 0, the kernel chooses one, which the record then names. Binding a port is what allocates it: what another process holds is refused, by naming that process.",
		"`publish` is a filter of sandbox records: it stands between `tsunshare --hold` and `tsunshare start`. Of a sandbox that is on a network nf_tables translates its ports, for what comes from outside, from this machine's addresses and from the container itself; a proxy beside the sandbox serves 127.0.0.1 and ::1, and all that translation does not reach. Of a sandbox without a network the proxy connects from inside its network namespace: programs there see clients come from 127.0.0.1.",
		"There is one proxy a sandbox, whatever the number of ports; later publications go to it. It ends with the sandbox and takes the rules out. Options that only the proxy can carry out (--allow, --proxy-protocol, --transparent, --max-connections, --idle-timeout) make all traffic pass it: no translation is made.",
		"--transparent connects from the client's own address. The container's answers must come back through this machine, and to the proxy: `nft 'table ip back { chain in { type filter hook prerouting priority mangle; socket transparent 1 meta mark set 1; }; }'; ip rule add fwmark 1 lookup 100; ip route add local default dev lo table 100`.",
		"Signals: SIGTERM stops listening and gives connections --drain; SIGINT ends at once; SIGUSR1 writes the statistics.",
		"With docker-proxy's options it takes docker-proxy's place: `dockerd --userland-proxy-path .../tsportproxy`.",
	],
	examples: [
		[
			"tsunshare --hold --id web ... | tsvethctl join tsbr0 | tsportproxy publish 8080:80 127.0.0.1::9000/udp | tsunshare start",
			"publishes two ports of a new container",
		],
		["tsportproxy publish --target web 9000-9100:9000-9100", "publishes more of one that runs"],
		["tsportproxy run --to 10.0.0.7 8080:80 5353:53/udp", "is a proxy by itself"],
		["tsportproxy -host-ip 127.0.0.1 -host-port 8080 -container-ip 172.18.0.2 -container-port 80", "as docker-proxy"],
	],
	commands: [
		command({
			name: "",
			summary: "proxy one port, with docker-proxy's options",
			operands: "",
			/* The verbs' help shows the proxy's. */
			options: [...dockerOptions, ...proxyOptions.map((option) => ({ ...option, rare: true as const }))],
			usageStatus: 1,
			run({ options, operands }) {
				if (operands.length > 0) throw new UsageError(`${show(operands[0] as string)}: unknown command`);
				serveLikeDockerProxy(options);
			},
		}),
		command({
			name: "publish",
			summary: "publish ports of a sandbox",
			operands: "PORTS...",
			dryRun: true,
			usageStatus: 2,
			options: publishOptions,
			abandon: abandonRecords,
			run: (line) => publish(line),
		}),
		command({
			name: "unpublish",
			summary: "take some of its ports back",
			operands: "ID|PID PORTS...",
			usageStatus: 2,
			options: options([]),
			run: (line) => unpublish(line),
		}),
		command({
			name: "ls",
			alias: "list",
			summary: "list published ports",
			operands: "[ID|PID...]",
			usageStatus: 2,
			options: options([{ long: "json", help: "as JSON" }]),
			run: (line) => ls(line),
		}),
		command({
			name: "stats",
			summary: "print what has come through the ports of a sandbox, as JSON",
			operands: "ID|PID...",
			usageStatus: 2,
			options: options([]),
			run: (line) => stats(line),
		}),
		command({
			name: "rm",
			summary: "take all its ports back, and end its proxy",
			operands: "ID|PID...",
			usageStatus: 2,
			options: options([]),
			run: (line) => leave(line),
		}),
		command({
			name: "leave",
			summary: "the same, for the end of a sandbox",
			operands: "ID|PID...",
			usageStatus: 2,
			options: options([]),
			run: (line) => leave(line),
		}),
		command({
			name: "gc",
			summary: "remove what belongs to sandboxes that have gone",
			operands: "",
			usageStatus: 2,
			options: options([]),
			run({ operands }) {
				if (operands.length > 0) throw new UsageError(`gc: ${show(operands[0] as string)}: takes no operands`);
				gc();
			},
		}),
		command({
			name: "doctor",
			summary: "explain how ports are reached, and what stands in the way",
			operands: "[ID|PID...]",
			usageStatus: 2,
			options: options([]),
			run: (line) => doctor(line),
		}),
		command({
			name: "run",
			summary: "proxy ports in the foreground",
			operands: "PORTS...",
			usageStatus: 2,
			options: runOptions,
			run: (line) => run(line),
		}),
	],
});
