// tsvolctl and project quotas in a guest: limited volumes on ext4 and xfs, and images that grow while they are mounted.

import t from "tap";
import { programs } from "../support/guest-programs.mjs";
import { boot } from "./vm.mjs";

t.setTimeout(600_000);

const vm = await boot({ disks: [{ size: "400m" }, { size: "400m" }, { size: "64m" }], files: programs("mkfs.ext4", "mkfs.xfs") });
t.teardown(() => vm.close());
t.comment(`${vm.release} booted in ${vm.seconds.toFixed(1)} s`);

for (const [type, device, make] of [
	["ext4", "/dev/vda", "mkfs.ext4 -q -O project,quota -E quotatype=prjquota /dev/vda"],
	["xfs", "/dev/vdb", "mkfs.xfs -q /dev/vdb"],
])
	t.test(`on ${type} a volume is limited by a project quota`, async (t) => {
		const setUp = await vm.run(`mkdir -p /mnt/${type} && ${make} && mount -t ${type} -o prjquota ${device} /mnt/${type}`);
		t.equal(setUp.status, 0, setUp.stderr);
		/* ext4 lets CAP_SYS_RESOURCE exceed its quotas, which containers do not have: an ordinary user writes. */
		const run = (script) =>
			vm.run(`export TSBOX_DATA=/mnt/${type}
				fill() { su -s /bin/sh user -c "dd if=/dev/zero of=$TSBOX_DATA/volumes/$1/_data/big bs=64k count=200" 2>/dev/null; stat -c %s $TSBOX_DATA/volumes/$1/_data/big; }
				${script}`);
		const { stdout, stderr } =
			await run(`chmod 755 /mnt/${type}; tsvolctl create one -o size=4m -o mode=777 && tsvolctl create two -o size=8m -o mode=777 && ls $TSBOX_DATA/volumes/one
			fill one; fill two`);
		t.match(stdout, /^one\ntwo\n_data\nopts.json\nvolume.json\n/, stderr);
		const [one, two] = stdout.trim().split("\n").slice(-2).map(Number);
		t.ok(one > 3.8e6 && one <= 4 << 20, `${one}`);
		t.ok(two > 7.8e6 && two <= 8 << 20, `${two}`);
		const du = JSON.parse((await run("tsvolctl du --json one")).stdout)[0];
		t.equal(du.limit, 4 << 20);
		t.ok(du.used >= one && du.used <= du.limit);
		const grown = await run("tsvolctl update one --size 6m && fill one");
		t.ok(Number(grown.stdout.trim().split("\n").pop()) > 5.8e6, grown.stdout);
		const copied = await run(
			"tsvolctl clone two three && tsvolctl du --json three && tsvolctl rm one two three && ls -A $TSBOX_DATA/volumes",
		);
		t.equal(
			JSON.parse(copied.stdout.slice(copied.stdout.indexOf("["), copied.stdout.lastIndexOf("]") + 1))[0].limit,
			8 << 20,
			copied.stderr,
		);
		t.match(copied.stdout, /one\ntwo\nthree\n$/, "nothing is left");
		const info = JSON.parse((await run(`tsunionmount info --json /mnt/${type}`)).stdout);
		t.match(info["project quotas"], { value: true });
	});

t.test("where there are no project quotas a volume is an image, which grows while it is in use", async (t) => {
	const { stdout, stderr } =
		await vm.run(`mkfs.ext4 -q /dev/vdc && mkdir -p /mnt/plain && mount /dev/vdc /mnt/plain && export TSBOX_DATA=/mnt/plain
		tsvolctl create small -o size=4m -o mode=1777 && ls /mnt/plain/volumes/small && stat -c %a /mnt/plain/volumes/small/_data
		dd if=/dev/zero of=/mnt/plain/volumes/small/_data/big bs=64k count=100 2>/dev/null || echo full
		tsvolctl update small --size 10m && dd if=/dev/zero of=/mnt/plain/volumes/small/_data/big bs=64k count=120 2>/dev/null && echo grown
		umount /mnt/plain/volumes/small/_data && tsvolctl backup small | tar t && tsvolctl rm small && ls -A /mnt/plain/volumes; losetup -a | grep -c small`);
	t.equal(stdout, "small\n_data\nimage\nopts.json\nvolume.json\n1777\nfull\nsmall\ngrown\n./\nbig\nsmall\n0\n", stderr);
});
