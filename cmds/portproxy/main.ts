/** tsportproxy: publishes ports of sandboxes, by rules of the kernel where these reach and by a proxy where they do not. */

import { command, main } from "../common/command-line/tool.ts";
import { UsageError } from "../common/errors.ts";
import { serveLikeDockerProxy } from "./docker-proxy.ts";
import { dockerOptions, proxyOptions } from "./options.ts";

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
	examples: [["tsportproxy -host-ip 127.0.0.1 -host-port 8080 -container-ip 172.18.0.2 -container-port 80", "as docker-proxy"]],
	commands: [
		command({
			name: "",
			summary: "proxy one port, with docker-proxy's options",
			operands: "",
			options: [...dockerOptions, ...proxyOptions],
			usageStatus: 1,
			run({ options, operands }) {
				if (operands.length > 0) throw new UsageError(`${operands[0]}: unknown command`);
				serveLikeDockerProxy(options);
			},
		}),
	],
});
