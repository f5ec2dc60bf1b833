import type { Host } from "./host.d.ts";

declare const __host: Host;

export const { syscall, fork, exit, argv, environ, addressOf, encode, decode } = __host;
/** Fixed when the tool is built, so that the numbers of the other architecture are left out. */
export const arch = (process.arch === "arm64" ? "aarch64" : "x86_64") as Host["arch"];
