/** Union mounts, ours and mount(8)'s, each in a mount namespace of its own. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Rows for comparisons.mjs: `mount` with that many lower layers, an upper and a work folder. */
export function unionComparisons() {
	return [
		[4, "0.6"],
		[128, "1.0"],
	].map(([count, wanted]) => {
		/* Short enough that mount(8) takes 128 of them in one string. */
		const folder = mkdtempSync(join(tmpdir(), "u-"));
		rmSync(folder, { recursive: true });
		const lowers = Array.from({ length: count }, (_, i) => `${folder}/${i}`);
		const upper = `upperdir=${folder}/u,workdir=${folder}/w`;
		return {
			name: `tsunionmount mount, ${count} layers`,
			other: "mount -t overlay",
			ours: `unshare -m bin/tsunionmount mount ${lowers.map((path) => `-l ${path}`).join(" ")} -u ${folder}/u -w ${folder}/w ${folder}/m`,
			peer: `unshare -m mount -t overlay overlay -o lowerdir=${lowers.join(":")},${upper} ${folder}/m`,
			wanted,
			before: () => {
				for (const path of [...lowers, `${folder}/u`, `${folder}/w`, `${folder}/m`]) mkdirSync(path, { recursive: true });
			},
			after: () => rmSync(folder, { recursive: true }),
		};
	});
}
