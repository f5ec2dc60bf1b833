// Runs shell scripts in a Debian kernel under qemu, without KVM: what the machine's own kernel lacks or must be spared
// (device-mapper, pure cgroup v2, xfs, a panic) is tested in there.
//
//   const vm = await boot({ kernel: "6.1", disks: [{ size: "1g" }] });
//   const { status, stdout, stderr } = await vm.run("tsdmthin create ...");
//   await vm.close();
//
// A boot takes about three seconds, a script as long as it takes: boot once a test file.

import { appendFile, copyFile, open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runFolder, start } from "./guest.mjs";
import { archive, busyboxEntries, treeEntries } from "./initramfs.mjs";
import { cache, kernel, moduleName } from "./kernel.mjs";

/** The kernels to test on: 6.1, or those that the environment lists. */
export const kernels = (process.env.TSBOX_KERNELS || "6.1").split(/[\s,]+/).filter(Boolean);

const driverModules = ["virtio_pci", "virtio_blk", "virtio_console"];
// The kernel itself loads what a system call names (a link type, a filesystem, a table). These it can not, or nearly
// every test wants them.
const defaultModules = ["loop", "dm-thin-pool", "overlay", "veth", "bridge"];

const bootLimit = 120_000;
const scriptLimit = 60_000;

/**
 * Boots a guest.
 *
 * - kernel: "5.10", "6.1", "6.12" or "newest"
 * - memory, cpus: as qemu takes them
 * - disks: [{ size: "1g" }] are empty, sparse, and /dev/vda, /dev/vdb...; { path, size } is a file that is made if it is not there, and stays
 * - files: { "/guest/path": "host path" } or { "/guest/path": { content, mode } }
 * - cgroup: "v2", "v1", "hybrid" or "none", what is mounted on /sys/fs/cgroup
 * - modules: loaded before the first script; modprobe finds the rest
 * - timeout: milliseconds that a script may take, if its run() does not say
 *
 * Gives { release, missing, seconds, run, close }; `missing` are the modules that this kernel does not have.
 */
export async function boot(options = {}) {
	const { memory = "512m", cpus = 1, disks = [], files = {}, cgroup = "v2", modules = defaultModules } = options;
	const started = performance.now();
	const image = await kernel(options.kernel ?? "6.1");
	const has = (list) => (module) => list.includes(moduleName(module));
	const wanted = [...driverModules, ...modules];
	const missing = wanted.filter((module) => !has(image.loadable)(module) && !has(image.builtin)(module));

	const folder = runFolder(cache);
	const initramfs = join(folder, "initramfs.cpio");
	await copyFile(join(image.folder, "modules.cpio"), initramfs);
	await appendFile(initramfs, archive([...(await systemEntries()), ...(await fileEntries(files))]));
	for (const [index, { path, size }] of disks.entries()) await makeSparse(path ?? join(folder, `disk${index}`), size);

	const append = [
		"console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off psi=1",
		`CGROUP=${cgroup} MODULES=${wanted.filter(has(image.loadable))}`,
	];
	const guest = start(folder, [
		...["-accel", "tcg", "-cpu", "max", "-machine", "q35", "-smp", `${cpus}`, "-m", memory],
		...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
		...["-kernel", join(image.folder, "vmlinuz"), "-initrd", initramfs, "-append", append.join(" ")],
		...disks.flatMap(({ path }, index) => ["-drive", `file=${path ?? `disk${index}`},format=raw,if=virtio,cache=unsafe,discard=unmap`]),
	]);

	const { stdout: release } = await guest.run("uname -r", bootLimit, "utf8");
	const seconds = (performance.now() - started) / 1000;

	/** Runs a script for sh. With encoding "buffer" its output is bytes; `fetch` lists files to copy out, into `files`. */
	const run = async (script, { timeout = options.timeout ?? scriptLimit, encoding = "utf8", fetch = [] } = {}) => {
		const result = { ...(await guest.run(script, timeout, encoding)), files: {} };
		for (const path of fetch) {
			const copy = await guest.run(`cat '${path.replaceAll("'", "'\\''")}'`, timeout, "buffer");
			if (copy.status !== 0) throw new Error(`${path}: cannot be fetched: ${copy.stderr}`);
			result.files[path] = copy.stdout;
		}
		return result;
	};
	return { release: release.trim(), missing, seconds, run, close: guest.close };
}

/** Boots, runs one script and closes. Takes the options of both. */
export async function run(script, options = {}) {
	const vm = await boot(options);
	try {
		return { ...(await vm.run(script, options)), missing: vm.missing };
	} finally {
		await vm.close();
	}
}

async function makeSparse(path, size) {
	const [, number, unit] = /^(\d+)([kmgt]?)$/i.exec(size) ?? [];
	if (number === undefined) throw new Error(`"${size}" is not the size of a disk, such as 512m`);
	const file = await open(path, "a");
	await file.truncate(Number(number) * 1024 ** " kmgt".indexOf(unit.toLowerCase() || " "));
	await file.close();
}

/** What every guest has: busybox, the tools that are built, init and serve, and the files of an ordinary system. */
async function systemEntries() {
	const repository = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
	const text = (path, content) => ({ path, content });
	return [
		...["proc", "sys", "dev", "run", "mnt", "var"].map((path) => ({ path })),
		{ path: "root", mode: 0o700 },
		{ path: "tmp", mode: 0o1777 },
		...(await busyboxEntries()),
		...(await treeEntries(repository("bin"), "bin")),
		...(await treeEntries(repository("test/vm/init"), "init")),
		...(await treeEntries(repository("test/vm/serve"), "lib/vm/serve")),
		text("etc/inittab", "::once:/lib/vm/serve\n"),
		text("etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
		text("etc/group", "root:x:0:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n"),
		text("etc/hosts", "127.0.0.1 localhost tsbox\n::1 localhost\n"),
	];
}

async function fileEntries(files) {
	const entries = Object.entries(files).map(([path, file]) => (typeof file === "string" ? treeEntries(file, path) : [{ path, ...file }]));
	return (await Promise.all(entries)).flat();
}
