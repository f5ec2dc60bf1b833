/** Sizes of the files, and the memory of an init that waits (man 5 proc_pid_smaps_rollup). */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Rows of a table: name, size, resident and private dirty memory. */
export async function footprint() {
	const tools = readdirSync("bin").filter((name) => name.startsWith("ts"));
	const rows = [["", "size", "resident", "private dirty"]];
	for (const name of tools) rows.push([name, `${Math.round(statSync(`bin/${name}`).size / 1000)} kB`, "", ""]);
	for (const command of [
		["bin/tsinit", "-s", "--", "sleep", "1000"],
		["tini", "-s", "--", "sleep", "1000"],
		["dumb-init", "sleep", "1000"],
	]) {
		const { rss, dirty } = await idleMemory(command);
		rows.push([`${command[0]}, idle`, "", `${rss} kB`, `${dirty} kB`]);
	}
	return rows;
}

/** In kB, a while after its start. Zeros where it is not installed. */
async function idleMemory([program, ...args]) {
	const child = spawn(program, args, { stdio: "ignore" });
	const failed = await new Promise((resolve) => {
		child.on("spawn", () => resolve(false));
		child.on("error", () => resolve(true));
	});
	if (failed) return { rss: 0, dirty: 0 };
	await sleep(300);
	const text = readFileSync(`/proc/${child.pid}/smaps_rollup`, "utf8");
	child.kill("SIGTERM");
	await new Promise((resolve) => child.on("exit", resolve));
	const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
	return { rss: field("Rss"), dirty: field("Private_Dirty") };
}
