/** Debian's packages of other suites than the machine's, without a change of the machine. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * Gives a function that runs an apt program with lists, cache and sources of its own: the machine's mirrors, other suites; of binary
 * packages (`deb`) or of sources (`deb-src`).
 */
export async function privateApt(folder, suites, type = "deb") {
	const { stdout: ours } = await execa("sh", ["-c", ". /etc/os-release; echo $VERSION_CODENAME"]);
	const { stdout: uris } = await execa("apt-get", ["update", "--print-uris"]);
	const releases = [...uris.matchAll(/^'(\S+)\/dists\/([^/]+)\/InRelease'/gm)];
	const sources = suites.flatMap((suite) => {
		const like = suite.endsWith("-security") ? `${ours}-security` : ours;
		const mirrors = releases.filter(([, , name]) => name === like).map(([, uri]) => uri);
		return mirrors.map((uri) => `${type} [signed-by=${keyring}] ${uri} ${suite} main\n`);
	});
	for (const name of ["lists/partial", "archives/partial", "sources.list.d"]) await mkdir(join(folder, name), { recursive: true });
	await writeFile(join(folder, "sources.list"), sources.join(""));
	await writeFile(join(folder, "status"), "");
	const settings = {
		"Dir::State": folder,
		"Dir::State::status": join(folder, "status"),
		"Dir::Cache": folder,
		"Dir::Etc::sourcelist": join(folder, "sources.list"),
		"Dir::Etc::sourceparts": join(folder, "sources.list.d"),
		"APT::Architecture": "amd64",
		// The user _apt, whom apt drops to, may not reach this folder.
		"APT::Sandbox::User": "root",
	};
	const options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
	const apt = async (program, ...args) => (await execa(program, [...options, ...args], { cwd: folder })).stdout;
	// One suite that cannot be had is no failure while another has the package.
	await apt("apt-get", "update").catch((error) => console.error(error.stderr));
	return apt;
}
