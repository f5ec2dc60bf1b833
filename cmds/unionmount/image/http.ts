/**
 * HTTP by curl: TLS, proxies and redirects are its business. What it is to do is written to its standard input (`-K -`), so
 * that no password stands in the list of processes.
 */
import { close, memfdCreate, O_RDONLY, open, readFile, write } from "../../../native/linux/fd.ts";
import { POLLIN, poll } from "../../../native/linux/poll.ts";
import { pidfdOpen, wait } from "../../../native/linux/process.ts";
import { fail } from "../../common/errors.ts";
import { getenv } from "../../common/state.ts";
import { findProgram, type Running, start } from "../filter.ts";

export interface Request {
	url: string;
	method?: string;
	headers?: string[];
	/** What is sent: a text, or a file by its path. */
	body?: string;
	file?: string;
	/** Where the answer goes; after what is there already, with `resume`. */
	output: string;
	resume?: boolean;
	/** Follow redirects: curl then keeps the authorization to itself when the host is another. */
	follow?: boolean;
}

export interface Answer {
	status: number;
	/** Of the last answer; names in small letters. */
	headers: Record<string, string>;
}

export interface Transfer {
	running: Running;
	head: number;
	/** What curl complains of. */
	errors: number;
}

/** As curl's config files have it. */
function quote(text: string): string {
	if (/[\r\n\0]/.test(text)) fail("a line break in what is sent to the registry");
	return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Starts a transfer; several may go at once. */
export function begin(request: Request): Transfer {
	const head = memfdCreate("head");
	const errors = memfdCreate("errors");
	const lines = [
		"silent",
		"show-error",
		"globoff",
		'proto = "=http,https"',
		'proto-redir = "=http,https"',
		"connect-timeout = 20",
		"speed-limit = 1",
		"speed-time = 60",
		`url = ${quote(request.url)}`,
		'user-agent = "tsunionmount"',
		`output = ${quote(request.output)}`,
		'dump-header = "/proc/self/fd/3"',
	];
	if (request.follow !== false) lines.push("location", "max-redirs = 5");
	if (request.method === "HEAD") lines.push("head");
	else if (request.method) lines.push(`request = ${quote(request.method)}`);
	for (const header of request.headers ?? []) lines.push(`header = ${quote(header)}`);
	if (request.body !== undefined) lines.push(`data-binary = ${quote(request.body)}`);
	if (request.file !== undefined) lines.push(`upload-file = ${quote(request.file)}`, 'header = "Expect:"');
	if (request.resume) lines.push('continue-at = "-"');
	const config = memfdCreate("config");
	write(config, `${lines.join("\n")}\n`);
	const input = open(`/proc/self/fd/${config}`, O_RDONLY);
	close(config);
	const running = start(findProgram("curl", "pull and push"), ["-K", "-"], input, 2, errors, proxies(), [head]);
	close(input);
	return { running, head, errors };
}

/** The environment that curl looks at for proxies and certificates. */
function proxies(): string[] {
	const names = [
		"http_proxy",
		"https_proxy",
		"HTTPS_PROXY",
		"all_proxy",
		"ALL_PROXY",
		"no_proxy",
		"NO_PROXY",
		"SSL_CERT_FILE",
		"SSL_CERT_DIR",
		"CURL_CA_BUNDLE",
	];
	return names.flatMap((name) => {
		const value = getenv(name);
		return value === undefined ? [] : [`${name}=${value}`];
	});
}

/** Waits for the transfer, and calls `tick` now and then. `isBroken`: the connection was, so that another try may help. */
export function end({ running, head, errors }: Transfer, tick?: () => void): Answer & { isBroken: boolean; said: string } {
	if (tick) {
		const pidfd = pidfdOpen(running.pid);
		while (poll([{ fd: pidfd, events: POLLIN }], 0.1)[0] === 0) tick();
		close(pidfd);
	}
	const ended = wait(running.pid);
	const said = readFile(`/proc/self/fd/${errors}`)
		.trim()
		.replace(/\s*\n\s*/g, "; ");
	close(errors);
	const text = readFile(`/proc/self/fd/${head}`);
	close(head);
	/* The head of each answer, those of redirects and proxies first. */
	const last =
		text
			.trimEnd()
			.split(/\r?\n\r?\n/)
			.pop() ?? "";
	const [first = "", ...rest] = last.split(/\r?\n/);
	const headers: Record<string, string> = Object.create(null);
	for (const line of rest) {
		const colon = line.indexOf(":");
		if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
	}
	const status = Number(/^HTTP\/[0-9.]+ ([0-9]{3})/.exec(first)?.[1] ?? 0);
	return { status, headers, said, isBroken: ended !== undefined && (ended.signal || ended.code !== 0) };
}
