/**
 * Reads the TAP that a test file writes, prints what a person reads of it, and counts.
 *
 * What is counted is a behaviour: a t.test() block with no block inside of it, however many assertions it makes. A file
 * without any block counts as one. A block that is skipped, or an assertion that is, counts as skipped; one that is
 * marked "todo" too. A file that fails though nothing in it did (it died, it hung) counts as one failure.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/* tap's own parser, which is a dependency of tap and not of ours. */
const { Parser } = await import(pathToFileURL(createRequire(import.meta.url).resolve("tap-parser")).href);

/**
 * Gives a stream to write a file's TAP to, and `end(diagnosis)`, to call when the file's process has ended; diagnosis
 * says why that was a failure, if it was. `end` gives lists of { path, why }: passed, failed and skipped.
 */
export function fileReader(name) {
	const parser = new Parser();
	const file = watch(parser, name);
	let results;
	parser.on("complete", (found) => {
		results = found;
	});
	return {
		stream: parser,
		end(diagnosis) {
			parser.end();
			const { ok, plan } = results;
			/* A file without a block also comes as "1..0": with this comment if tap found no test in it. */
			const isSkipped = ok && !diagnosis && plan.skipAll && plan.comment !== "no tests found";
			file.point = { ok: ok && !diagnosis, skip: isSkipped && (plan.comment || true), diag: diagnosis ? { ended: diagnosis } : {} };
			if (plan.skipAll && !isSkipped) file.point = { ...file.point, ok: false, diag: { ended: diagnosis || "no test in it" } };
			return tally(file);
		},
	};
}

/** Follows a parser, and builds a tree of { name, point, blocks, points }. A block's `point` is its line in its parent. */
function watch(parser, name) {
	const node = { name, point: undefined, blocks: [], points: [] };
	let open;
	parser.on("child", (child) => {
		open = watch(child, child.name);
	});
	parser.on("assert", (point) => {
		if (open) node.blocks.push(Object.assign(open, { point }));
		else node.points.push(point);
		open = undefined;
	});
	return node;
}

const skipReason = ({ skip, todo }) => (skip ? reason(skip, "no reason given") : todo ? `to do: ${reason(todo, "")}` : undefined);
const reason = (text, without) => (text === true || text === "" ? without : text);

/** Sorts the behaviours of a block by how they went. */
function tally(node, path = []) {
	const result = { passed: [], failed: [], skipped: [] };
	const skipped = skipReason(node.point);
	if (skipped !== undefined) return { ...result, skipped: [{ path, why: skipped }] };
	for (const block of node.blocks) {
		const inner = tally(block, [...path, block.name]);
		for (const kind of Object.keys(result)) result[kind].push(...inner[kind]);
	}
	for (const point of node.points) {
		const why = skipReason(point);
		if (why !== undefined) result.skipped.push({ path: [...path, point.name], why });
	}
	const broken = node.points.filter((point) => !point.ok && !point.todo);
	const isLeaf = node.blocks.length === 0;
	if (isLeaf && broken.length > 0)
		result.failed.push({ path, why: broken.map((point) => `${point.name}\n${diagnosis(point)}`).join("\n") });
	else if (broken.length > 0) result.failed.push(...broken.map((point) => ({ path: [...path, point.name], why: diagnosis(point) })));
	else if (!node.point.ok && result.failed.length === 0) result.failed.push({ path, why: diagnosis(node.point) });
	else if (isLeaf && !(node.points.length > 0 && node.points.every(skipReason))) result.passed.push({ path });
	return result;
}

/** The parts of tap's diagnostics that a person reads. */
function diagnosis({ diag = {} }) {
	const lines = [];
	if (diag?.at?.fileName) lines.push(`at ${diag.at.fileName}:${diag.at.lineNumber}`);
	for (const key of ["ended", "diff", "found", "wanted", "pattern", "expired", "tapError", "stderr", "stack"]) {
		const value = diag?.[key];
		if (value === undefined || value === null || (key === "stack" && (diag.diff || !diag.tapCaught))) continue;
		const text = typeof value === "string" ? value.trimEnd() : JSON.stringify(value, null, 1);
		lines.push(text.includes("\n") ? `${key}:\n${text}` : `${key}: ${text}`);
	}
	return lines.join("\n");
}

/** The lines about a file: one, and more for what was skipped or failed. */
export function describe(name, seconds, { passed, failed, skipped }, stderr) {
	const counts = [
		[passed, "passed"],
		[failed, "failed"],
		[skipped, "skipped"],
	].flatMap(([list, word]) => (list.length > 0 ? [`${list.length} ${word}`] : []));
	const indent = (text, by) => text.replace(/^(?=.)/gm, " ".repeat(by));
	const lines = [`${failed.length > 0 ? "FAIL" : "ok  "} ${name}  ${counts.join(", ")}  ${seconds.toFixed(1)} s`];
	for (const { path, why } of skipped) lines.push(indent(`skipped: ${[path.join(" > "), why].filter(Boolean).join(": ")}`, 7));
	for (const { path, why } of failed) lines.push(indent(`FAILED: ${path.join(" > ") || name}\n${indent(why, 4)}`, 7).trimEnd());
	if (failed.length > 0 && stderr.trim()) lines.push(indent(`standard error:\n${indent(stderr.trimEnd(), 4)}`, 7));
	return lines.join("\n");
}
