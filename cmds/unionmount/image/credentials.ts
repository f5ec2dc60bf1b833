/** Names and passwords for registries, from docker's config.json and podman's auth.json. */
import { lstatIfAny } from "../../../native/linux/stat.ts";
import { fromBase64 } from "../../../native/linux/tar/pax.ts";
import { getenv, readState } from "../../common/state.ts";

interface AuthFile {
	auths?: Record<string, { auth?: string; identitytoken?: string }>;
}

/** Where they may be, the first that knows the registry counts. */
function files(): string[] {
	const home = getenv("HOME");
	const docker = getenv("DOCKER_CONFIG") ?? (home && `${home}/.docker`);
	const run = getenv("XDG_RUNTIME_DIR");
	return [getenv("REGISTRY_AUTH_FILE"), docker && `${docker}/config.json`, run && `${run}/containers/auth.json`].filter(
		(path): path is string => path !== undefined && path !== "",
	);
}

/** `NAME:PASSWORD` in base64, as the Basic scheme has it; undefined without credentials. */
export function basicAuth(registry: string): string | undefined {
	const keys =
		registry === "docker.io"
			? ["https://index.docker.io/v1/", "docker.io", "index.docker.io"]
			: [registry, `https://${registry}`, `http://${registry}`];
	for (const path of files()) {
		if (!lstatIfAny(path)) continue;
		const auths = readState<AuthFile>(path)?.auths ?? {};
		for (const key of keys) {
			const auth = Object.keys(auths).includes(key) ? auths[key]?.auth : undefined;
			if (typeof auth === "string" && auth !== "" && /^[A-Za-z0-9+/=]+$/.test(auth) && fromBase64(auth).includes(0x3a)) return auth;
		}
	}
	return undefined;
}
