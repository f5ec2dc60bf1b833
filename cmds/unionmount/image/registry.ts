/**
 * A registry: the distribution protocol (OCI distribution-spec), with a bearer token where it asks for one
 * (WWW-Authenticate: Bearer realm=,service=,scope=).
 */

import { sleep } from "../../../native/linux/clock.ts";
import { readFileIfAny } from "../../../native/linux/fd.ts";
import { statIfAny, unlinkIfAny } from "../../../native/linux/stat.ts";
import { fail, show } from "../../common/errors.ts";
import { basicAuth } from "./credentials.ts";
import { type Answer, begin, end, type Request, type Transfer } from "./http.ts";
import type { Reference } from "./names.ts";
import { blobsFolder } from "./store.ts";

const TRIES = 5;

export interface Registry {
	base: string;
	/** One request; asks for a token first where the registry wants one. Fails but for the statuses in `allowed`. */
	ask(request: Omit<Request, "output"> & { output?: string; what: string; allowed?: number[] }): Answer & { text: string };
	/** The headers that a transfer of one's own needs. */
	headers(): string[];
	/** Gets another token, as the registry's answer asks for. False if it would be no better. */
	authorize(answer: Answer): boolean;
}

/** Registries that are asked without TLS: this machine, and those that are said to be. */
function isPlain(registry: string, insecure: boolean): boolean {
	return insecure || /^(?:localhost|127\.[0-9.]+|\[::1\])(?::\d+)?$/.test(registry);
}

function challenge(header: string): { scheme: string; values: Record<string, string> } {
	const values: Record<string, string> = Object.create(null);
	for (const [, key, quoted, plain] of header.matchAll(/([a-zA-Z_]+)=(?:"([^"]*)"|([^\s,]+))/g))
		values[(key as string).toLowerCase()] = quoted ?? plain ?? "";
	return { scheme: /^\S+/.exec(header)?.[0].toLowerCase() ?? "", values };
}

let answers = 0;

export function openRegistry({ registry, repository }: Reference, actions: string, insecure: boolean): Registry {
	const host = registry === "docker.io" ? "registry-1.docker.io" : registry;
	const base = `${isPlain(registry, insecure) ? "http" : "https"}://${host}/v2/${repository}`;
	const basic = basicAuth(registry);
	let authorization: string | undefined;

	const request = (given: Request): { answer: Answer & { isBroken: boolean; said: string }; text: string } => {
		const answer = end(begin(given));
		const text = readFileIfAny(given.output) ?? "";
		return { answer, text };
	};

	const authorize = (answer: Answer): boolean => {
		const { scheme, values } = challenge(answer.headers["www-authenticate"] ?? "");
		if (scheme === "basic") {
			if (basic === undefined || authorization !== undefined) return false;
			authorization = `Basic ${basic}`;
			return true;
		}
		if (scheme !== "bearer" || !/^https?:\/\//.test(values.realm ?? "")) return false;
		/* The name and password do not go unprotected where the registry itself is protected. */
		if (base.startsWith("https:") && !values.realm?.startsWith("https:"))
			fail(`${registry}: wants a password sent without TLS, to ${show(values.realm ?? "")}`);
		const scope = values.scope || `repository:${repository}:${actions}`;
		const query = [values.service && `service=${encodeURIComponent(values.service)}`, `scope=${encodeURIComponent(scope)}`]
			.filter(Boolean)
			.join("&");
		const output = `${blobsFolder()}/.new.token.${answers++}`;
		const { answer: got, text } = request({
			url: `${values.realm}${values.realm?.includes("?") ? "&" : "?"}${query}`,
			output,
			...(basic !== undefined && { headers: [`Authorization: Basic ${basic}`] }),
		});
		unlinkIfAny(output);
		if (got.status !== 200) return false;
		let token: unknown;
		try {
			const parsed = JSON.parse(text) as { token?: string; access_token?: string };
			token = parsed.token ?? parsed.access_token;
		} catch {
			return false;
		}
		if (typeof token !== "string" || token === "") return false;
		authorization = `Bearer ${token}`;
		return true;
	};

	const headers = () => (authorization === undefined ? [] : [`Authorization: ${authorization}`]);

	return {
		base,
		headers,
		authorize,
		ask({ what, allowed = [200], output, ...given }) {
			let tokens = 0;
			for (let attempt = 1; ; ) {
				const to = output ?? `${blobsFolder()}/.new.answer.${answers++}`;
				const { answer, text } = request({ ...given, headers: [...headers(), ...(given.headers ?? [])], output: to });
				if (output === undefined) unlinkIfAny(to);
				if (answer.status === 401 && tokens++ < 2 && authorize(answer)) continue;
				if (allowed.includes(answer.status) && !answer.isBroken) return { ...answer, text };
				const isPassing = answer.isBroken || answer.status === 429 || answer.status >= 500;
				if (isPassing && attempt < TRIES) {
					sleep(0.2 * attempt++);
					continue;
				}
				return fail(explain(registry, what, answer, text));
			}
		},
	};
}

export function explain(registry: string, what: string, answer: Answer & { said?: string }, text: string): string {
	let said = "";
	try {
		const parsed = JSON.parse(text) as { errors?: { message?: string }[] };
		said = parsed.errors?.[0]?.message ?? "";
	} catch {
		/* No JSON. */
	}
	if (answer.status === 0) return `${registry}: ${what}: ${answer.said || "no answer"}`;
	const meaning =
		answer.status === 404 ? "not found" : answer.status === 401 || answer.status === 403 ? "not allowed" : `status ${answer.status}`;
	return `${registry}: ${what}: ${meaning}${said === "" ? "" : ` (${said.slice(0, 200)})`}`;
}

export interface Download {
	url: string;
	output: string;
	size: number;
	what: string;
}

/** Fetches files, three at a time, each resumed where it broke off. Calls back with the bytes that have come. */
export function download(registry: Registry, name: string, wanted: Download[], progress: (bytes: number) => void) {
	const queue = wanted.map((file) => ({ file, attempt: 1, tokens: 0, had: -1 }));
	const running: { transfer: Transfer; job: (typeof queue)[number] }[] = [];
	const sizes = () => wanted.reduce((sum, { output }) => sum + (statIfAny(output)?.size ?? 0), 0);
	try {
		while (queue.length > 0 || running.length > 0) {
			while (running.length < 3 && queue.length > 0) {
				const job = queue.shift() as (typeof queue)[number];
				job.had = statIfAny(job.file.output)?.size ?? 0;
				if (job.had === job.file.size) continue;
				if (job.had > job.file.size) {
					unlinkIfAny(job.file.output);
					job.had = 0;
				}
				const { url, output } = job.file;
				running.push({ job, transfer: begin({ url, output, resume: job.had > 0, headers: registry.headers() }) });
			}
			const next = running.shift();
			if (!next) break;
			const answer = end(next.transfer, () => progress(sizes()));
			const { job } = next;
			const has = statIfAny(job.file.output)?.size ?? 0;
			if ((answer.status === 200 || answer.status === 206) && !answer.isBroken) {
				if (has !== job.file.size) fail(`${name}: ${job.file.what}: has ${has} bytes, and should have ${job.file.size}`);
				continue;
			}
			if (answer.status === 401 && job.tokens++ < 2) {
				unlinkIfAny(job.file.output);
				if (registry.authorize(answer)) {
					queue.unshift(job);
					continue;
				}
			}
			/* An error's text is none of the file. */
			if (answer.status >= 400) unlinkIfAny(job.file.output);
			const isPassing = (answer.isBroken && answer.status < 400) || answer.status === 429 || answer.status >= 500 || answer.status === 416;
			if (has > job.had && answer.status < 400) job.attempt = 1;
			if (!isPassing || job.attempt++ >= TRIES) fail(explain(name, job.file.what, answer, ""));
			sleep(0.2 * job.attempt);
			queue.unshift(job);
		}
	} finally {
		for (const { transfer } of running) end(transfer);
	}
}
