/**
 * Images beside those who make, keep and read them: buildah, skopeo, umoci, docker-registry. By hand, as root:
 *
 *     apt-get install --no-install-recommends buildah skopeo umoci docker-registry
 *     node test/peers/images.test.mjs
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import t from "tap";

const tool = resolve("bin/tsunionmount");
const folder = mkdtempSync(join(tmpdir(), "tsbox-images-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const policy = join(folder, "policy.json");
writeFileSync(policy, '{"default":[{"type":"insecureAcceptAnything"}]}');
writeFileSync(join(folder, "storage.conf"), `[storage]\ndriver="vfs"\ngraphroot="${folder}/graph"\nrunroot="${folder}/run"\n`);
const env = { ...process.env, HOME: folder, CONTAINERS_STORAGE_CONF: join(folder, "storage.conf"), P: policy, T: tool };

/** Runs a script in a mount namespace; with a data folder of its own where one is named. */
function shell(script, data = "none") {
	const { status, stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", script], {
		cwd: folder,
		encoding: "utf8",
		env: { ...env, TSBOX_DATA: join(folder, data), TSBOX_RUN: join(folder, `${data}.run`), D: join(folder, data) },
		maxBuffer: 1 << 26,
	});
	return { status, stdout, stderr };
}

/** The same without stopping this process, which may be the server. */
function later(script, data) {
	const child = spawn("sh", ["-c", script], {
		cwd: folder,
		env: { ...env, TSBOX_DATA: join(folder, data), TSBOX_RUN: join(folder, `${data}.run`) },
	});
	const said = { stdout: "", stderr: "" };
	child.stdout.on("data", (text) => {
		said.stdout += text;
	});
	child.stderr.on("data", (text) => {
		said.stderr += text;
	});
	return new Promise((done) => child.on("close", (status) => done({ status, ...said })));
}

/** What a tree is, but for the times of its folders; overlayfs counts also the links of an inode that upper layers hide. */
const listing = `find . -mindepth 1 \\( -type d -printf '%P %y %m %U:%G\\n' -o -printf '%P %y %m %U:%G %s %l %T@\\n' \\) | sort; find . -type f | sort | xargs sha256sum`;

const made =
	shell(`set -e; mkdir -p 1/bin 1/etc 1/d 2/d; cp /bin/ls 1/bin/sh; echo x >1/etc/x; echo a >1/d/a; ln -s a 1/d/link; ln 1/d/a 1/d/hard; chmod 4711 1/bin/sh; echo b >2/d/b
	setfattr -n user.kept -v yes 1/d/a || true
	commit() { buildah commit --signature-policy $P -q $1 $2; buildah rm $1; }
	c=$(buildah from scratch); buildah copy $c 1 /; buildah config --cmd '["/bin/sh"]' --env A=b --user 5:6 --workingdir /d --port 80/tcp --volume /v --label l=m --stop-signal 9 $c; commit $c one
	c=$(buildah from --signature-policy $P localhost/one); buildah copy $c 2 /; commit $c two
	c=$(buildah from --signature-policy $P localhost/two); m=$(buildah mount $c); rm -r $m/d/a $m/etc; mkdir $m/etc; echo new >$m/etc/new; buildah umount $c; commit $c three
	for to in oci:layout:web oci-archive:oci.tar:web docker-archive:docker.tar:web:1; do skopeo --policy $P copy -q containers-storage:localhost/three $to; done`);

t.test("an image of buildah is the same image from each form that skopeo writes it in", async (t) => {
	t.equal(made.status, 0, made.stderr);
	const ids = [];
	for (const [file, data] of [
		["docker.tar", "docker"],
		["layout", "folder"],
		["- <oci.tar", "stream"],
	]) {
		const { status, stderr } = shell(`$T image import -n web:1 ${file}`, data);
		t.equal(status, 0, `${file}: ${stderr}`);
		ids.push(JSON.parse(shell("$T image inspect web:1", data).stdout)[0]);
	}
	t.equal(new Set(ids.map((image) => image.Id)).size, 1);
	t.match(ids[0].Config, {
		Cmd: ["/bin/sh"],
		Env: ["A=b"],
		User: "5:6",
		WorkingDir: "/d",
		ExposedPorts: { "80/tcp": {} },
		Volumes: { "/v": {} },
		Labels: { l: "m" },
		StopSignal: "9",
	});
	t.equal(ids[0].RootFS.Layers.length, 3);
});

t.test("what umoci unpacks is the tree that is mounted", async (t) => {
	const ours = shell(`mkdir -p m; $T image mount web:1 m >/dev/null && cd m && ${listing}`, "folder");
	const theirs = shell(`umoci unpack --image layout:web u >/dev/null && cd u/rootfs && ${listing}`);
	t.equal(ours.status, 0, ours.stderr);
	t.ok(ours.stdout.split("\n").length > 8);
	t.equal(ours.stdout, theirs.stdout);
});

t.test("a saved image has the digests that it came with, for skopeo in both forms and for an import of ours", async (t) => {
	const digest = (name) => shell(`skopeo inspect --raw ${name} | sha256sum`).stdout;
	const config = (name) => shell(`skopeo inspect --config --raw ${name} | sha256sum`).stdout;
	t.equal(shell("$T image save web:1 -o saved.tar", "folder").status, 0);
	t.equal(digest("oci-archive:saved.tar:1"), digest("oci:layout:web"));
	t.equal(config("docker-archive:saved.tar:web:1"), config("oci:layout:web"));
	const copied = shell(
		"skopeo --policy $P copy -q oci-archive:saved.tar:1 dir:copy1 && skopeo --policy $P copy -q docker-archive:saved.tar:web:1 dir:copy2",
	);
	t.equal(copied.status, 0, copied.stderr);
	t.equal(shell("$T image import <saved.tar; $T image ls -q", "again").stdout.split("\n")[0], "web:1");
	const raw = (data) => JSON.parse(shell("$T image inspect web:1", data).stdout)[0].Manifest.digest;
	t.equal(raw("again"), raw("folder"));
	const save = () => shell("$T image save web:1 | sha256sum", "folder").stdout;
	t.equal(save(), save());
});

t.test("a container on the image sees it, and keeps it from being removed", async (t) => {
	const { stdout, stderr } = shell(
		`$T layer mount web --parent web:1 >/dev/null; cat $D/layers/web/merged/etc/new; ls -A $D/layers/web/merged/etc | tr '\\n' ' '
		$T image rm web:1; $T layer umount web; $T layer rm web; $T image rm web:1; $T image ls -q; $T layer ls -q; ls $D/images/blobs/sha256`,
		"stream",
	);
	t.match(stdout, /^new\nhosts hostname mtab new resolv.conf |^new\nhostname hosts mtab new resolv.conf /);
	t.match(stderr, /in use: layer web-init stands on it\n$/);
	t.match(stdout, /Untagged: web:1\nDeleted: sha256:[0-9a-f]{64}\n$/);
});

t.test("an archive in which a blob was changed is refused, and leaves nothing", async (t) => {
	const blobs = join(folder, "layout/blobs/sha256");
	const index = JSON.parse(readFileSync(join(folder, "layout/index.json"), "utf8"));
	const manifest = JSON.parse(readFileSync(join(blobs, index.manifests[0].digest.slice(7)), "utf8"));
	for (const { digest } of [index.manifests[0], manifest.config, manifest.layers[2]]) {
		const path = join(blobs, digest.slice(7));
		const whole = readFileSync(path);
		const other = Buffer.from(whole);
		other[other.length >> 1] ^= 1;
		writeFileSync(path, other);
		const { status, stderr } = shell("$T image import layout", "bad");
		writeFileSync(path, whole);
		t.equal(status, 1);
		t.match(stderr, `should be ${digest}`);
		t.same(shell("$T image ls -q; $T layer ls -q; ls $D/images/blobs/sha256", "bad").stdout, "");
	}
});

/** A free port of the loopback. */
const freePort = () =>
	new Promise((done) => {
		const server = createNetServer().listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => done(port));
		});
	});

t.test("docker-registry: pull what skopeo pushed, push it under another name, with the same digest", async (t) => {
	const port = await freePort();
	mkdirSync(join(folder, "registry"));
	writeFileSync(
		join(folder, "registry.yml"),
		`version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}/registry}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
	);
	const registry = spawn("docker-registry", ["serve", join(folder, "registry.yml")], { stdio: "ignore" });
	t.teardown(() => registry.kill());
	await new Promise((done) => setTimeout(done, 1000));
	const at = `127.0.0.1:${port}`;
	t.equal(shell(`skopeo --policy $P copy -q --dest-tls-verify=false oci:layout:web docker://${at}/a/web:1`).status, 0);
	const pulled = shell(`$T image pull ${at}/a/web:1; $T image push ${at}/a/web:1 ${at}/b:2`, "pulled");
	t.equal(pulled.status, 0, pulled.stderr);
	const raw = (name) => execFileSync("skopeo", ["inspect", "--raw", "--tls-verify=false", `docker://${at}/${name}`]);
	t.ok(raw("a/web:1").equals(raw("b:2")));
	t.match(pulled.stdout, `sha256:${createHash("sha256").update(raw("a/web:1")).digest("hex")}`);
	t.match(shell(`$T image pull ${at}/a/none`, "pulled"), { status: 1, stderr: /not found/ });
	t.match(shell(`$T image pull ${at}/a/web@sha256:${"0".repeat(64)}`, "pulled"), { status: 1 });
});

/** A registry of ours: it wants a token, has images for two machines, breaks off each blob's first transfer, and can lie. */
function fakeRegistry(lie) {
	const blobs = join(folder, "layout/blobs/sha256");
	const { manifests } = JSON.parse(readFileSync(join(folder, "layout/index.json"), "utf8"));
	const index = JSON.stringify({
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.index.v1+json",
		manifests: [
			{ ...manifests[0], annotations: undefined, digest: `sha256:${"1".repeat(64)}`, platform: { os: "linux", architecture: "s390x" } },
			{
				...manifests[0],
				annotations: { "vnd.docker.reference.type": "attestation-manifest" },
				platform: { os: "unknown", architecture: "unknown" },
			},
			{ ...manifests[0], annotations: undefined, platform: { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" } },
		],
	});
	const seen = [];
	const broken = new Set();
	const server = createServer((request, response) => {
		const { port } = server.address();
		seen.push(`${request.method} ${request.url} ${request.headers.range ?? ""}`.trim());
		if (request.url.startsWith("/token")) {
			const isKnown = request.headers.authorization === `Basic ${Buffer.from("me:secret").toString("base64")}`;
			return response.writeHead(isKnown ? 200 : 401).end(JSON.stringify({ token: "T0KEN" }));
		}
		if (request.headers.authorization !== "Bearer T0KEN")
			return response
				.writeHead(401, { "WWW-Authenticate": `Bearer realm="http://127.0.0.1:${port}/token",service="s",scope="repository:x/web:pull"` })
				.end("{}");
		const name = request.url.split("/").pop();
		if (name === "1") return response.writeHead(200, { "Content-Type": "application/vnd.oci.image.index.v1+json" }).end(index);
		if (!readdirSync(blobs).includes(name.slice(7))) return response.writeHead(404).end("{}");
		let bytes = readFileSync(join(blobs, name.slice(7)));
		if (request.url.includes("/manifests/")) return response.writeHead(200, { "Content-Type": manifests[0].mediaType }).end(bytes);
		if (lie) bytes = Buffer.concat([bytes.subarray(0, bytes.length - 1), Buffer.from("!")]);
		const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
		response.writeHead(from ? 206 : 200, {
			"Content-Length": bytes.length - from,
			...(from && { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
		});
		if (broken.has(name)) return response.end(bytes.subarray(from));
		broken.add(name);
		response.write(bytes.subarray(from, bytes.length >> 1), () => setTimeout(() => response.destroy(), 50));
	});
	return new Promise((done) => server.listen(0, "127.0.0.1", () => done({ server, seen, at: `127.0.0.1:${server.address().port}` })));
}

t.test("pull gets a token with docker's password, chooses the platform, and goes on where a transfer broke off", async (t) => {
	const { server, seen, at } = await fakeRegistry(false);
	t.teardown(() => server.close());
	mkdirSync(join(folder, ".docker"), { recursive: true });
	writeFileSync(
		join(folder, ".docker/config.json"),
		JSON.stringify({ auths: { [at]: { auth: Buffer.from("me:secret").toString("base64") } } }),
	);
	const { status, stdout, stderr } = await later(`$T image pull ${at}/x/web:1`, "token");
	t.equal(status, 0, stderr);
	t.equal(stdout, `${at}/x/web:1\n`);
	t.ok(
		seen.some((line) => /blobs\/sha256:\w+ bytes=\d+-$/.test(line)),
		seen.join("\n"),
	);
	const other = await later(`$T image pull --platform linux/arm ${at}/x/web:1`, "token");
	t.match(other, { status: 1, stderr: /no image for linux\/arm\n.*there is one for linux\/s390x, linux\// });
});

t.test("a registry that sends other bytes than it says is refused", async (t) => {
	const { server, at } = await fakeRegistry(true);
	t.teardown(() => server.close());
	writeFileSync(
		join(folder, ".docker/config.json"),
		JSON.stringify({ auths: { [at]: { auth: Buffer.from("me:secret").toString("base64") } } }),
	);
	const { status, stderr } = await later(`$T image pull ${at}/x/web:1`, "lied");
	t.equal(status, 1);
	t.match(stderr, /should be sha256:/);
	t.same(shell("$T layer ls -q; $T image ls -q; ls -A $D/images/blobs/sha256", "lied").stdout, "");
});
