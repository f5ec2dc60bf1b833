/** `ls --tree`: devices, below each those that it stands on. */

import { dmDeps } from "../../../native/linux/devmapper.ts";
import { getenv } from "../../common/state.ts";

interface Named {
	name: string;
	major: number;
	minor: number;
}

/** The devices on which none stands come first in a line; what is no device of device-mapper is a number. */
export function tree(devices: Named[]): string {
	const key = ({ major, minor }: { major: number; minor: number }) => `${major}:${minor}`;
	const names = new Map(devices.map((device) => [key(device), device.name]));
	const below = new Map(devices.map((device) => [key(device), dmDeps(device.name).devices]));
	const used = new Set([...below.values()].flat().map(key));
	let out = "";
	/* As dmsetup: plain letters where the locale has no others. */
	const isUtf8 = /utf-?8/i.test(getenv("LC_ALL") ?? getenv("LC_CTYPE") ?? getenv("LANG") ?? "");
	const [branch, end, line] = isUtf8 ? ["├─", "└─", "│"] : ["|-", "`-", "|"];
	const show = (device: { major: number; minor: number }, prefix: string, isRoot: boolean, isLast: boolean, depth: number) => {
		const name = names.get(key(device));
		const label = `${name ?? ""} (${key(device)})`;
		out += isRoot ? `${label}\n` : `${prefix} ${isLast ? end : branch}${label}\n`;
		const list = depth > 32 ? [] : (below.get(key(device)) ?? []);
		list.forEach((next, i) => {
			show(next, isRoot ? "" : `${prefix} ${isLast ? " " : line} `, false, i === list.length - 1, depth + 1);
		});
	};
	for (const device of devices) if (!used.has(key(device))) show(device, "", true, true, 0);
	return out;
}
