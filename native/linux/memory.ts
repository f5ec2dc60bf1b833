/** Memory from the kernel: man 2 mmap. */
import * as nr from "./nr.ts";
import { call } from "./syscall.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;

/** The address of so many bytes of zeros, which take no memory until they are written to. They stay for good. */
export function mapAnonymous(length: number): number {
	return call("mmap", nr.SYS_mmap, null, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
