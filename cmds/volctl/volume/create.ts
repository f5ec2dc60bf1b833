import { CLOCK_REALTIME, clockGettime } from "../../../native/linux/clock.ts";
import { getrandom } from "../../../native/linux/process.ts";
import { chmod, chown } from "../../../native/linux/stat.ts";
import { print } from "../../common/command-line/tool.ts";
import { fail, UsageError } from "../../common/errors.ts";
import { limitFolder, quotaProblem } from "../../common/project-quota.ts";
import { makeImage } from "../store/image.ts";
import { ensureMounted, needsMount } from "../store/mount.ts";
import { type Options, readOptions, splitPairs } from "../store/options.ts";
import { ANONYMOUS, checkName, makeVolume, rfc3339, type Volume, volumeIfAny } from "../store/volume.ts";

export interface CreateOptions {
	name?: string;
	driver?: string;
	label?: string[];
	opt?: string[];
	ignore?: true;
}

/** Makes a volume and prints its name. One that is there already with the same options is fine, as to Docker. */
export function create({ options, operands }: { options: CreateOptions; operands: string[] }) {
	const [operand, ...more] = operands;
	if (more.length > 0) throw new UsageError("create: more than one NAME given");
	if (operand !== undefined && options.name !== undefined && operand !== options.name)
		throw new UsageError("create: conflicting options: a NAME and --name");
	if (options.driver !== undefined && options.driver !== "local")
		fail(`--driver ${options.driver}: there is no such driver`, "local is the only one");
	const name = operand ?? options.name;
	const given = splitPairs(options.opt ?? [], "--opt");
	const labels = splitPairs(options.label ?? [], "--label");
	if (name === undefined) {
		print(`${makeAnonymous(given, labels).name}\n`);
		return;
	}
	const there = volumeIfAny(checkName(name));
	if (there && !options.ignore) {
		readOptions(given);
		const isSame = Object.keys({ ...given, ...there.options }).every((key) => given[key] === there.options[key]);
		if (!isSame && Object.keys(given).length > 0)
			fail(`${name}: there is a volume of this name with other options`, `\`tsvolctl inspect ${name}\` shows them`);
	}
	if (!there) createVolume(name, given, labels);
	print(`${name}\n`);
}

/** A volume that nobody names: 64 hexadecimal digits. */
export function makeAnonymous(options: Record<string, string> = {}, labels: Record<string, string> = {}): Volume {
	const name = [...getrandom(32)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
	return createVolume(name, options, { ...labels, [ANONYMOUS]: "" });
}

/** Makes a volume; returns the one that is there where somebody was faster. */
export function createVolume(name: string, options: Record<string, string>, labels: Record<string, string>): Volume {
	const createdAt = rfc3339(Math.floor(clockGettime(CLOCK_REALTIME)));
	const made = makeVolume({ name, createdAt, labels, options }, prepare) ?? (volumeIfAny(name) as Volume);
	/* An image is mounted at once: what is written to _data must be in it. */
	if (needsMount(made) && options.type === undefined) {
		ensureMounted(made);
		own(made.data, readOptions(options));
	}
	return made;
}

function prepare(folder: string, options: Options) {
	const data = `${folder}/_data`;
	own(data, options);
	if (options.size === undefined || options.type !== undefined) return;
	if (quotaProblem(data) === undefined) limitFolder(data, options.size);
	else makeImage(`${folder}/image`, options.size);
}

function own(data: string, { uid, gid, mode }: Options) {
	if (uid !== undefined || gid !== undefined) chown(data, uid ?? 0xffffffff, gid ?? 0xffffffff);
	if (mode !== undefined) chmod(data, mode);
}
