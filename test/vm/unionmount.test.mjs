// tsunionmount on older kernels, where overlay takes an option string only, and on file systems with project quotas.

import t from "tap";
import { programs } from "../support/guest-programs.mjs";
import { boot } from "./vm.mjs";

t.setTimeout(1_500_000);

const prelude = `cd /mnt && rm -rf t && mkdir t && cd t && mkdir a b u w m\n`;

for (const kernel of ["5.10", "6.1"])
	t.test(`on Linux ${kernel}`, async (t) => {
		const vm = await boot({ kernel, disks: [{ size: "256m" }], files: programs("mkfs.ext4") });
		t.teardown(() => vm.close());
		t.comment(`${vm.release} booted in ${vm.seconds.toFixed(1)} s`);
		const run = (script) => vm.run(`(\n${prelude}${script}\n)`);
		t.equal((await vm.run("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt")).status, 0);

		await t.test("layers mount by an option string, with colons, commas and backslashes in their paths", async (t) => {
			const { stdout, stderr } = await run(String.raw`mkdir 'c:d' 'e,f' 'g\h' 'U:,\' 'W:,\'; touch 'c:d/1' 'e,f/2' 'g\h/3'
				tsunionmount mount -l 'c:d' -l 'e,f' -l 'g\h' -u 'U:,\' -w 'W:,\' m && touch m/4 && ls m && ls 'U:,\' && tsunionmount ls -n m && umount m`);
			t.equal(stderr, "");
			t.match(stdout, /^1\n2\n3\n4\n4\n/);
			t.match(stdout, "/mnt/t/U:,\\=rw\n");
			t.match(stdout, "/mnt/t/c:d=ro\n");
			t.match(stdout, "/mnt/t/g\\h=ro\n");
		});

		await t.test("500 layers mount from long paths", async (t) => {
			const { stdout, stderr } = await run(`l=$(printf %0150d 0)/$(printf %0150d 0); mkdir -p $l; i=0
				while [ $i -lt 500 ]; do mkdir $l/$i; echo $i >$l/$i/f$i; set -- "$@" -l $l/$i; i=$((i+1)); done
				tsunionmount mount "$@" -u u -w w m && ls m | wc -l && cat m/f499 && umount m`);
			t.equal(stdout, "500\n499\n", stderr);
		});

		await t.test("--tmp throws away what is written, and leaves no mount behind", async (t) => {
			const { stdout, stderr } = await run(
				"echo 1 >a/f; tsunionmount mount -l a -l b --tmp m && echo 2 >m/f && cat m/f a/f; umount m; grep -c unionmount /proc/mounts; ls /run/tsbox",
			);
			t.equal(stdout, "2\n1\n0\n", stderr);
		});

		await t.test("errors say what is wrong", async (t) => {
			for (const [script, message] of [
				["tsunionmount mount -l a -l nope m", /lowerdir nope: No such file or directory/],
				["tsunionmount mount -l a -l b -o nonsense=1 m", /nonsense/],
				[
					"tsunionmount mount -l a -l b -u u -w w m && mkdir m/u m/w x && tsunionmount mount -l a -u m/u -w m/w x; r=$?; umount m; (exit $r)",
					/is on an overlay/,
				],
				["mkdir u/w; tsunionmount mount -l a -u u -w u/w m", /within each other/],
			]) {
				const { status, stderr } = await run(script);
				t.not(status, 0, script);
				t.match(stderr, message, script);
			}
		});

		if (kernel !== "5.10")
			await t.test("idmapped lower layers show other owners", async (t) => {
				const { stdout, stderr } = await run(
					"touch a/f; chown 5:6 a/f; tsunionmount mount -l a -l b -u u -w w --map-users 0:100000:65536 m && ls -ln m; umount m; ls /run/tsbox",
				);
				t.match(stdout, / 100005 +100006 .* f\n$/, stderr);
			});

		await t.test("info tries what this kernel can do", async (t) => {
			const { stdout } = await run("tsunionmount info --json /mnt");
			const facts = JSON.parse(stdout);
			t.match(facts["layers one by one"], { value: false });
			t.match(facts["project quotas"], { value: false, note: /tune2fs -O project,quota/ });
		});
	});
