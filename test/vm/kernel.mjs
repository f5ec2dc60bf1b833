// Debian's cloud kernels: found by package name, downloaded and unpacked for qemu, never installed.
//
// Each kernel is kept in build/vm/NAME:
//   vmlinuz       for qemu's -kernel
//   modules.cpio  /lib/modules/RELEASE, the first part of every initramfs
//   info.json     { release, packages, loadable, builtin }, the last two being lists of module names
// The folder appears by one rename, complete. To get newer kernels, remove build/vm.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { privateApt } from "../support/apt.mjs";
import { archive, treeEntries } from "./initramfs.mjs";

export const cache = fileURLToPath(new URL("../../build/vm", import.meta.url));

// Where each kernel is looked for. The highest version wins.
const suites = {
	"5.10": ["bullseye", "bullseye-security"],
	6.1: ["bookworm", "bookworm-security"],
	6.12: ["trixie", "trixie-security"],
	newest: ["sid", "trixie-backports"],
};

// The modules to keep, with what they depend on. All of Debian's are 90 MB, which every boot would copy into memory.
const wanted =
	/^kernel\/(block|crypto|drivers\/(block\/(brd|loop|null_blk|virtio_blk|zram)|md|net\/(bonding|ipvlan|vxlan|[^/]+\.ko)|virtio|char\/virtio_console)|fs\/(ext4|fuse|overlayfs|quota|squashfs|xfs|[^/]+\.ko)|net\/(802|8021q|bridge|core|ipv4|ipv6|llc|netfilter|netlink|packet|sched|unix))\b/;

/** The folder of a kernel in the cache, and its info.json. The first use downloads it. */
export async function kernel(name) {
	if (!Object.hasOwn(suites, name)) throw new Error(`no kernel "${name}": there are ${Object.keys(suites).join(", ")}`);
	const folder = join(cache, name);
	const info = async () => ({ folder, ...JSON.parse(await readFile(join(folder, "info.json"), "utf8")) });
	return await info().catch(async (error) => {
		if (error.code !== "ENOENT") throw error;
		await mkdir(cache, { recursive: true });
		const unlock = await lock(`${folder}.lock`);
		try {
			return await info().catch(async () => {
				await download(name, folder);
				return await info();
			});
		} finally {
			await unlock();
		}
	});
}

/** The files of a Debian package as another suite has it, unpacked into a folder of the cache. The first use downloads it. */
export async function debianPackage(name, suite) {
	const folder = join(cache, `${name}-${suite}`);
	if (await readdir(folder).catch(() => undefined)) return folder;
	await mkdir(cache, { recursive: true });
	const unlock = await lock(`${folder}.lock`);
	try {
		if (await readdir(folder).catch(() => undefined)) return folder;
		const work = `${folder}.new`;
		await rm(work, { recursive: true, force: true });
		const debs = join(work, "apt");
		const apt = await privateApt(debs, [suite]);
		await apt("apt-get", "download", name);
		for (const file of await readdir(debs))
			if (file.endsWith(".deb")) await execa("dpkg-deb", ["-x", join(debs, file), join(work, "files")]);
		await rename(join(work, "files"), folder);
		await rm(work, { recursive: true });
		return folder;
	} finally {
		await unlock();
	}
}

/** Holds a flock, through flock(1), so that the kernel drops it should we die. */
async function lock(path) {
	const holder = spawn("flock", [path, "sh", "-c", "echo; read -r unlock"], { stdio: ["pipe", "pipe", "inherit"] });
	await once(holder.stdout, "data");
	return async () => {
		holder.stdin.end();
		await once(holder, "close");
	};
}

async function download(name, folder) {
	const work = `${folder}.new`;
	const unpacked = join(work, "unpacked");
	const root = join(work, "root");
	await rm(work, { recursive: true, force: true });
	const debs = join(work, "apt");
	const apt = await privateApt(debs, suites[name]);
	const packages = await kernelPackages(apt, "linux-image-cloud-amd64");
	await apt("apt-get", "download", ...packages);
	for (const file of await readdir(debs)) {
		if (file.endsWith(".deb")) await execa("dpkg-deb", ["-x", join(debs, file), unpacked]);
	}
	// The modules are in lib or usr/lib, and depmod reads one of them: let both be the same.
	await mkdir(join(root, "lib"), { recursive: true });
	await symlink(".", join(root, "usr"));
	const lib = (await readdir(unpacked)).includes("lib") ? "lib" : "usr/lib";
	await rename(join(unpacked, lib, "modules"), join(root, "lib/modules"));
	const [release] = await readdir(join(root, "lib/modules"));
	// Since 7.x the image is beside the modules.
	await rename(join(unpacked, "boot", `vmlinuz-${release}`), join(work, "vmlinuz")).catch(() =>
		rename(join(root, "lib/modules", release, "vmlinuz"), join(work, "vmlinuz")),
	);
	const modules = await pruneModules(root, release);
	await writeFile(join(work, "modules.cpio"), archive(await treeEntries(join(root, "lib/modules"), "lib/modules")));
	await writeFile(join(work, "info.json"), JSON.stringify({ release, packages, ...modules }));
	for (const used of [debs, unpacked, root]) await rm(used, { recursive: true });
	await rename(work, folder);
}

/**
 * The packages, as NAME=VERSION, that a meta package stands for in its highest version. Since 7.x the base files, the
 * image, the binary and the modules are packages each.
 */
async function kernelPackages(apt, name) {
	// The highest version comes first, whatever the pin priorities say.
	const version = (await apt("apt-cache", "madison", name)).split("\n")[0].split("|")[1]?.trim();
	if (!version) throw new Error(`${name}: none of the suites has it`);
	const packages = new Set();
	const add = async (pack) => {
		if (packages.has(pack)) return;
		packages.add(pack);
		const depends = (await apt("apt-cache", "show", pack)).match(/^Depends: .*/m)?.[0] ?? "";
		for (const [, part, exact] of depends.matchAll(/(linux-(?:base|image|binary|modules)-\S*cloud-\S+) \(= (\S+)\)/g)) {
			await add(`${part}=${exact}`);
		}
	};
	await add(`${name}=${version}`);
	// The names without a version are of meta packages: they are empty, and an old release may have lost them.
	return [...packages].filter((pack) => /^linux-[a-z]+-\d/.test(pack));
}

/** Leaves the wanted modules alone, decompressed, and returns the names of all that a script may ask for. */
async function pruneModules(root, release) {
	const folder = join(root, "lib/modules", release);
	const lines = async (file) => (await readFile(join(folder, file), "utf8")).split("\n").filter(Boolean);
	const depmod = () => execa("depmod", ["--basedir", root, release]);
	await execa("find", [folder, "-name", "*.ko.xz", "-exec", "xz", "-d", "{}", "+"]);
	await execa("find", [folder, "-name", "*.ko.zst", "-exec", "zstd", "-d", "-q", "--rm", "{}", "+"]);
	await depmod();
	// "kernel/drivers/md/dm-snapshot.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko"
	const modules = (await lines("modules.dep")).map((line) => line.split(/[: ]+/).filter(Boolean));
	const kept = new Set(modules.filter(([path]) => wanted.test(path)).flat());
	for (const [path] of modules) if (!kept.has(path)) await rm(join(folder, path));
	await depmod();
	// Not the files for developers, nor the indexes in binary, which busybox does not read.
	for (const file of await readdir(folder)) {
		if (!/^(kernel|modules\.(alias|builtin|dep|softdep|symbols))$/.test(file)) await rm(join(folder, file));
	}
	return { loadable: [...kept].map(moduleName), builtin: (await lines("modules.builtin")).map(moduleName) };
}

/** "kernel/drivers/md/dm-mod.ko" and "dm-mod" are both the module dm_mod. */
export const moduleName = (path) => basename(path, ".ko").replaceAll("-", "_");
