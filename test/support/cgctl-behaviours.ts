/**
 * What tscgctl does, whatever the layout: shell scripts, and what comes of them. test/cli/cgctl.test.ts runs them on this
 * machine's layout, test/vm/cgctl.test.mjs in guests with the others.
 *
 * A script runs under `set -u`, with these before it:
 *
 *   $V          1 or 2: where the controllers are
 *   $G          the folder of the tool's root, /tsbox/NAME, on v2; `file memory/web memory.max` finds a file on either
 *   $DISK       a disk that may be written to, or nothing
 *   load        test/support/load.c
 *   used PATH   the cpu time that a cgroup has used, in microseconds
 *   now         the time, in microseconds
 */

import { blocking } from "./cgctl/blocking.ts";
import { changes } from "./cgctl/changes.ts";
import { names } from "./cgctl/names.ts";
import { reports } from "./cgctl/reports.ts";
import { sandboxes } from "./cgctl/sandboxes.ts";

export interface Behaviour {
	name: string;
	script: string;
	/** 0 if it is not given. */
	status?: number;
	stdout?: string | RegExp;
	stderr?: string | RegExp;
	/** Measures, so nothing else may run at the same time. */
	measures?: true;
	needsDisk?: true;
	/** Only on this version; the hybrid layout is v1 with a v2 beside it. */
	version?: 1 | 2;
	hybrid?: true;
}

/** Goes before each script. */
export const prelude = `set -u
export TSBOX_CGROUP_ROOT=/tsbox/t$$
ROOT=$TSBOX_CGROUP_ROOT
if [ -e /sys/fs/cgroup/memory/tasks ]; then V=1; else V=2; fi
# in CONTROLLER PATH: the cgroup's folder
in_() { if [ $V = 1 ]; then echo "/sys/fs/cgroup/$1$ROOT/$2"; else echo "/sys/fs/cgroup$ROOT/$2"; fi; }
# file CONTROLLER/PATH V1FILE V2FILE: what is in it
file() { if [ $V = 1 ]; then cat "$(in_ "\${1%%/*}" "\${1#*/}")/$2"; else cat "$(in_ "\${1%%/*}" "\${1#*/}")/$3"; fi; }
used() { if [ $V = 1 ]; then echo $(($(cat "$(in_ cpuacct "$1")/cpuacct.usage") / 1000)); else sed -n 's/^usage_usec //p' "$(in_ cpu "$1")/cpu.stat"; fi; }
now() { read -r up _ </proc/uptime; echo "\${up%.*}\${up#*.}0000"; }
procs() { cat "$(in_ memory "$1")/cgroup.procs"; }
# waits until a command succeeds, for 10 s
until_() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -lt 500 ] || { echo "never: $1"; return 1; }; sleep 0.02; done; }
trap 'tscgctl kill / 2>/dev/null; tscgctl rm -r / 2>/dev/null' EXIT
`;

export const behaviours: Behaviour[] = [
	{
		name: "create makes a cgroup on every hierarchy with controllers, and rm removes it from all",
		script: `tscgctl create web/front
for c in cpu memory pids; do [ -d "$(in_ $c web/front)" ] || echo no $c; done
tscgctl rm web/front; tscgctl rm web
for c in cpu memory pids; do [ -d "$(in_ $c web)" ] && echo left $c; done; true`,
		stdout: "",
	},
	{
		name: "limits are written as each version has them",
		script: `tscgctl create web --cpus 0.5 --memory 256m --memory-swap 384m --pids 100 --cpuset-cpus 0 --cpu-shares 2048 --memory-reservation 64m 2>/dev/null || exit
[ $V = 1 ] && file cpu/web cpu.cfs_quota_us - && file cpu/web cpu.cfs_period_us -
[ $V = 2 ] && file cpu/web - cpu.max
file memory/web memory.limit_in_bytes memory.max
file memory/web memory.memsw.limit_in_bytes memory.swap.max
file pids/web pids.max pids.max
file cpuset/web cpuset.cpus cpuset.cpus
file cpu/web cpu.shares cpu.weight
file memory/web memory.soft_limit_in_bytes memory.low`,
		stdout: /^(50000\n100000|50000 100000)\n268435456\n(402653184|134217728)\n100\n0\n(2048|200)\n67108864\n$/,
	},
	{
		name: "--cpu-burst is set where the kernel has it (Linux 5.14), and refused where it has not",
		script: `tscgctl create probe; tscgctl create web --cpus 0.5 --cpu-burst 10ms 2>/tmp/e$$; status=$?
if [ -e "$(in_ cpu probe)/cpu.max.burst" ] || [ -e "$(in_ cpu probe)/cpu.cfs_burst_us" ]; then [ $status = 0 ] && file cpu/web cpu.cfs_burst_us cpu.max.burst
else grep -q "^tscgctl: --cpu-burst 10000 us: this kernel's cpu controller has no cpu" /tmp/e$$ && [ ! -e "$(in_ cpu web)" ] && echo 10000; fi; rm /tmp/e$$`,
		stdout: "10000\n",
	},
	{
		name: "get prints the same limits on both versions, and --json too",
		script: `tscgctl create web --cpus 1.5 --memory 64m --pids 7
tscgctl get web
tscgctl get web --json | tr -d ' \\n'`,
		stdout: 'LIMIT   VALUE\ncpus    1.5\nmemory  67108864\npids    7\n{"cpus":"1.5","memory":"67108864","pids":"7"}',
	},
	{
		name: "set changes a limit and leaves the others; max takes one away",
		script: `tscgctl create web --cpus 1 --memory 64m --memory-swap 128m --pids 5
tscgctl set web --memory 32m --memory-swap 48m && tscgctl set web --memory 256m --memory-swap 512m && tscgctl set web --pids max
tscgctl get web | tail -n +2`,
		stdout: /^cpus +1\nmemory +268435456\nmemory-swap +536870912\n$/,
	},
	{
		name: "kernel files are read and written by their names, and a name that is none is refused",
		script: `tscgctl create web --pids 5
tscgctl set web pids.max=9 && tscgctl get web pids.max && tscgctl get -v web pids.max
tscgctl set web pids.maxx=9; tscgctl get web ../pids.max; tscgctl set web /pids.max=1`,
		status: 2,
		stdout: "pids.max=9\n9\n",
		stderr:
			/^tscgctl: \/web: has no file pids\.maxx\ntscgctl: hint: .*\ntscgctl: \.\.\/pids\.max: not the name of a cgroup's file\n.*\ntscgctl: \/pids\.max: not the name/,
	},
	{
		name: "a path cannot leave the root",
		script: `tscgctl create ../out; tscgctl create a/../../b; tscgctl rm ..; tscgctl ls`,
		stdout: "CGROUP  PROCS  CPU TIME  CPUS  MEMORY  PIDS  STATE\n",
		stderr: /^(tscgctl: .*: a cgroup's path may not have "\.\." in it\n.*\n){3}$/,
	},
	{
		name: "a cgroup that tsbox did not make is only read, unless --force is given",
		script: `other=t$$-other
for c in cpu cpuacct cpuset memory devices freezer blkio pids; do [ $V = 1 ] && [ -d /sys/fs/cgroup/$c ] && mkdir -p /sys/fs/cgroup/$c/$other; done
[ $V = 2 ] && mkdir /sys/fs/cgroup/$other
tscgctl ls -n --root / $other | wc -l
tscgctl set --root / $other cgroup.procs=0; echo $?
tscgctl rm --root / $other; echo $?
tscgctl kill --root / $other; echo $?
tscgctl run --root / $other -- true; echo $?
tscgctl create --root /$other-own x && tscgctl rm --root /$other-own x / ; echo $?
tscgctl rm --root / --force $other; echo $?`,
		stdout: "1\n1\n1\n1\n125\n0\n0\n",
		stderr:
			/^(tscgctl: \/t\d+-other: tsbox did not make this cgroup, so it is only read\ntscgctl: hint: --force changes it all the same\n){4}$/,
	},
	{
		name: "a shell puts itself into a cgroup: echo $$ | tscgctl join",
		script: `sh -c 'echo $$ | tscgctl join shell && cat /proc/self/cgroup' | grep -c "$ROOT/shell$" >/tmp/n$$
[ "$(cat /tmp/n$$)" -ge 1 ] && echo in; rm /tmp/n$$`,
		stdout: "in\n",
	},
	{
		name: "join takes PIDs that another program lists, and makes the cgroup with its limits",
		script: `sleep 100 & a=$!; sleep 100 & b=$!
printf '%s\\n' $a $b | tscgctl join pair --pids 5
[ "$(procs pair | sort | tr '\\n' ' ')" = "$(printf '%s\\n' $a $b | sort | tr '\\n' ' ')" ] && echo both
file pids/pair pids.max pids.max
kill $a $b`,
		stdout: "both\n5\n",
	},
	{
		name: "join is a filter of sandbox records: it passes them on, with the cgroup added",
		script: `sleep 100 & p=$!
start=$(awk '{ print $22 }' /proc/$p/stat)
echo "{\\"tsbox\\":1,\\"id\\":\\"x\\",\\"pid\\":$p,\\"start\\":$start,\\"held\\":false,\\"own\\":[1]}" | tscgctl join web | sed "s|$ROOT|ROOT|; s/:$p,/:P,/; s/:$start,/:S,/"
procs web | grep -cx $p; kill $p`,
		stdout: '{"tsbox":1,"id":"x","pid":P,"start":S,"held":false,"own":[1],"cgroup":"ROOT/web"}\n1\n',
	},
	{
		name: "a held sandbox whose cgroup cannot be made is killed and not passed on; nothing is left",
		script: `tsunshare --hold --id h$$ --pid -- true | tscgctl join web --pids 5 --cpuset-cpus 4000; echo $?
until_ '! tsunshare list | grep -q h'$$; tscgctl ls -n web`,
		status: 1,
		stdout: "1\n",
		stderr: /^tscgctl: \/web: --cpuset-cpus 4000: .*\ntscgctl: hint: .*\n(Killed\n)?tscgctl: \/web: no such cgroup\n/,
	},
	{
		name: "a pipe limits a sandbox before it starts: tsunshare --hold | tscgctl join | tsunshare start",
		script: `[ $V = 1 ] && limit=memory.limit_in_bytes || limit=memory.max
tsunshare --hold --pid --stdout /tmp/o$$ -- cat /proc/self/cgroup "$(in_ memory box)/$limit" | tscgctl join box --memory 64m | tsunshare start --wait; echo $?
[ "$(grep -c "$ROOT/box$" /tmp/o$$)" -ge 1 ] && echo inside; tail -n 1 /tmp/o$$; rm /tmp/o$$; until_ '[ ! -d "$(in_ memory box)" ]' && echo gone`,
		stdout: "0\ninside\n67108864\ngone\n",
	},
	{
		name: "a process that has ended, and a PID that is none, are refused",
		script: `tscgctl create web
tscgctl join web 4194303; echo $?
echo nonsense | tscgctl join web; echo $?
tscgctl join web </dev/null; echo $?`,
		stdout: "1\n1\n1\n",
		stderr:
			/^tscgctl: 4194303: no such process\ntscgctl: standard input: not a sandbox record or a PID: nonsense\n.*\ntscgctl: standard input: no sandbox record\n/,
	},
	{
		name: "run enters, then becomes the program: nothing stays behind",
		script: `sh -c 'echo $$; exec tscgctl run web --pids 3 -- sh -c "echo \\$\\$; cat /proc/self/cgroup"' | awk -v root="$ROOT/web" 'NR == 1 { pid = $1 } NR == 2 { print (pid == $1 ? "same process" : "another") } $0 ~ root "$" { n++ } END { print (n > 0) }'`,
		stdout: "same process\n1\n",
	},
	{
		name: "run takes its options before the path or after it, and leaves the program its own",
		script: `tscgctl run --pids 3 web -- echo -n --pids; echo; tscgctl run web --pids 4 echo --wait; file pids/web pids.max pids.max`,
		stdout: "--pids\n--wait\n4\n",
	},
	{
		name: "run ends with the program's status; 127 if there is none, 126 if it cannot be executed, 125 if the tool failed",
		script: `tscgctl run web -- sh -c 'exit 7'; echo $?; tscgctl run --wait web -- sh -c 'exit 8'; echo $?
tscgctl run --wait web -- sh -c 'kill -TERM $$'; echo $?
tscgctl run web -- /nonexistent; echo $?; tscgctl run --wait web -- /nonexistent; echo $?
tscgctl run web -- /etc/passwd; echo $?; tscgctl run web/../x -- true; echo $?; tscgctl run web --cpuset-cpus 4000 -- true; echo $?`,
		stdout: "7\n8\n143\n127\n127\n126\n2\n125\n",
	},
	{
		name: "run --wait passes signals on to the program",
		script: `tscgctl run --wait web -- sh -c 'trap "echo term; exit 3" TERM; echo ready; while :; do sleep 0.05; done' >/tmp/o$$ & p=$!
until_ "grep -qs ready /tmp/o$$"; kill -TERM $p; wait $p; echo $?; cat /tmp/o$$; rm /tmp/o$$`,
		stdout: "3\nready\nterm\n",
	},
	{
		name: "a program that touches 1500 MB under --memory 1g is killed: message, 137; with 500 MB it runs",
		script: `tscgctl run --wait web --memory 1g --memory-swap 1g -- load touch 1500; echo $?; tscgctl run --wait web -- load touch 500; echo $?`,
		stdout: "137\ntouched 500 MiB\n0\n",
		stderr: /^tscgctl: \/web: out of memory: limit 1 GiB, killed load \(pid \d+\)\n$/,
	},
	{
		name: "a child of the program that the OOM killer ends is named, and the program's own status stays",
		script: `tscgctl run --wait web --memory 32m --memory-swap 32m -- sh -c 'load touch 100; echo child $?; exit 5' 2>/tmp/e$$; echo $?; grep -c "^tscgctl: /web: out of memory: limit 32 MiB, killed load (pid [0-9]*)$" /tmp/e$$; rm /tmp/e$$`,
		stdout: "child 137\n5\n1\n",
	},
	{
		name: "the limit of the cgroup above is named where that is the one that was reached",
		script: `tscgctl create up --memory 32m --memory-swap 32m; tscgctl run --wait up/web -- load touch 100; echo $?`,
		stdout: "137\n",
		stderr: /^tscgctl: \/up\/web: out of memory: limit 32 MiB of \/up, killed load \(pid \d+\)\n$/,
	},
	{
		name: "run --stats writes cpu, peak memory, io, OOM and wall time as JSON, to a descriptor or a file",
		script: `tscgctl run --stats 3 --rm web --memory 200m -- sh -c 'load touch 50; load spin 1' 3>/tmp/s$$ >/dev/null
grep -c '^{"pid":[0-9]*,"status":0,"wall":[1-9][.0-9]*,"oom":false,"oomKills":0,"cgroup":"'$ROOT'/web","cpu":{"usage":[0-9.]*,.*"io":\\[.*\\],"pids":{.*}}$' /tmp/s$$
value() { sed -n 's/.*"'$1'":{[^}]*"'$2'":\\([0-9]*\\)[.0-9]*[,}].*/\\1/p' /tmp/s$$; }
[ "$(value memory largestProcess)" -gt 52428800 ] && echo largest; peak=$(value memory peak); [ "\${peak:-52428801}" -gt 52428800 ] && echo peak; value memory limit
tscgctl run --stats /tmp/s$$ web -- false; grep -c '"status":1,' /tmp/s$$; rm /tmp/s$$`,
		stdout: "1\nlargest\npeak\n209715200\n1\n",
	},
	{
		name: "run --rm removes the cgroup afterwards, with what the program left in it",
		script: `tscgctl run --rm web -- sh -c 'sleep 100 & echo $!' >/tmp/p$$; [ -d "$(in_ memory web)" ] || echo removed; p=$(cat /tmp/p$$); until_ '! kill -0 $p 2>/dev/null || grep -q "^State:.Z" /proc/$p/status' && echo ended; rm /tmp/p$$
tscgctl create kept; sleep 100 & p=$!; tscgctl join kept $p; tscgctl run --rm kept -- true; procs kept | grep -cx $p; kill $p`,
		stdout: "removed\nended\n1\n",
		stderr: "tscgctl: /kept: not removed: it was there before, and others are in it\n",
	},
	{
		name: "--pids 10: the 11th process is refused with EAGAIN",
		script: `tscgctl run web --pids 10 -- load forks 20`,
		status: 143,
		stdout: "fork 10: EAGAIN\n",
	},
	{
		name: "--device: opening a forbidden node fails with EPERM, an allowed one works",
		script: `tscgctl run web --device 'c 1:3 rwm' -- load open /dev/null; tscgctl run web -- load open /dev/zero; echo $?
tscgctl set web --device 'c 1:5 rwm'; tscgctl run web -- load open /dev/zero; tscgctl run web -- load open /dev/null`,
		status: 1,
		stdout: "/dev/null: opened\n/dev/zero: EPERM\n1\n/dev/zero: opened\n/dev/null: EPERM\n",
	},
	{
		name: "a busy loop under --cpus 1, then --cpus 0.5: cpu time per wall second is within 5 % of each",
		measures: true,
		script: `tscgctl run web --cpus 1 -- load spin & 
until_ '[ "$(used web)" -gt 100000 ]'
measure() { a=$(used web); t=$(now); sleep 4; b=$(used web); u=$(now); echo $(((b - a) * 1000 / (u - t))); }
within() {
	for try in 1 2 3 4 5; do
		rate=$(measure)
		# More than the limit is never right; less may come of other programs that want the cpu.
		[ "$rate" -gt $(($1 * 105 / 100)) ] && { echo "$rate is more than $1"; return; }
		[ "$rate" -ge $(($1 * 95 / 100)) ] && { echo "$1 held"; return; }
	done
	echo "$rate is less than $1"
}
within 1000; tscgctl set web --cpus 0.5; sleep 0.3; within 500`,
		stdout: "1000 held\n500 held\n",
	},
	{
		name: "two loops with weights 100 and 300 on one cpu share it 1:3 within 5 %",
		measures: true,
		script: `tscgctl run two/a --cpuset-cpus 0 --cpu-weight 100 -- load spin & tscgctl run two/b --cpuset-cpus 0 --cpu-weight 300 -- load spin &
until_ '[ "$(used two/a)" -gt 100000 ] && [ "$(used two/b)" -gt 300000 ]'
for try in 1 2 3; do
	a=$(used two/a); b=$(used two/b); sleep 4; a=$(($(used two/a) - a)); b=$(($(used two/b) - b))
	ratio=$((b * 100 / a)); [ $ratio -ge 285 ] && [ $ratio -le 315 ] && break
done
echo "$ratio" | awk '{ print ($1 >= 285 && $1 <= 315) ? "1:3" : "1:" $1 / 100 }'`,
		stdout: "1:3\n",
	},
	{
		name: "a child cgroup without a limit of its own cannot exceed its parent's --cpus 1",
		measures: true,
		script: `tscgctl create up --cpus 1; tscgctl run up/a -- load spin & tscgctl run up/b -- load spin & 
until_ '[ "$(used up)" -gt 300000 ]'
a=$(used up); t=$(now); sleep 4; b=$(used up); u=$(now); rate=$(((b - a) * 1000 / (u - t)))
[ $rate -le 1050 ] && echo held || echo $rate
tscgctl get up/a --effective | grep '^cpus '`,
		stdout: /^held\ncpus +1 +\/up\n$/,
	},
	{
		name: "freeze: cpu use stays at 0 while frozen; thaw: it goes on",
		script: `tscgctl run ice/in -- load spin & until_ '[ "$(used ice 2>/dev/null || echo 0)" -gt 50000 ]'
tscgctl freeze ice; a=$(used ice); sleep 1; b=$(used ice); echo $((b - a))
tscgctl ls | awk '/\\/ice\\/in/ { print $NF }'
tscgctl thaw ice; until_ '[ "$(used ice)" -gt '$((b + 50000))' ]' && echo goes on`,
		stdout: "0\nfrozen\ngoes on\n",
	},
	{
		name: "thaw says that a cgroup above is frozen; freeze refuses to freeze itself",
		script: `tscgctl run ice/in -- sleep 100 & until_ '[ -n "$(procs ice/in 2>/dev/null)" ]'
tscgctl freeze ice; tscgctl thaw ice/in; echo $?; tscgctl thaw ice; tscgctl run ice/in -- tscgctl freeze ice; echo $?`,
		stdout: "1\n1\n",
		stderr:
			/^tscgctl: \/ice\/in: still frozen: \/ice above it is\ntscgctl: hint: tscgctl thaw ice\ntscgctl: \/ice: this process is in it, and would never wake up again\n/,
	},
	{
		name: "kill empties a cgroup with a fork bomb inside, in one call",
		script: `tscgctl run bomb/in --pids 200 -- load bomb & until_ '[ "$(procs bomb/in 2>/dev/null | wc -l)" -gt 100 ]'
tscgctl kill bomb; echo $?; procs bomb/in | wc -l; sleep 0.3; procs bomb/in | wc -l; tscgctl rm -r bomb; echo $?`,
		stdout: "0\n0\n0\n0\n",
	},
	{
		name: "kill reaches processes that are frozen, and leaves the cgroup thawed",
		script: `tscgctl run ice -- sleep 100 & p=$!; until_ '[ -n "$(procs ice 2>/dev/null)" ]'; tscgctl freeze ice; tscgctl kill ice; echo $?; wait $p; echo $?; tscgctl run ice -- echo alive`,
		stdout: "0\n137\nalive\n",
	},
	{
		name: "kill -s sends another signal once, to all below too",
		script: `for i in a a/b; do tscgctl run $i --leaf -- sh -c 'trap "exit 4" USR1; echo >>/tmp/r'$$'; while :; do sleep 0.02; done' & eval "p$(echo $i | tr -d /)=\\$!"; sleep 0.1; done
until_ '[ "$(cat /tmp/r'$$' 2>/dev/null | wc -l)" = 2 ]'; rm /tmp/r$$; tscgctl kill -s USR1 a; echo $?; wait $pa; echo $?; wait $pab; echo $?`,
		stdout: "0\n4\n4\n",
	},
	{
		name: "rm names the processes and the cgroups that are in the way, and removes nothing then",
		script: `tscgctl run web -- sleep 100 & until_ '[ -n "$(procs web 2>/dev/null)" ]'
tscgctl rm web; echo $?; [ -d "$(in_ cpu web)" ] && echo there; tscgctl kill web; tscgctl create web/in; tscgctl rm web; echo $?; tscgctl rm -r web; echo $?
tscgctl run web -- sleep 100 & until_ '[ -n "$(procs web 2>/dev/null)" ]'; tscgctl rm --kill web; echo $?; tscgctl rm web`,
		status: 1,
		stdout: "1\nthere\n1\n0\n0\n",
		stderr:
			/^tscgctl: \/web: has processes: sleep \(pid \d+\)\n.*--kill.*\ntscgctl: \/web: has cgroups below it: in\n.*-r.*\ntscgctl: \/web: no such cgroup\n/,
	},
	{
		name: "a limit below what is used is refused, with the use now and at the peak, and no process dies",
		script: `tscgctl run web --memory 200m --memory-swap 200m -- load hold 100 >/tmp/h$$ & p=$!; until_ 'grep -qs touched /tmp/h'$$; rm /tmp/h$$
tscgctl set web --memory 20m; echo $?; kill -0 $p && echo lives; tscgctl get web | grep -c 209715200; tscgctl kill web`,
		stdout: /^1\nlives\n[12]\n$/,
		stderr:
			/^tscgctl: \/web: --memory 20 MiB: it uses 10\d(\.\d)? MiB now(, 10\d(\.\d)? MiB at its peak)?, and the kernel could not reclaim enough\n/,
	},
	{
		name: "get --effective shows the tightest limit, and the cgroup that sets it",
		script: `tscgctl create a --memory 100m --pids 50; tscgctl create a/b --memory 200m --pids 20; tscgctl create a/b/c
tscgctl get a/b/c -e | awk '$1 == "memory" || $1 == "pids" || $1 == "cpus" { print $1, $2, $3 }'`,
		stdout: "cpus max -\nmemory 104857600 /a\npids 20 /a/b\n",
	},
	{
		name: "get --as options and snapshot print what makes the cgroup again",
		script: `tscgctl create web --memory 64m --pids 7 --cpus 0.5; tscgctl create web/in --pids 3 --device 'c 1:3 rwm'
tscgctl get --as options web; tscgctl snapshot >/tmp/s$$; tscgctl rm -r web; sh /tmp/s$$; tscgctl get --as options web; tscgctl get web/in | tail -n +2; rm /tmp/s$$`,
		stdout: /^--cpus 0\.5 --memory 67108864 --pids 7\n--cpus 0\.5 --memory 67108864 --pids 7\npids +3\ndevice +c 1:3 rwm\n$/,
	},
	{
		name: "get --as v2 prints a cgroup's limits in v2's words",
		script: `tscgctl create web --cpus 0.5 --memory 64m --memory-swap 96m --pids 7 --cpu-shares 512 2>/dev/null; tscgctl get --as v2 web 2>/dev/null`,
		stdout: "cpu.max=50000 100000\ncpu.weight=50\nmemory.max=67108864\nmemory.swap.max=33554432\npids.max=7\n",
	},
	{
		name: "set --copy-from takes another cgroup's limits, --resources those of an OCI resources object",
		script: `tscgctl create a --memory 64m --pids 7; tscgctl create b; tscgctl set b --copy-from a --pids 8; tscgctl get --as options b
echo '{"memory":{"limit":33554432},"cpu":{"quota":20000,"period":50000,"cpus":"0"},"pids":{"limit":-1}}' | tscgctl set b --resources -; tscgctl get b cpuset.cpus; tscgctl get b -e | awk '{ print $1, $2 }' | grep -E '^(cpus|memory|pids) '`,
		stdout: "--memory 67108864 --pids 8\ncpuset.cpus=0\ncpus 0.4\nmemory 33554432\npids max\n",
	},
	{
		name: "stat shows what was used, ls and tree use against limit, ps the processes",
		script: `tscgctl run web/in --memory 100m --pids 5 -- load hold 20 >/tmp/h$$ & until_ 'grep -qs touched /tmp/h'$$; rm /tmp/h$$
tscgctl stat web/in --json | tr -d ' \\n' | grep -c '"cgroup":"'"$ROOT"'/web/in","processes":1,.*"memory":{"current":2[0-9]*,.*"limit":104857600.*"kinds":{"anon":2[0-9]*'
tscgctl stat web/in | grep -cE '^  (processes +1|memory +2[0-9.]+ MiB now.*limit 100 MiB|pids +1.*limit 5)'
tscgctl ls | grep -cE '/web/in +1 .*MiB / 100 MiB +1 / 5 +running'
tscgctl tree web | grep -cE '└─ in '
tscgctl ps web/in | awk '{ $1 = ""; print }' | sed 's/ *[0-9.]* MiB//'; tscgctl ps -rq web | wc -l`,
		stdout: /^1\n3\n1\n1\n STATE MEMORY COMMAND\n S load hold 20\n1\n$/,
	},
	{
		name: "stat --watch shows it again and again",
		script: `tscgctl create web; tscgctl stat web --watch 50ms --json | head -n 3 | grep -c '"processes":0'`,
		stdout: "3\n",
	},
	{
		name: "--dry-run prints the writes and makes none",
		script: `tscgctl create --dry-run web --memory 64m --pids 3 | sed "s|/sys/fs/cgroup||; s|$ROOT|ROOT|" | grep -E 'memory.(limit|max)|pids.max'; tscgctl ls
tscgctl run --dry-run web -- echo hello | grep -c execve; tscgctl create web; tscgctl rm --dry-run web | grep -c AT_REMOVEDIR >/dev/null && tscgctl ls | grep -c /web`,
		stdout:
			/^write (\/memory)?ROOT\/web\/memory\.(limit_in_bytes|max) "67108864"\nwrite (\/pids)?ROOT\/web\/pids\.max "3"\nCGROUP .*\n1\n1\n$/,
	},
	{
		name: "delegate lets a user make cgroups below, and limit them, but not lift the cgroup's own limits",
		script: `tscgctl delegate mine --user 65534 --memory 64m
as() { load as 65534 "$@" 2>&1; }
as tscgctl create mine/sub --pids 5; echo $?; as tscgctl set mine --memory max | head -n 1 | grep -c denied; as tscgctl rm mine/sub; echo $?; as tscgctl create other | head -n 1 | grep -c denied`,
		stdout: "0\n1\n0\n1\n",
	},
	{
		name: "an ordinary user reads all, and is told who may change it",
		script: `tscgctl create web --pids 5; for verb in "create new" "set web --pids 6" "rm web" "freeze web" "run web -- true"; do load as 65534 tscgctl $verb; echo $?; done
sleep 100 & p=$!; load as 65534 tscgctl join web $p; kill $p
load as 65534 tscgctl get web pids.max; load as 65534 tscgctl ls -n web | wc -l; load as 65534 tscgctl stat web | grep -c pids`,
		stdout: "1\n1\n1\n1\n125\npids.max=5\n1\n1\n",
		stderr:
			/^(tscgctl: .*: Permission denied\ntscgctl: hint: (only root and the cgroup's owner may; as root, .tscgctl delegate .* --user 65534. gives it to you|one must own the process, .*)\n){6}$/,
	},
	{
		name: "create gives the cgroup to users as cgcreate does: -a, -t, -d, -f, -s",
		script: `tscgctl create web -a 65534:65534 -t 1:1 -d 750 -f 640 -s 600
f=$(in_ pids web); stat -c '%u %g %a' $f $f/pids.max $f/cgroup.procs`,
		stdout: "65534 65534 750\n65534 65534 640\n1 1 600\n",
	},
	{
		name: "a weight that is translated is said, with the formula that was used",
		script: `[ $V = 1 ] && tscgctl create web --cpu-weight 39 --weight-formula linear || tscgctl create web --cpu-shares 999 --weight-formula linear
file cpu/web cpu.shares cpu.weight`,
		stdout: /^(999|39)\n$/,
		stderr: /^tscgctl: cpu\.(shares 999: --cpu-weight 39|weight 39: --cpu-shares 999) by the linear formula\n$/,
	},
	{
		name: "convert prints cgconfig.conf in v2's words, and says what is lost",
		script: `printf 'group a/b {\\n cpu { cpu.shares = 512; }\\n memory { memory.limit_in_bytes = 64M; memory.swappiness = 1; } }\\n' | tscgctl convert --weight-formula log; echo $?
echo pids.max=4 | tscgctl convert --as options`,
		stdout: "a/b:\ncpu.weight=59\nmemory.max=67108864\n1\n--pids 4\n",
		stderr: /^tscgctl: cpu\.weight 59: --cpu-shares 512 by the log formula\ntscgctl: a\/b: memory\.swappiness=1: v2 has no swappiness/,
	},
	{
		name: "each run --stats has a peak of its own where the kernel can (memory.peak, Linux 6.12), else says since when it counts",
		script: `for size in 60 20; do tscgctl run --stats 3 web -- load touch $size 3>/tmp/s$$ >/dev/null; done
peak=$(sed -n 's/.*"memory":{"peak":\\([0-9]*\\),.*/\\1/p' /tmp/s$$); since=$(sed -n 's/.*"peakSince":"\\([a-z]*\\)".*/\\1/p' /tmp/s$$); rm /tmp/s$$
case $since in start) [ $peak -gt 20971520 ] && [ $peak -lt 41943040 ] && echo right ;; creation) [ \${peak:-62914561} -gt 62914560 ] && echo right ;; esac`,
		stdout: "right\n",
	},
	{
		name: "info tells the layout and where each controller is",
		script: `tscgctl info --json >/tmp/i$$; for c in memory pids; do [ -d "$(tr -d ' \\n' </tmp/i$$ | sed 's/.*"name":"'$c'","version":'$V',"mount":"\\([^"]*\\)".*/\\1/')" ] && echo $c v$V | sed "s/v$V/found/"; done; rm /tmp/i$$; tscgctl info | grep -cE "^layout +(v$V|hybrid)"`,
		stdout: "memory found\npids found\n1\n",
	},
	{
		name: "hybrid: a cgroup is on v2 too where it is asked for, or where a limit needs it",
		hybrid: true,
		script: `v2=/sys/fs/cgroup/unified; tscgctl create plain; [ -e $v2$ROOT/plain ] && echo too much
tscgctl create -g cpu,v2 both; tscgctl run both -- grep -E '^0:' /proc/self/cgroup | sed "s|$ROOT|ROOT|"; tscgctl run both -- sleep 100 & p=$!; until_ '[ -n "$(cat '$v2$ROOT'/both/cgroup.procs)" ]'
tscgctl kill both; wait $p; echo $?; tscgctl rm both; [ -e $v2$ROOT/both ] || echo gone
grep -qw hugetlb $v2/cgroup.controllers || { echo 4194304; exit; }; tscgctl create huge --hugetlb 2MB=4m; cat $v2$ROOT/huge/hugetlb.2MB.max`,
		stdout: "0::ROOT/both\n137\ngone\n4194304\n",
	},
	{
		name: "200 joins to 50 cgroups at once, half of them removed meanwhile: no process is lost, no error but the honest one",
		script: `i=0; while [ $i -lt 200 ]; do sleep 300 & eval "p$i=$!"; i=$((i + 1)); done
all=$(tscgctl run ctl -- cat /proc/self/cgroup | grep -c "$ROOT/ctl$")
i=0; while [ $i -lt 200 ]; do eval "pid=\\$p$i"; tscgctl join g$((i % 50)) $pid 2>>/tmp/j$$ & eval "j$i=$!"; [ $((i % 4)) = 0 ] && { tscgctl rm g$((i % 50)) 2>>/tmp/r$$ & }
i=$((i + 1)); done
failed=0; i=0; while [ $i -lt 200 ]; do eval "wait \\$j$i" || failed=$((failed + 1)); i=$((i + 1)); done
i=0; whole=0; while [ $i -lt 200 ]; do eval "pid=\\$p$i"; [ "$(grep -c "$ROOT/g$((i % 50))\\$" /proc/$pid/cgroup)" = $all ] && whole=$((whole + 1)); i=$((i + 1)); done
echo "failed $failed, whole $whole"; cat /tmp/j$$; grep -vE ': (has processes: |no such cgroup$|hint: )' /tmp/r$$; rm -f /tmp/j$$ /tmp/r$$
i=0; while [ $i -lt 200 ]; do eval "kill \\$p$i"; i=$((i + 1)); done; tscgctl kill /`,
		stdout: "failed 0, whole 200\n",
	},
	{
		name: "--io-max: a direct write is held to the rate",
		needsDisk: true,
		measures: true,
		script: `rate=$(tscgctl run web --io-max $DISK:wbps=2m -- load write $DISK 6144); [ "$rate" -le $((2097152 * 110 / 100)) ] && [ "$rate" -ge $((2097152 * 80 / 100)) ] && echo held || echo $rate
tscgctl set web --io-max $DISK:wbps=max; rate=$(tscgctl run web -- load write $DISK 6144); [ "$rate" -gt $((2097152 * 2)) ] && echo free || echo $rate`,
		stdout: "held\nfree\n",
	},
	{
		name: "v1: what it cannot express is refused, with what would do instead, and nothing is made",
		version: 1,
		script: `tscgctl create web --memory-high 1g; tscgctl create web --oom-group; tscgctl create web --memory-min 1m; tscgctl ls`,
		stdout: /^CGROUP .*\n$/,
		stderr: /^(tscgctl: --(memory-high|oom-group|memory-min): cgroup v1 cannot express it: .*\ntscgctl: hint: .*\n){3}$/,
	},
	{
		name: "v1: a cpuset is filled from the cgroup above before a join",
		version: 1,
		script: `tscgctl create -g cpu web; mkdir -p /sys/fs/cgroup/cpuset$ROOT/web; echo 0 >/sys/fs/cgroup/cpuset$ROOT/cgroup.clone_children 2>/dev/null
mkdir /sys/fs/cgroup/cpuset$ROOT/web/bare; echo >/sys/fs/cgroup/cpuset$ROOT/web/bare/cpuset.cpus 2>/dev/null; mkdir /sys/fs/cgroup/cpu$ROOT/web/bare
tscgctl run web/bare -- grep -c "$ROOT/web/bare$" /proc/self/cgroup; cmp /sys/fs/cgroup/cpuset/cpuset.mems /sys/fs/cgroup/cpuset$ROOT/web/bare/cpuset.mems && echo filled`,
		stdout: "2\nfilled\n",
	},
	{
		name: "v1: -g makes it on some hierarchies only",
		version: 1,
		script: `tscgctl create -g cpu,memory web; for c in cpu memory pids freezer; do [ -d /sys/fs/cgroup/$c$ROOT/web ] && echo $c; done
tscgctl run web -- grep -c "$ROOT/web$" /proc/self/cgroup; tscgctl create -g nosuch x`,
		status: 1,
		stdout: /^cpu\nmemory\n2\n$/,
		stderr: /^tscgctl: --controllers: no hierarchy here has a nosuch controller\n/,
	},
	{
		name: "v2: swappiness is refused, with what would do instead",
		version: 2,
		script: `tscgctl create web --memory-swappiness 10; tscgctl create web --memory-swap 1g`,
		status: 1,
		stderr:
			/^tscgctl: --memory-swappiness: cgroup v2 cannot express it: .*\ntscgctl: hint: .*\ntscgctl: --memory-swap 1 GiB: cgroup v2 limits swap by itself.*\ntscgctl: hint: give --memory as well, or --memory-swap-max\n$/,
	},
	{
		name: "v2: the rule of no internal processes is explained, with those in the way, and --leaf moves them",
		version: 2,
		script: `tscgctl run web -- sleep 100 & p=$!; until_ '[ -n "$(procs web 2>/dev/null)" ]'
tscgctl create web/in --pids 5; echo $?; tscgctl create --leaf web/in --pids 5; echo $?; procs web/leaf | grep -cx $p; cat "$(in_ pids web/in)/pids.max"
sleep 100 & q=$!; tscgctl join web $q; echo $?; tscgctl join --leaf web $q; echo $?; procs web/leaf | grep -cx $q; kill $p $q`,
		stdout: "1\n0\n1\n5\n1\n0\n1\n",
		stderr:
			/^tscgctl: \/web: cgroup v2 gives .* to the cgroups below it only while it has no processes of its own: sleep \(pid \d+\)\ntscgctl: hint: --leaf moves it to \/web\/leaf first\ntscgctl: \/web: cgroup v2 allows it no processes of its own while it gives .* to those below it: in, leaf\ntscgctl: hint: .*--leaf.*\n$/,
	},
	{
		name: "v2: a cgroup whose children are gone takes processes again",
		version: 2,
		script: `tscgctl create web/in --pids 5; tscgctl rm web/in; tscgctl run web -- echo entered`,
		stdout: "entered\n",
	},
	...names,
	...blocking,
	...changes,
	...sandboxes,
	...reports,
];
