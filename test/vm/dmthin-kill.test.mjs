// tsdmthin killed at random system calls: after `pool activate` the store and the kernel agree, the metadata is clean, and what
// was committed is there.
import t from "tap";
import { isFull, prelude } from "../support/dmthin-guest.mjs";
import { programs } from "../support/guest-programs.mjs";
import { boot, kernels } from "./vm.mjs";

t.setTimeout(3_000_000);

const kills = isFull ? 100 : 4;

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
		t.ok(points >= kills / 2);
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
}
