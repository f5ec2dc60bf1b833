// tsdmthin killed at random system calls, and with the power cut: after `pool activate` the store and the kernel agree, the
// metadata is clean, and what was committed is there.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { programs } from "../support/guest-programs.mjs";
import { cache } from "./kernel.mjs";
import { boot, kernels } from "./vm.mjs";

t.setTimeout(3_000_000);

const isFull = (process.env.TSBOX_SOAK ?? (process.env.TSBOX_KERNELS ? "full" : "quick")) === "full";
const kills = isFull ? 100 : 4;
const cuts = isFull ? 20 : 1;

/* A volume is committed once the tool has printed its name: then its checksum is written down. */
const prelude = `export TSBOX_DATA=/store/data
mkdir -p /store /run/sums
random() { echo $(( ($(od -An -N4 -tu4 /dev/urandom) % $1) + 1 )); }
fill() { head -c 300000 /dev/urandom >/run/content; dd if=/run/content of=/dev/mapper/tsbox-p:$1 conv=fsync 2>/dev/null; sum $1 >$2/$1; }
sum() { head -c 300000 /dev/mapper/tsbox-p:$1 | md5sum; }
# The ids that the kernel has, by Debian's thin_ls; those that the store has.
kernel_ids() {
	dmsetup message tsbox-p 0 reserve_metadata_snap
	thin_ls -m --no-headers -o DEV $(tsdmthin status p --json | sed -n 's/.*"metadata_file": "\\(.*\\)",/\\1/p') | tr -d ' ' | sort -n
	dmsetup message tsbox-p 0 release_metadata_snap
}
# calls NAME COMMAND...: notes the system calls of a command, one a line.
calls() { to=/run/calls-$1; shift; strace -f -o /run/trace "$@" >/dev/null 2>&1; sed -n 's/^[0-9 ]*\\([a-z0-9_]*\\)(.*/\\1/p' /run/trace | grep -v execve >$to; }
# killed NAME N COMMAND...: kills a command at the N-th of those: strace counts each system call for itself.
killed() {
	point=$(awk -v n=$2 'NR <= n { count[$1]++; name = $1 } END { print name ":signal=SIGKILL:when=" count[name] }' /run/calls-$1)
	shift 2
	strace -o /dev/null -e inject=$point "$@"
}
length() { wc -l </run/calls-$1; }
store_ids() { sed -n 's/.*"device_id":\\([0-9]*\\).*/\\1/p' /store/data/devicemapper/p/metadata/* | sort -n; }
# Says what is wrong after a crash, nothing if nothing is.
check() {
	tsdmthin pool activate p >/dev/null || echo activate failed
	[ "$(kernel_ids)" = "$(store_ids)" ] || echo "ids: the kernel has $(echo $(kernel_ids)), the store $(echo $(store_ids))"
	dmsetup info -c --noheadings -o name,suspended | grep -i ':suspended'
	for file in $1/*; do
		name=\${file##*/}; [ -e $file ] || continue
		tsdmthin activate p $name >/dev/null || echo $name is lost
		[ "$(sum $name)" = "$(cat $file)" ] || echo $name has changed
	done
}
`;

for (const kernel of kernels) {
	t.test(`on ${kernel}: ${kills} calls are killed`, async (t) => {
		const vm = await boot({
			kernel,
			memory: "768m",
			files: programs("dmsetup", "thin_check", "thin_ls", "strace"),
			timeout: 1_800_000,
		});
		t.teardown(() => vm.close());
		const { status, stdout, stderr } = await vm.run(`${prelude}
			tsdmthin pool create p --loop /srv/p --data-size 400m >/dev/null
			tsdmthin create p origin --size 10m >/dev/null; fill origin /run/sums
			calls create tsdmthin create p x --size 10m; calls rm tsdmthin rm p x
			calls snapshot tsdmthin snapshot p origin x; tsdmthin rm p x
			calls pool tsdmthin pool extend p --data-size +1m
			points=0
			for i in $(seq ${kills}); do
				case $((i % 4)) in
				0) set -- create p v$i --size 10m ;;
				1) set -- snapshot p origin v$i ;;
				2) set -- rm p r$i; tsdmthin create p r$i --size 10m >/dev/null ;;
				3) set -- pool extend p --data-size +1m ;;
				esac
				at=$(random $(length $1))
				killed $1 $at tsdmthin "$@" >/run/said 2>/run/error
				status=$?
				[ $status = 0 ] || [ $status = 137 ] || { echo "$* at $at: status $status"; cat /run/error; }
				[ $status = 137 ] && points=$((points + 1))
				check /run/sums | sed "s/^/$* at $at: /"
				if [ $status = 0 ]; then
					case $1 in
					create | snapshot) [ -e /store/data/devicemapper/p/metadata/v$i ] || echo "v$i is not there" ;;
					rm) [ ! -e /store/data/devicemapper/p/metadata/r$i ] || echo "r$i is still there" ;;
					esac
				fi
				# What is there, committed or rolled forward, can be used and keeps its content.
				if [ -e /store/data/devicemapper/p/metadata/v$i ]; then tsdmthin activate p v$i >/dev/null && fill v$i /run/sums; fi
				if [ -e /store/data/devicemapper/p/metadata/r$i ]; then tsdmthin rm p r$i || echo "r$i cannot be removed"; fi
				if [ $((i % 10)) = 0 ]; then
					tsdmthin pool deactivate p --volumes; tsdmthin pool check p >/run/checked 2>&1 || cat /run/checked; tsdmthin pool activate p >/dev/null
				fi
			done
			tsdmthin pool deactivate p --volumes; tsdmthin pool check p; tsdmthin pool activate p >/dev/null
			check /run/sums; losetup -a | wc -l
			tsdmthin pool rm --force p; dmsetup ls; losetup -a
			echo $points`);
		const lines = stdout.trim().split("\n");
		const points = Number(lines.pop());
		t.comment(`${points} of ${kills} calls were killed before they had ended`);
		t.ok(points >= kills * 0.8);
		t.same(lines, ["p: the metadata is whole", "2", "No devices found"]);
		t.match({ status, stderr }, { status: 0, stderr: "" });
	});

	t.test(`on ${kernel}: pool create is killed at each call, and gc clears what it leaves`, async (t) => {
		const vm = await boot({ kernel, files: programs("dmsetup", "strace"), disks: [{ size: "200m" }], timeout: 600_000 });
		t.teardown(() => vm.close());
		const { stdout, stderr } = await vm.run(`${prelude}
			for kind in "--loop /srv/k --data-size 20m" "--device /dev/vda"; do
				calls k tsdmthin pool create k $kind; tsdmthin pool rm k; killed=0
				for at in $(seq 1 ${isFull ? 3 : 29} $(length k)); do
					killed k $at tsdmthin pool create k $kind >/dev/null 2>&1
					# What the kernel answers differs a little from run to run, and so do the calls: now and then there is no such one.
					case $? in 137) killed=$((killed + 1)) ;; 0) ;; *) echo "$kind: a failure at $at" ;; esac
					tsdmthin gc >/dev/null
					# Either all of it is there, or nothing.
					[ -e /store/data/devicemapper/k/pool ] && { tsdmthin pool activate k >/dev/null; tsdmthin pool rm k; }
					[ -z "$(ls -A /srv/k 2>/dev/null)$(losetup -a)" ] && [ "$(dmsetup ls)" = "No devices found" ] && [ ! -e /store/data/devicemapper/k ] || echo "$kind: killed at $at leaves $(ls -A /srv/k; losetup -a; dmsetup ls; ls /store/data/devicemapper)"
				done
				tsdmthin pool create k $kind >/dev/null && tsdmthin pool rm k
				echo $killed $(seq 1 ${isFull ? 3 : 29} $(length k) | wc -l)
			done`);
		const lines = stdout
			.trim()
			.split("\n")
			.map((line) => line.split(" ").map(Number));
		t.equal(lines.length, 2, stdout);
		for (const [killed, points] of lines) t.ok(killed >= points - 2 && killed > 0, `${killed} of ${points} killed`);
		t.equal(stderr, "");
	});

	t.test(`on ${kernel}: the power is cut ${cuts} times`, async (t) => {
		const folder = mkdtempSync(join(cache, `power-${process.pid}-`));
		t.teardown(() => rmSync(folder, { recursive: true }));
		const disks = ["store", "pool"].map((name) => ({ path: join(folder, name), size: "300m" }));
		const start = () => boot({ kernel, disks, files: programs("dmsetup", "thin_check", "thin_ls", "mkfs.ext4"), timeout: 600_000 });
		const mounted = `${prelude}
			mount -t ext4 /dev/vda /store; mkdir -p /store/sums`;
		let vm = await start();
		t.teardown(() => vm.close());
		const first = await vm.run(`mkfs.ext4 -q /dev/vda; ${mounted}
			tsdmthin pool create p --device /dev/vdb >/dev/null && tsdmthin create p origin --size 10m >/dev/null && fill origin /store/sums; sync`);
		t.match(first, { status: 0, stderr: "" });
		let volumes = 0;
		for (let cut = 1; cut <= cuts; cut++) {
			/* Volumes come and go until the guest is killed in the middle of it. */
			const work = vm.run(`${mounted}
				for i in $(seq 1000); do
					tsdmthin snapshot p origin c${cut}-$i >/dev/null; fill c${cut}-$i /run/sums; cp /run/sums/c${cut}-$i /store/sums/; sync
					tsdmthin create p d${cut}-$i --size 10m >/dev/null; tsdmthin rm p d${cut}-$i
					if [ $i -gt 3 ]; then rm -f /store/sums/c${cut}-$((i - 3)); sync; tsdmthin rm p c${cut}-$((i - 3)); fi
				done`);
			work.catch(() => {});
			await new Promise((resolve) => setTimeout(resolve, 1500 + Math.random() * 2500));
			await vm.close();
			vm = await start();
			const { stdout, stderr } = await vm.run(`${mounted}
				check /store/sums
				tsdmthin pool deactivate p --volumes; tsdmthin pool check p; tsdmthin pool activate p >/dev/null
				ls /store/sums | wc -l
				for file in /store/sums/c*; do [ -e $file ] || continue; rm $file; tsdmthin rm p \${file##*/}; done; sync`);
			const [checked, count, ...rest] = stdout.trim().split("\n");
			t.same([checked, rest, stderr], ["p: the metadata is whole", [], ""], `cut ${cut}`);
			volumes += Number(count);
		}
		t.comment(`${volumes} volumes were there after the cuts, each with its content`);
	});
}
