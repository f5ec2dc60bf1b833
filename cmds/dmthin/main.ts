/**
 * tsdmthin: pools of device-mapper's thin provisioning, their volumes and snapshots, and the single steps in dmsetup's words.
 * Called as `dmsetup` it has dmsetup's words only.
 */

import * as host from "#host";
import { main } from "../common/command-line/tool.ts";
import { dmthinHint } from "./hints.ts";
import { stepVerbs } from "./table/verbs.ts";
import { verbsFor } from "./verbs.ts";

const isDmsetup = /(^|\/)dmsetup$/.test(host.argv()[0] ?? "");

main({
	name: isDmsetup ? "dmsetup" : "tsdmthin",
	summary: "thin provisioning by device-mapper: pools, volumes, snapshots; dmsetup's verbs",
	details: [
		"A pool is two devices: data, and metadata that say which blocks of it each volume has. A volume takes blocks when they are first written; a snapshot shares those of its origin until one of the two writes.",
		"What is known of pools is in files, below devicemapper in the data folder ($TSBOX_DATA, /var/lib/tsbox). Each change is a transaction: after a crash `pool activate` takes back or finishes what was broken off.",
		"The words of dmsetup(8) are verbs as well, and all of them behind `dmsetup`: `tsdmthin dmsetup ls`. A link to tsdmthin that is called dmsetup has them alone.",
	],
	examples: [
		["tsdmthin pool create web --loop /srv/web --data-size 20g", "makes a pool of two sparse files"],
		["tsdmthin create web base --size 10g --fs ext4", "makes a volume with a file system"],
		["tsdmthin snapshot web base one && tsdmthin mount web one /mnt", "takes a snapshot, and mounts it"],
		["tsdmthin dmsetup table", "is dmsetup(8), as are the other verbs of dmsetup"],
	],
	hint: dmthinHint,
	get commands() {
		return isDmsetup ? stepVerbs("") : [];
	},
	verbs() {
		return isDmsetup ? [] : verbsFor(host.argv()[1]);
	},
});
