/**
 * The Debian packages that the build, the tests and the benchmarks use, and their installation where that is possible.
 * Node's own modules only: this runs before npm has installed anything.
 */
import { spawnSync } from "node:child_process";

/** What `npm start` and `npm run build` want. Without musl-tools the tools are linked with glibc, and are larger. */
export const buildPackages = ["gcc", "libc6-dev", "musl-tools"];

/** By what uses them. */
export const testPackages = [
	...buildPackages,
	...["util-linux", "bsdutils", "mount", "tini", "dumb-init"], // the peers that results are compared with
	...["procps", "iproute2", "nftables", "iputils-ping", "strace", "uidmap", "python3", "perl-base"], // look from outside, set up, inject faults
	...["bash", "zsh", "fish", "groff-base", "binutils"], // completions, man pages, the tools' files
	...["busybox-static", "tar"], // root file systems
	...["acl", "attr", "golang-1.19-src", "libpython3.11-testsuite"], // attributes of archived files; archives that torture readers
	...["qemu-system-x86", "kmod", "xz-utils", "zstd"], // test/vm
	...["dmsetup", "thin-provisioning-tools", "e2fsprogs", "xfsprogs", "udev"], // in guests, for tsdmthin: independent readers, file systems
	...["python3-seccomp", "linux-libc-dev-armhf-cross"], // libseccomp's filters beside ours; the numbers of 32-bit arm's calls
	...["shellcheck", "git"],
];

/** For `npm run bench`. */
export const benchPackages = [
	...buildPackages,
	"hyperfine",
	"tini",
	"dumb-init",
	"util-linux",
	"cgroup-tools",
	"bubblewrap",
	"crun",
	"iproute2",
	"iptables",
	"containernetworking-plugins",
];

/** For `npm run bench -- proxy` and test/peers: the proxies that tsportproxy is compared with (docker-proxy is in docker.io). */
export const proxyPackages = ["docker.io", "socat", "nftables", "iproute2", "curl", "conntrack"];

/** Those of `packages` that are not installed; undefined where there is no dpkg. */
function missingOf(packages) {
	const { stdout, error } = spawnSync("dpkg-query", ["-W", "-f", "${Package} ${db:Status-Status}\n", ...packages], { encoding: "utf8" });
	if (error) return undefined;
	const installed = new Set(
		stdout
			.split("\n")
			.filter((line) => line.endsWith(" installed"))
			.map((line) => line.split(" ")[0]),
	);
	return packages.filter((name) => !installed.has(name));
}

/** Installs what is missing. Returns a sentence about what could not be had, or "". Asks apt nothing if all is there. */
export function installPackages(packages) {
	const missing = missingOf(packages);
	if (missing === undefined) return `this is not Debian (no dpkg): it is up to you that there are ${packages.join(" ")}`;
	if (missing.length === 0) return "";
	const command = `apt-get install --no-install-recommends ${missing.join(" ")}`;
	if (process.getuid() !== 0) return `not installed, as this is not root: ${missing.join(" ")}\n  as root: ${command}`;
	console.log(`  installing ${missing.join(" ")}`);
	const apt = (...args) =>
		spawnSync("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", ...args], {
			encoding: "utf8",
			env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
		});
	const updated = apt("update");
	const done = apt("install", "-y", "--no-install-recommends", ...missing);
	if (done.status === 0) return "";
	const said = [updated, done].map((run) => run.error?.message ?? run.stderr.trim()).filter(Boolean);
	return `${command}: failed\n${said.join("\n")}`;
}
