/** Layers against tar, umoci and mount(8): on the file system of the temporary folder, each with the removal of what it made. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

const ENTRIES = 20_000;

export function layerComparisons() {
	const folder = join(tmpdir(), `tsbox-bench-layers-${process.pid}`);
	const run = (line) => execa(line, { shell: true, cwd: folder });
	const at = `TSBOX_DATA=${folder}/data TSBOX_RUN=${folder}/run`;
	const tool = `${at} bin/tsunionmount`;
	const sh = (line) => `sh -c '${line}'`;
	let isMade = false;
	/** A tree of 20,000 files of 3 kB in 400 folders, its archive, the same as a layer and as an OCI image. */
	const before = async () => {
		if (isMade) return;
		isMade = true;
		mkdirSync(folder);
		process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
		const content = "x".repeat(3000);
		for (let i = 0; i < 400; i++) {
			mkdirSync(join(folder, `tree/d${i >> 5}/e${i}`), { recursive: true });
			for (let n = 0; n < ENTRIES / 400 - 1; n++) writeFileSync(join(folder, `tree/d${i >> 5}/e${i}/f${n}`), content);
		}
		await run("tar -C tree -cf t.tar .");
		const here = `${at} ${process.cwd()}/bin/tsunionmount`;
		await run(`${here} layer import --id kept t.tar; ${here} layer create changed --parent kept; ${here} layer mount changed`);
		await run(`for i in 0 1 2 3 4 5 6 7 8 9; do echo $i >>data/layers/changed/merged/d0/e$i/f1; done; ${here} layer umount changed`);
		await run(
			`mkdir one; for i in $(seq 128); do tar -C one -cf l.tar .; ${here} layer import --id l$i $p l.tar; p="--parent l$i"; done; ${here} layer create many --parent l128 --no-init`,
		);
		await run("umoci init --layout o; umoci new --image o:x; umoci raw add-layer --image o:x t.tar").catch(() => {});
	};
	return [
		{
			name: "layer import 20,000",
			other: "tar -x, sync",
			ours: sh(`${tool} layer import --id x ${folder}/t.tar && ${tool} layer rm x`),
			peer: sh(`mkdir ${folder}/y && tar -xf ${folder}/t.tar -C ${folder}/y && sync -f ${folder}/y && rm -r ${folder}/y`),
			wanted: "1.0",
			runs: 0.02,
			before,
		},
		{
			name: "layer import 20,000",
			other: "umoci unpack",
			ours: sh(`${tool} layer import --id x ${folder}/t.tar && ${tool} layer rm x`),
			peer: sh(`umoci unpack --image ${folder}/o:x ${folder}/u && rm -r ${folder}/u`),
			wanted: "0.5",
			runs: 0.02,
			before,
		},
		{
			name: "layer export 20,000",
			other: "tar -c",
			ours: sh(`${tool} layer export kept >${folder}/out`),
			peer: sh(`tar -C ${folder}/data/layers/kept/diff -c . >${folder}/out`),
			wanted: "1.0",
			runs: 0.05,
			before,
		},
		{
			name: "layer diff, 10 of 20,000",
			other: "/bin/true",
			ours: sh(`${tool} layer diff changed`),
			peer: sh("/bin/true"),
			before,
		},
		{
			name: "layer mount, 128 layers",
			other: "mount -t overlay",
			ours: sh(`${tool} layer mount many && ${tool} layer umount many`),
			peer: sh(
				`cd ${folder}/data/layers && mount -t overlay o -o lowerdir=$(cat many/lower),upperdir=many/diff,workdir=many/work ${folder}/one && umount ${folder}/one`,
			),
			wanted: "1.0",
			runs: 0.25,
			before,
		},
	];
}
