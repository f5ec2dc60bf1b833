/** dockerd (Debian's docker.io, started by hand) with tsportproxy as its userland proxy, in mount and network namespaces of its own. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { tool } from "../support/tools.ts";

t.setTimeout(180_000);

const SCRIPT = `
mount -t tmpfs none data; mkdir -p data/containerd data/docker run root/bin root/www
ip link set lo up
cat >containerd.toml <<END
version = 2
root = "$PWD/data/containerd"
state = "$PWD/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$PWD/run/containerd.sock"
END
containerd -c containerd.toml >containerd.log 2>&1 & containerd=$!
while ! [ -S run/containerd.sock ]; do sleep 0.1; done
dockerd --containerd "$PWD/run/containerd.sock" --data-root "$PWD/data/docker" --exec-root "$PWD/run/docker" -H "unix://$PWD/run/docker.sock" \\
	-p "$PWD/run/docker.pid" --storage-driver vfs --userland-proxy-path "$PROXY" >docker.log 2>&1 & dockerd=$!
trap 'kill $dockerd; wait $dockerd; kill $containerd; wait $containerd' EXIT
docker() { command docker -H "unix://$PWD/run/docker.sock" "$@"; }
for i in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
cp "$(command -v busybox)" root/bin; for applet in sh httpd sleep; do ln -s busybox "root/bin/$applet"; done; echo hello >root/www/index.html
tar -C root -c . | docker import - busy >/dev/null
ask() { for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -m 3 "$1" && return; sleep 0.2; done; echo none; }
proxies() { pgrep -fc "^$PROXY -proto" || true; }
docker run -d --name one -p 8080:80 -p 127.0.0.1:9090:80 -p 5300-5310:5300-5310/udp busy httpd -f -p 80 -h /www >/dev/null
echo "127.0.0.1 $(ask http://127.0.0.1:8080/)"; echo "127.0.0.1:9090 $(ask http://127.0.0.1:9090/)"; echo "::1 $(ask 'http://[::1]:8080/')"
echo "own $(ask "http://$(ip -4 -o addr show docker0 | sed 's/.*inet \\([^/]*\\).*/\\1/'):8080/")"
echo "proxies $(proxies)"
docker restart -t 1 one >/dev/null; echo "restarted $(ask http://127.0.0.1:8080/)"
docker run --rm -p 8080:80 busy true 2>&1 | grep -o 'port is already allocated'
docker rm -f one >/dev/null; echo "proxies $(proxies)"
docker run -d --name two -p 8080:80 busy httpd -f -p 80 -h /www >/dev/null; echo "again $(ask http://127.0.0.1:8080/)"
docker rm -f two >/dev/null; echo "proxies $(proxies)"
`;

const skip = existsSync("/usr/sbin/dockerd") && process.getuid?.() === 0 ? {} : { skip: "needs root and docker.io" };

t.test("dockerd publishes, restarts and removes containers with tsportproxy as --userland-proxy-path", skip, async (t) => {
	const folder = mkdtempSync(join(tmpdir(), `tsbox-dockerd-${process.pid}-`));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	writeFileSync(join(folder, "script"), `mkdir data; ${SCRIPT}`);
	/* Its processes are told from others' by the path of the proxy. */
	const proxy = join(folder, "tsportproxy");
	spawnSync("cp", [tool("tsportproxy"), proxy]);
	const { stdout, stderr } = spawnSync("unshare", ["-mn", "bash", "script"], {
		cwd: folder,
		encoding: "utf8",
		env: { ...process.env, PROXY: proxy },
	});
	t.same(
		stdout.trim().split("\n"),
		[
			"127.0.0.1 hello",
			"127.0.0.1:9090 hello",
			"::1 hello",
			"own hello",
			"proxies 25",
			"restarted hello",
			"port is already allocated",
			"proxies 0",
			"again hello",
			"proxies 0",
		],
		stderr,
	);
});
