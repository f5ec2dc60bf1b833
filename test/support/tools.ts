/** Where the built tools are: bin/, or $TSBOX_BIN where the tests run on another build of them. */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export const bin = resolve(root, process.env.TSBOX_BIN ?? "bin");

/** The path of a tool: `tool("tsunshare")`. */
export function tool(name: string): string {
	return join(bin, name);
}
