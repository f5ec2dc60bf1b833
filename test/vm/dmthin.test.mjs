// tsdmthin on real device-mapper: pools on files and on a disk, volumes, snapshots, full pools, udev. Debian's dmsetup,
// thin_check, thin_delta and mkfs are the independent readers.
import t from "tap";
import { isFull } from "../support/dmthin-guest.mjs";
import { programs } from "../support/guest-programs.mjs";
import { debianPackage } from "./kernel.mjs";
import { boot, kernels } from "./vm.mjs";

t.setTimeout(1_500_000);

const snapshots = isFull ? 1000 : 10;
const prelude = `export TSBOX_DATA=/data
# busybox has these, too.
losetup() { /usr/sbin/losetup "$@"; }
blockdev() { /usr/sbin/blockdev "$@"; }
dd() { /usr/bin/dd "$@"; }
used() { dmsetup status "$1" | awk '{ split($6, a, "/"); print a[1] }'; }
`;

/** udevd with the rules for device-mapper, which call /sbin/dmsetup. */
function udevFiles() {
	const rules = ["55-dm", "60-persistent-storage-dm", "95-dm-notify"].map((name) => `/lib/udev/rules.d/${name}.rules`);
	return {
		...programs("/usr/bin/udevadm"),
		"/sbin/dmsetup": "/usr/sbin/dmsetup",
		...Object.fromEntries(rules.map((path) => [path, path])),
	};
}

for (const kernel of kernels) {
	t.test(`on ${kernel}`, async (t) => {
		const vm = await boot({
			kernel,
			memory: "768m",
			disks: [{ size: "2g" }, { size: "1g" }],
			files: {
				...udevFiles(),
				...(isFull && { "/opt/newer/thin_check": `${await debianPackage("thin-provisioning-tools", "trixie")}/usr/sbin/pdata_tools` }),
				...(isFull && programs("/lib/x86_64-linux-gnu/libgcc_s.so.1", "/lib/x86_64-linux-gnu/libm.so.6")),
				...programs("dmsetup", "thin_check", "thin_delta", "mkfs.ext4", "mkfs.xfs", "losetup", "blockdev", "/usr/bin/dd", "xfs_io"),
			},
			timeout: 600_000,
		});
		t.teardown(() => vm.close());
		t.comment(vm.release);

		const run = (script) => vm.run(`${prelude}${script}`);
		/** What a script prints that must succeed and have nothing to complain of. */
		const output = async (t, script) => {
			const { status, stdout, stderr } = await run(`set -e\n${script}`);
			t.match({ status, stderr }, { status: 0, stderr: "" }, script);
			return stdout;
		};
		const json = async (t, script) => JSON.parse(await output(t, script));

		t.test("loop-lvm: status has the lines of docker info, and Debian's dmsetup shows the same pool", async (t) => {
			await output(t, "tsdmthin pool create web --loop /srv/web; tsdmthin create web base --size 1g --fs ext4");
			const lines = (await output(t, "tsdmthin status web")).split("\n");
			const names = lines.map((line) => line.split(": ")[0]);
			t.same(names.slice(0, 19), [
				...["Pool Name", "Pool Blocksize", "Base Device Size", "Backing Filesystem", "Udev Sync Supported"],
				...["Data file", "Metadata file", "Data loop file", "Metadata loop file"],
				...["Data Space Used", "Data Space Total", "Data Space Available"],
				...["Metadata Space Used", "Metadata Space Total", "Metadata Space Available"],
				...["Thin Pool Minimum Free Space", "Deferred Removal Enabled", "Deferred Deletion Enabled", "Deferred Deleted Device Count"],
			]);
			const value = (name) => lines.find((line) => line.startsWith(`${name}: `)).slice(name.length + 2);
			t.equal(value("Pool Blocksize"), "65.54kB");
			t.equal(value("Data Space Total"), "107.4GB");
			t.equal(value("Metadata Space Total"), "2.147GB");
			t.equal(value("Base Device Size"), "1.074GB");
			t.equal(value("Backing Filesystem"), "ext4");
			const facts = await json(t, "tsdmthin pool status web --json");
			const [, , type, id, metadata, data] = (await output(t, "dmsetup status tsbox-web")).split(" ");
			t.same([type, Number(id)], ["thin-pool", facts.transaction_id]);
			t.equal(data, `${facts.data_space.used / 65536}/${facts.data_space.total / 65536}`);
			t.equal(metadata, `${facts.metadata_space.used / 4096}/${facts.metadata_space.total / 4096}`);
			t.match(await output(t, "losetup -a"), new RegExp(`${facts.data_file}:.*\\(${facts.data_loop_file}\\)`));
		});

		t.test("the words of dmsetup print what dmsetup prints", async (t) => {
			for (const words of ["ls", "ls --tree", "table", "status", "deps", "info", "info -c", "info -c --noheadings -o name,attr", "targets"])
				t.equal(await output(t, `tsdmthin dmsetup ${words}`), await output(t, `dmsetup ${words}`), words);
			t.equal(await output(t, "tsdmthin table tsbox-web"), await output(t, "dmsetup table tsbox-web"));
			t.equal(
				await output(
					t,
					`ln -s /bin/tsdmthin /run/dmsetup
					/run/dmsetup create step --table '0 8 zero' -u UUID-step
					echo '0 16 error' | /run/dmsetup reload step
					/run/dmsetup suspend step; dmsetup info -c --noheadings -o attr,uuid step
					/run/dmsetup resume step; dmsetup table step
					/run/dmsetup rename step stage; ls /dev/mapper/stage
					/run/dmsetup remove stage; ls /dev/mapper | grep -c stage || :`,
				),
				"LIsw:UUID-step\n0 16 error \n/dev/mapper/stage\n0\n",
			);
		});

		t.test("an image of four layers is a chain of snapshots on the base, a container's is on top", async (t) => {
			await output(
				t,
				`parent=base
				for layer in 1 2 3 4; do
					tsdmthin snapshot web $parent layer$layer --no-activate
					dir=$(tsdmthin mount web layer$layer); echo $layer >$dir/layer$layer
					tsdmthin umount web layer$layer
					parent=layer$layer
				done
				tsdmthin snapshot web layer4 container --no-activate`,
			);
			t.match(
				await output(t, "tsdmthin ls web -n"),
				/^base .*\n└─ layer1 .*\n {3}└─ layer2 .*\n {6}└─ layer3 .*\n {9}└─ layer4 .*\n {12}└─ container .*\n$/,
			);
			t.equal(
				await output(
					t,
					"dir=$(tsdmthin mount web container); cat $dir/layer*; tsdmthin umount web container; ls -A /dev/mapper | grep -c container || :",
				),
				"1\n2\n3\n4\n0\n",
			);
		});

		t.test("a first write takes multiples of 64 KiB, and is not seen in the origin nor in a sibling", async (t) => {
			const said = await output(
				t,
				`tsdmthin create web raw --size 100m >/dev/null
				tsdmthin snapshot web raw a >/dev/null; tsdmthin snapshot web raw b >/dev/null
				for bytes in 512 65536 65537; do
					before=$(used tsbox-web)
					head -c $bytes /dev/urandom | dd of=/dev/mapper/tsbox-web:a seek=\${seek:-0} bs=1M conv=fsync 2>/dev/null
					seek=$((\${seek:-0} + 1))
					echo $((($(used tsbox-web) - before) * 64))
				done
				cmp -n 3000000 /dev/mapper/tsbox-web:raw /dev/zero && cmp -n 3000000 /dev/mapper/tsbox-web:b /dev/zero && echo unchanged`,
			);
			t.equal(said, "64\n64\n128\nunchanged\n");
		});

		t.test("diff shows the ranges that thin_delta shows", async (t) => {
			const { ranges } = await json(t, "tsdmthin diff web layer4 container --json");
			t.ok(ranges.length > 0);
			const { ranges: raw } = await json(t, "tsdmthin diff web raw a --json");
			t.same(raw, [
				{ start: 0, length: 65536, kind: "right_only" },
				{ start: 1048576, length: 65536, kind: "right_only" },
				{ start: 2097152, length: 131072, kind: "right_only" },
			]);
			const ids = Object.fromEntries((await json(t, "tsdmthin ls web --json")).map((volume) => [volume.name, volume.device_id]));
			const meta = (await output(t, "dmsetup table tsbox-web")).split(" ")[3];
			const delta = await output(
				t,
				`dmsetup message tsbox-web 0 reserve_metadata_snap
				thin_delta -m --snap1 ${ids.layer4} --snap2 ${ids.container} /dev/loop${meta.split(":")[1]}
				dmsetup message tsbox-web 0 release_metadata_snap`,
			);
			const theirs = [...delta.matchAll(/<(left_only|right_only|different) begin="(\d+)".* length="(\d+)"/g)].map(
				([, kind, begin, length]) => ({
					start: Number(begin) * 65536,
					length: Number(length) * 65536,
					kind,
				}),
			);
			t.same(ranges, theirs);
		});

		t.test(`ten containers on a base of ${isFull ? 200 : 40} MB use less than 1.3 times its blocks`, async (t) => {
			const said = await output(
				t,
				`tsdmthin pool create ten --loop /srv/ten --data-size 600m >/dev/null
				tsdmthin create ten base --size 400m --fs ext4 >/dev/null
				dir=$(tsdmthin mount ten base); dd if=/dev/zero of=$dir/content bs=1M count=${isFull ? 200 : 40} 2>/dev/null; tsdmthin umount ten base
				used tsbox-ten
				for i in 0 1 2 3 4 5 6 7 8 9; do
					tsdmthin snapshot ten base c$i --no-activate >/dev/null
					dir=$(tsdmthin mount ten c$i); echo $i >$dir/mine; sync -f $dir/mine
				done
				used tsbox-ten
				for i in 0 1 2 3 4 5 6 7 8 9; do
					[ $(cat /data/devicemapper/ten/mnt/c$i/mine) = $i ] || echo wrong
					tsdmthin umount ten c$i
				done
				tsdmthin pool rm --force ten; ls /srv/ten; losetup -a | grep -c ten || :`,
			);
			const [base, all, ...rest] = said.trim().split("\n");
			t.ok(Number(base) > (isFull ? 3000 : 600));
			t.ok(Number(all) < 1.3 * Number(base), `${all} of ${base} blocks`);
			t.comment(`ten containers: ${all} blocks on a base of ${base}: ${(all / base).toFixed(3)}`);
			t.same(rest, ["0"]);
		});

		t.test("direct-lvm: data and metadata are cut from a disk, and it is found again by its signature", async (t) => {
			await output(
				t,
				`tsdmthin pool create direct --device /dev/vda --data-percent 95 --metadata-percent 1 --autoextend-threshold 80 --autoextend-percent 20 --on-full error
				tsdmthin create direct v --size 1g --fs xfs; dir=$(tsdmthin mount direct v); echo kept >$dir/file; tsdmthin umount direct v`,
			);
			t.match(
				await output(t, "dmsetup table | sort"),
				/tsbox-direct: 0 3982592 thin-pool \d+:\d+ \d+:\d+ 128 6222 1 error_if_no_space \ntsbox-direct=data: 0 3982592 linear \d+:0 43968\ntsbox-direct=meta: 0 41920 linear \d+:0 2048\n/,
			);
			const { status, stderr } = await run("tsdmthin pool create other --device /dev/vda");
			t.equal(status, 1);
			t.match(stderr, "tsdmthin: /dev/vda: is in use: the device tsbox-direct=data stands on it");
			/* The record says another path than where the disk is now. */
			t.equal(
				await output(
					t,
					`tsdmthin pool deactivate direct
					sed -i s,/dev/vda,/dev/vdz, /data/devicemapper/direct/pool
					tsdmthin pool activate direct
					grep -c /dev/vda /data/devicemapper/direct/pool
					dir=$(tsdmthin mount direct v); cat $dir/file; tsdmthin umount direct v`,
				),
				"/dev/mapper/tsbox-direct\n1\nkept\n",
			);
			const refused = await run("tsdmthin pool deactivate direct; tsdmthin pool create other --device /dev/vda");
			t.match(refused.stderr, /^tsdmthin: \/dev\/vda: holds the pool direct\ntsdmthin: hint: --force overwrites it\n$/);
			t.equal(
				await output(
					t,
					`rm -r /data/devicemapper/direct; tsdmthin pool activate direct --device /dev/vda >/dev/null
					tsdmthin ls direct -n | cut -d' ' -f1; tsdmthin pool rm --force direct
					dmsetup ls | grep -c direct || :`,
				),
				"volume-1\n0\n",
			);
		});

		t.test("a device that holds something is refused, and named", async (t) => {
			for (const [make, what] of [
				["mkfs.ext4 -q /dev/vdb", "ext2, ext3 or ext4"],
				["mkfs.xfs -q -f /dev/vdb", "xfs"],
				["dd if=/dev/zero of=/dev/vdb bs=1M count=2 2>/dev/null; mkswap /dev/vdb >/dev/null", "swap"],
				["dd if=/dev/zero of=/dev/vdb bs=1M count=2 2>/dev/null; echo text >/dev/vdb", "data of an unknown kind"],
			]) {
				await output(t, make);
				const { status, stderr } = await run("tsdmthin pool create x --device /dev/vdb");
				t.equal(status, 1);
				t.equal(stderr, `tsdmthin: /dev/vdb: holds ${what}\ntsdmthin: hint: --force overwrites it\n`);
			}
			t.equal(await output(t, "head -c 5 /dev/vdb; ls /data/devicemapper | grep -c x || :"), "text\n0\n");
		});

		t.test(`${snapshots} snapshots are made and removed, and all blocks come back`, async (t) => {
			const said = await output(
				t,
				`tsdmthin pool create many --loop /srv/many --data-size 200m --metadata-size 16m >/dev/null
				tsdmthin create many base --size 20m >/dev/null
				head -c 5000000 /dev/urandom >/dev/mapper/tsbox-many:base; sync
				dmsetup status tsbox-many | cut -d' ' -f6
				for i in $(seq ${snapshots}); do tsdmthin snapshot many base s$i --no-activate >/dev/null; done
				tsdmthin ls many -n | grep -c ' s[0-9]'
				dmsetup status tsbox-many | cut -d' ' -f6
				seq ${snapshots} | sed s/^/s/ | xargs tsdmthin rm many
				dmsetup status tsbox-many | cut -d' ' -f6
				tsdmthin pool deactivate many --volumes
				tsdmthin pool check many
				losetup -f --show /srv/many/metadata >/run/loop; thin_check -q $(cat /run/loop) && echo clean
				[ ! -e /opt/newer/thin_check ] || { /opt/newer/thin_check -V; /opt/newer/thin_check -q $(cat /run/loop) && echo clean; }
				losetup -d $(cat /run/loop)
				tsdmthin pool rm --force many`,
			);
			const [before, made, during, after, ...rest] = said.trim().split("\n");
			t.equal(Number(made), snapshots);
			t.equal(during, before);
			t.equal(after, before);
			t.same(rest.slice(0, 2), ["many: the metadata is whole", "clean"]);
			if (isFull) t.match(rest.slice(2), [/^1\./, "clean"], "thin_check 1.x, of Debian 13");
		});

		t.test("with --on-full error a writer gets ENOSPC, and what was written before reads back", async (t) => {
			const said = await output(
				t,
				`tsdmthin pool create full --loop /srv/full --data-size 32m --on-full error --min-free 20% >/dev/null
				tsdmthin create full v --size 100m >/dev/null
				head -c 8000000 /dev/urandom >/run/kept; dd if=/run/kept of=/dev/mapper/tsbox-full:v conv=fsync 2>/dev/null
				dd if=/dev/zero of=/dev/mapper/tsbox-full:v bs=64k seek=200 count=1000 oflag=direct 2>&1 | grep -o 'No space left\\|Input/output error\\|I/O error' | head -1
				echo 3 >/proc/sys/vm/drop_caches; cmp -n 8000000 /run/kept /dev/mapper/tsbox-full:v && echo kept`,
			);
			t.match(said, /^No space left\nkept\n$/);
			const { stdout, stderr } = await run(
				"tsdmthin status full; tsdmthin create full w --size 1m; tsdmthin snapshot full v w; ls /data/devicemapper/full/metadata",
			);
			t.match(stdout, "Mode: out_of_data_space\n");
			t.match(stdout, /\nv\n$/);
			t.equal(
				stderr,
				"tsdmthin: full: data is full (512 of 512 blocks of 64 KiB)\ntsdmthin: hint: `tsdmthin pool extend full --data-size +SIZE`, or remove volumes\n".repeat(
					3,
				),
			);
			t.match(
				await output(
					t,
					`tsdmthin pool extend full --data-size +3m; dmsetup status tsbox-full | grep -o ' rw '
					dd if=/dev/zero of=/dev/mapper/tsbox-full:v bs=64k seek=1200 count=10 oflag=direct 2>/dev/null && echo written`,
				),
				"full: data 35 MiB, metadata 2 MiB\n rw \nwritten\n",
			);
			const low = await run("tsdmthin create full w --size 1m");
			t.match(low.stderr, /^tsdmthin: full: data: 6\.8% is free \(38 of 560 blocks\), less than --min-free 20%\ntsdmthin: hint: /);
			await output(t, "tsdmthin pool rm --force full");
		});

		t.test("monitor extends a pool that fills, so that it never is full, and warns", async (t) => {
			const { stdout, stderr } = await run(
				`tsdmthin pool create grow --loop /srv/grow --data-size 32m --autoextend-threshold 80 --autoextend-percent 50 --on-full error >/dev/null
				tsdmthin create grow v --size 200m >/dev/null
				tsdmthin monitor grow --interval 0.05 --timeout 60 >/run/said 2>&1 & monitor=$!
				i=0; while [ $i -lt ${isFull ? 100 : 40} ]; do
					dd if=/dev/zero of=/dev/mapper/tsbox-grow:v bs=1M seek=$i count=1 oflag=direct 2>/dev/null || echo failed at $i
					i=$((i + 1))
				done
				kill $monitor; grep -c extended /run/said
				dmsetup status tsbox-grow | cut -d' ' -f6; tsdmthin pool rm --force grow`,
			);
			t.equal(stderr, "");
			const [times, space] = stdout.trim().split("\n");
			t.ok(Number(times) >= (isFull ? 2 : 1), stdout);
			t.match(space, isFull ? /^16\d\d\/\d{4}$/ : /^6\d\d\/\d{3,4}$/);
		});

		/* It takes many snapshots to fill 2 MiB. */
		const whenFull = isFull ? t.test.bind(t) : () => {};
		whenFull("metadata that is full is reported as such, and extended", async (t) => {
			const { stdout, stderr } = await run(
				`tsdmthin pool create meta --loop /srv/meta --data-size 4g --metadata-size 2m --min-free 0 --on-full error >/dev/null
				tsdmthin create meta v --size 4g >/dev/null
				dd if=/dev/zero of=/dev/mapper/tsbox-meta:v bs=64k count=1200 oflag=direct 2>/dev/null
				# A block in each leaf of the volume's tree, which it then has for itself.
				for at in 0 8 16 24 32 40 48 56 64 72; do writes="$writes -c 'pwrite -q \${at}m 64k'"; done
				for s in $(seq 300); do
					tsdmthin snapshot meta v s$s --no-activate >/dev/null 2>/run/error || break
					eval xfs_io -d $writes /dev/mapper/tsbox-meta:v >/dev/null 2>&1 || break
				done
				echo $s
				tsdmthin status meta >/dev/null
				tsdmthin create meta w --size 1m
				tsdmthin pool deactivate meta --volumes
				tsdmthin pool check meta; tsdmthin pool check meta --auto-repair; tsdmthin pool activate meta
				tsdmthin pool extend meta --metadata-size +4m && tsdmthin create meta w --size 1m
				tsdmthin pool rm --force meta`,
			);
			t.match(stderr, /tsdmthin: meta: (metadata is full|the metadata needs a check) \(\d+ of \d+ blocks/);
			t.match(stderr, "hint: ");
			t.ok(Number(stdout.split("\n")[0]) < 300, "it was full before the last snapshot");
			t.match(stdout, "meta: data 4 GiB, metadata 6 MiB\n/dev/mapper/tsbox-meta:w\n");
		});

		t.test("a busy volume says who holds it, in which mount namespace; --deferred removes it later", async (t) => {
			const { stdout, stderr } = await run(
				`mkdir /srv/busy
				tsdmthin create web busy --size 50m --fs ext4 >/dev/null; tsdmthin mount web busy /srv/busy >/dev/null
				unshare -m --propagation private sleep 1000 & sleep 0.3
				tsdmthin umount web busy --keep-active
				tsdmthin rm web busy; tsdmthin rm --deferred web busy
				tsdmthin status web | grep Deleted
				kill $!; wait; sleep 0.2
				tsdmthin gc; tsdmthin status web | grep Deleted; ls /dev/mapper | grep -c busy`,
			);
			t.match(stderr, /^tsdmthin: busy: is in use: mounted on \/srv\/busy in mnt:\[\d+\], of \d+ \(sleep\)/);
			t.equal(stdout, "Deferred Deleted Device Count: 1\nweb/busy\nDeferred Deleted Device Count: 0\n0\n");
		});

		t.test("a volume grows with its file system, mounted or not", async (t) => {
			for (const fs of ["ext4", "xfs"])
				t.equal(
					await output(
						t,
						`tsdmthin create web r-${fs} --size 400m --fs ${fs} >/dev/null
						tsdmthin resize web r-${fs} --size 600m
						dir=$(tsdmthin mount web r-${fs}); [ $(df -m $dir | awk 'END { print $(NF-4) }') -gt 500 ] && echo grown
						tsdmthin resize web r-${fs} --size +200m; [ $(df -m $dir | awk 'END { print $(NF-4) }') -gt 700 ] && echo again
						tsdmthin umount web r-${fs}; tsdmthin rm web r-${fs}`,
					),
					"grown\nagain\n",
				);
		});

		t.test("pool create, volume and snapshot take 0.3 of the time of losetup, blockdev and dmsetup", async (t) => {
			const said = await output(
				t,
				`mkdir -p /srv/speed; export DM_DISABLE_UDEV=1
				theirs() {
					truncate -s 1073741824 /srv/speed/data; truncate -s 4194304 /srv/speed/metadata
					data=$(losetup -f --show /srv/speed/data); metadata=$(losetup -f --show /srv/speed/metadata)
					sectors=$(blockdev --getsz $data)
					dmsetup create speed --table "0 $sectors thin-pool $metadata $data 128 1024"
					dmsetup message speed 0 "create_thin 1"
					dmsetup create speed-1 --table "0 204800 thin /dev/mapper/speed 1"
					dmsetup suspend speed-1; dmsetup message speed 0 "create_snap 2 1"; dmsetup resume speed-1
					dmsetup create speed-2 --table "0 204800 thin /dev/mapper/speed 2"
				}
				undo_theirs() { dmsetup remove speed-2; dmsetup remove speed-1; dmsetup remove speed; losetup -d $data; losetup -d $metadata; rm /srv/speed/*; }
				ours() {
					tsdmthin pool create speed --loop /srv/speed --data-size 1g --metadata-size 4m
					tsdmthin create speed one --size 100m
					tsdmthin snapshot speed one two
				}
				for i in ${isFull ? "1 2 3 4 5" : "1 2 3"}; do
					a=$(cut -d' ' -f1 /proc/uptime); theirs >/dev/null; b=$(cut -d' ' -f1 /proc/uptime); undo_theirs
					c=$(cut -d' ' -f1 /proc/uptime); ours >/dev/null; d=$(cut -d' ' -f1 /proc/uptime); tsdmthin pool rm --force speed
					echo $a $b $c $d
				done`,
			);
			const times = said
				.trim()
				.split("\n")
				.map((line) => line.split(" ").map(Number));
			const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
			const theirs = median(times.map(([a, b]) => b - a));
			const ours = median(times.map(([, , c, d]) => d - c));
			t.comment(`ours ${ours.toFixed(2)} s, theirs ${theirs.toFixed(2)} s: ${(ours / theirs).toFixed(2)}`);
			t.ok(ours <= 0.5 * theirs, `${ours} s, theirs ${theirs} s`);
		});

		t.test("an image is imported as a chain of layers, which another image shares; whiteouts remove", async (t) => {
			const said = await output(
				t,
				`tsdmthin base web --name root --size 300m >/dev/null
				mkdir -p /srv/image/1/etc /srv/image/1/dir /srv/image/2/etc /srv/image/2/dir; cd /srv/image
				echo one >1/etc/file; echo kept >1/etc/kept; echo x >1/dir/x
				touch 2/etc/.wh.file 2/dir/.wh..wh..opq; echo y >2/dir/y
				for layer in 1 2; do tar cf $layer.tar -C $layer .; ids="$ids,\\"sha256:$(sha256sum $layer.tar | cut -d' ' -f1)\\""; done
				echo "{\\"rootfs\\":{\\"diff_ids\\":[$(echo $ids | cut -c2-)]}}" >config.json
				echo '[{"Config":"config.json","RepoTags":["a:1"],"Layers":["1.tar","2.tar"]}]' >manifest.json
				tar cf image.tar config.json 1.tar 2.tar manifest.json
				tsdmthin import web image image.tar --parent root
				gzip -c 2.tar >2.tar.gz; tsdmthin import web plain --parent root <1.tar; tsdmthin import web more 2.tar.gz --parent plain
				tsdmthin import web again --image --parent root <image.tar
				for layer in image more again; do dir=$(tsdmthin mount web $layer); (cd $dir/rootfs; echo $(find . -type f | sort)); tsdmthin umount web $layer; done
				tsdmthin ls web --json | grep -c '"diff_id"'`,
			);
			t.equal(said, `image\nplain\nmore\nagain\n${"./dir/y ./etc/kept\n".repeat(3)}2\n`);
			const { status, stdout, stderr } = await run(
				"head -c 3000 /srv/image/image.tar | tsdmthin import web broken --image --parent root; ls /data/devicemapper/web/metadata | grep -c broken; ls -A /data/devicemapper | grep -c import",
			);
			t.same([status, stdout], [1, "0\n0\n"]);
			t.match(stderr, /^tsdmthin: -: .*the archive ends in the middle of an entry\n$/);
		});

		t.test("attach is a filter of plans, and leave undoes it as often as it is called", async (t) => {
			const said = await output(
				t,
				`echo '{"tsbox":1,"id":"c1","other":7,"layer":{"parent":"image"}}' | tsdmthin attach web --size 400m
				df -m /data/devicemapper/web/mnt/c1 | awk 'END { print ($(NF-4) > 330) }'
				echo mine >/data/devicemapper/web/mnt/c1/rootfs/mine
				tsdmthin attach web image --id=c2 --rm >/dev/null
				tsdmthin leave c1 c2 nobody; tsdmthin leave c1 c2
				tsdmthin ls web -n | grep -c 'c[12] '
				tsdmthin attach web image --id=c1 >/dev/null; cat /data/devicemapper/web/mnt/c1/rootfs/mine; tsdmthin leave c1
				mount | grep -c mapper || :`,
			);
			const [plan, ...rest] = said.trim().split("\n");
			t.same(JSON.parse(plan), {
				tsbox: 1,
				id: "c1",
				other: 7,
				rootfs: "/data/devicemapper/web/mnt/c1/rootfs",
				layer: { id: "c1", driver: "devicemapper", pool: "web", parent: "image", device: "/dev/mapper/tsbox-web:c1" },
				leave: ["tsdmthin"],
			});
			t.same(rest, ["1", "1", "mine", "0"]);
			const failed = await run(
				'echo \'{"tsbox":1,"id":"c3"}\' | tsdmthin attach web image -o no-such-option; ls /data/devicemapper/web/metadata /data/devicemapper/web/mnt | grep -c c3',
			);
			t.match(failed.stderr, /^tsdmthin: mount \/data\/devicemapper\/web\/mnt\/c3: Invalid argument\n/);
			t.equal(failed.stdout, "0\n");
		});

		t.test("where udevd runs it makes the nodes, and is waited for", async (t) => {
			const said = await output(
				t,
				`ln -s /usr/bin/udevadm /run/systemd-udevd; /run/systemd-udevd --daemon --resolve-names=never 2>/dev/null
				until udevadm control --ping 2>/dev/null; do sleep 0.1; done
				tsdmthin create web udev --size 10m
				readlink /dev/mapper/tsbox-web:udev | grep -o '^../dm-'
				tsdmthin dmsetup udevcookies | wc -l
				tsdmthin rename tsbox-web:udev udev2; readlink /dev/mapper/udev2 | grep -o '^../dm-'; ls /dev/mapper | grep -c web:udev || :
				tsdmthin rename udev2 tsbox-web:udev
				udevadm info -q property -n /dev/mapper/tsbox-web:udev | grep DM_NAME
				tsdmthin rm web udev; ls /dev/mapper | grep -c udev || :
				cat /proc/sysvipc/sem | wc -l`,
			);
			t.equal(said, "/dev/mapper/tsbox-web:udev\n../dm-\n1\n../dm-\n0\nDM_NAME=tsbox-web:udev\n0\n1\n");
			/* dmsetup, which the rules call, is ours as well. */
			t.equal(
				await output(
					t,
					`mv /sbin/dmsetup /sbin/dmsetup.away; ln -s /bin/tsdmthin /sbin/dmsetup
					tsdmthin create web udev --size 10m; readlink /dev/mapper/tsbox-web:udev | grep -o '^../dm-'; tsdmthin rm web udev
					cat /proc/sysvipc/sem | wc -l
					mv /sbin/dmsetup.away /sbin/dmsetup; killall systemd-udevd udevadm 2>/dev/null || :; rm -rf /run/udev`,
				),
				"/dev/mapper/tsbox-web:udev\n../dm-\n1\n",
			);
		});

		t.test("without device-mapper it says so, and what only reads files works", async (t) => {
			const { stdout, stderr, status } = await run(
				`tsdmthin pool deactivate web --volumes; mv /dev/mapper/control /dev/mapper/away
				tsdmthin pool ls -n | awk '{ print $1, $2 }'; tsdmthin ls web -n | head -1 | cut -d' ' -f1; tsdmthin status web | head -1
				tsdmthin create web no --size 1m; status=$?
				mv /dev/mapper/away /dev/mapper/control; exit $status`,
			);
			t.equal(status, 1);
			t.match(stdout, /^web inactive\nbase\nPool Name: tsbox-web\n$/);
			t.match(
				stderr,
				/^tsdmthin: open \/dev\/mapper\/control: No such file or directory\ntsdmthin: hint: .*modprobe dm_mod, and dm_thin_pool.*\n$/,
			);
		});
	});
}
