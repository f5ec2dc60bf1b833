/** Extended attributes: man 7 xattr. */
import * as host from "#host";
import { ENODATA } from "./errno.ts";
import * as nr from "./nr.ts";
import { change, SysError, tryCall, tryChange } from "./syscall.ts";

/** Sets an extended attribute (`user.NAME`, `trusted.NAME`): man 2 setxattr. */
export function setxattr(path: string, name: string, value: string) {
	const bytes = host.encode(value);
	change("setxattr", nr.SYS_setxattr, path, name, bytes, bytes.byteLength, 0);
}

/** An extended attribute's value of up to 4 KiB; undefined where there is none, or the file is not there or has none. */
export function getxattrIfAny(path: string, name: string): string | undefined {
	const bytes = new Uint8Array(4096);
	const length = tryCall("getxattr", nr.SYS_getxattr, path, name, bytes, bytes.length);
	return length < 0 ? undefined : host.decode(bytes, 0, length);
}

/** setxattr(2) of an open file or a path; follows links. */
export function setFileXattr(file: number | string, name: string, value: string | Uint8Array) {
	const bytes = typeof value === "string" ? new Uint8Array(host.encode(value)) : value;
	if (typeof file === "number") change("fsetxattr", nr.SYS_fsetxattr, file, name, bytes, bytes.length, 0);
	else change("setxattr", nr.SYS_setxattr, file, name, bytes, bytes.length, 0);
}

/** Removes an attribute of an open file; fine if there is none. */
export function removeFileXattr(fd: number, name: string) {
	const result = tryChange("fremovexattr", nr.SYS_fremovexattr, fd, name);
	if (result < 0 && result !== -ENODATA) throw new SysError("fremovexattr", -result, name);
}
