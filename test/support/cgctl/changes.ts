/** Changes of several steps: all of them or none, and in the order that the kernel takes. */
import type { Behaviour } from "../cgctl-behaviours.ts";

export const changes: Behaviour[] = [
	{
		name: "set: when a limit is refused, those before it are put back",
		script: `tscgctl create pa --cpus 0.5 --memory 64m --pids 9; tscgctl get --as options pa
tscgctl set pa --cpus 0.2 --cpuset-cpus 4063 2>/dev/null; echo $?; tscgctl set pa --memory 32m --pids 5 --set pids.max=no 2>/dev/null; echo $?
tscgctl set pa pids.max=7 pids.max=no 2>/dev/null; echo $?; tscgctl set pa --device 'c 1:3 rwm' --set pids.max=no 2>/dev/null; echo $?
tscgctl get --as options pa`,
		stdout: /^(--cpus 0\.5 --memory 67108864 --pids 9\n)1\n1\n1\n1\n\1$/,
	},
	{
		name: "join and run: when the process cannot enter, the limits of a cgroup that was there are as before",
		script: `tscgctl create pa --pids 9; tscgctl join pa 2 --pids 5 2>/dev/null; echo $?; tscgctl get --as options pa; tscgctl join new 2 --pids 5 2>/dev/null; tscgctl ls -n new 2>/dev/null; echo $?`,
		stdout: "1\n--pids 9\n1\n",
	},
	{
		name: "a period that does not fit the burst lowers the burst, and the quota is never lost",
		script: `tscgctl create probe; [ -e "$(in_ cpu probe)/cpu.max.burst" ] || [ -e "$(in_ cpu probe)/cpu.cfs_burst_us" ] || { printf '0\\n10ms 5000 5000\\n'; exit; }
tscgctl create w --cpus 0.5 --cpu-burst 20ms; tscgctl set w --cpus 0.5 --cpu-period 10ms; echo $?
if [ $V = 1 ]; then p=$(file cpu/w cpu.cfs_period_us -); q=$(file cpu/w cpu.cfs_quota_us -); else read -r q p <<E
$(file cpu/w - cpu.max)
E
fi; echo "$((p / 1000))ms $q $(file cpu/w cpu.cfs_burst_us cpu.max.burst)"`,
		stdout: "0\n10ms 5000 5000\n",
	},
	{
		name: "cpu idle and a weight change in one command, and idle is taken back",
		script: `tscgctl create probe; [ -e "$(in_ cpu probe)/cpu.idle" ] || { printf '0\\n0\\n1\\n0\\n'; exit; }
tscgctl create w --cpu-weight 50 2>/dev/null; tscgctl set w --cpu-idle --cpu-weight 200 2>/dev/null; echo $?; tscgctl set w --cpu-idle=off --cpu-weight 300 2>/dev/null; echo $?
tscgctl set w --cpu-idle; tscgctl set w --cpu-weight 20 2>/dev/null; echo $?; tscgctl set w --cpu-idle=off; file cpu/w cpu.idle cpu.idle`,
		stdout: "0\n0\n1\n0\n",
	},
	{
		name: "set -R lowers from the inside out, and raises from the outside in",
		script: `tscgctl create p/c --cpus 1; tscgctl set p --cpus 1; tscgctl set -R p --cpus 0.5; echo $?; tscgctl get p/c -v; tscgctl set -R p --cpus 2; echo $?; tscgctl get p -v; tscgctl get p/c -v
[ "$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc)" -ge 2 ] || { echo 0; echo 0; exit; }
tscgctl set -R p --cpuset-cpus 0-1; tscgctl set -R p --cpuset-cpus 0; echo $?; tscgctl set -R p --cpuset-cpus 0-1; echo $?`,
		stdout: "0\n0.5\n0\n2\n2\n0\n0\n",
	},
	{
		name: "set -R that one cgroup refuses changes none",
		script: `tscgctl create p/c --pids 4; tscgctl set p --pids 5; tscgctl set -R p --pids 3 --set pids.max=no 2>/dev/null; echo $?; tscgctl get p -v; tscgctl get p/c -v`,
		stdout: "1\n5\n4\n",
	},
	{
		name: "--copy-from takes limits away that the other cgroup does not have",
		script: `tscgctl create a --pids 7; tscgctl create b --pids 3 --memory 64m --cpus 0.5 --device 'c 1:3 rwm'; tscgctl set b --copy-from a; tscgctl get --as options b; tscgctl run b -- load open /dev/zero`,
		stdout: "--pids 7\n/dev/zero: opened\n",
	},
	{
		name: "an error in OCI's resources names the member, and changes nothing; what is not applied is said",
		script: `tscgctl create r --pids 5
for json in '{"memory":{"limit":"64m"}}' '{"memory":[1]}' '{"pids":{"limit":9},"devices":[null]}' '[]' 'x'; do echo "$json" | tscgctl set r --resources - 2>/tmp/e$$; echo "$? $(cat /tmp/e$$)"; done; rm /tmp/e$$
echo '{"pids":{"limit":6},"memory":{"limit":null,"kernel":5},"unified":{"no.such":"1"}}' | tscgctl set r --resources -; echo $?; tscgctl get r -v`,
		stdout: `1 tscgctl: resources: memory.limit: "64m" is not a whole number
1 tscgctl: resources: memory: [1] is not an object
1 tscgctl: resources: devices[0]: null is not an object
1 tscgctl: resources: not a JSON object
1 tscgctl: -: not JSON
0
6
`,
		stderr:
			/^tscgctl: resources: unified\.no\.such: not applied: \/r has no no\.such\ntscgctl: resources: memory\.kernel: not applied: .*\n$/,
	},
	{
		name: "docker's numbers: a quota in microseconds, 0 for not set, memory and swap doubled",
		script: `tscgctl create d --cpu-quota 50000 --pids-limit 0 -m 64m --memory-swap double --cpu-shares 0 --blkio-weight 0 --cpu-period 0 2>/dev/null; tscgctl get --as options d
tscgctl create e -m 0 --cpus 0 --pids-limit -1 --memory-swap 0; tscgctl get --as options e; tscgctl create f --cpus 50%; tscgctl get --as options f; tscgctl set f --memory 0; echo $?`,
		stdout: /^--cpus 0\.5 --memory 67108864( --memory-swap 134217728)?\n\n--cpus 0\.5\n2\n$/,
		stderr: /set: no limit given/,
	},
	{
		name: "what a layout has of its own round trips through snapshot",
		script: `tscgctl create w --cpu-burst 5ms --cpus 0.5 2>/dev/null; tscgctl create w --memory-reservation 32m --cpuset-cpus 0; tscgctl set w --cpu-idle 2>/dev/null; [ $V = 2 ] && tscgctl set w --memory-swap-max 0 2>/dev/null
tscgctl create w/in; tscgctl set w/in --io-weight 500 2>/dev/null
a=$(tscgctl snapshot); tscgctl rm -r w; echo "$a" | sh; b=$(tscgctl snapshot); [ "$a" = "$b" ] && echo same; echo "$b" | sh; [ "$b" = "$(tscgctl snapshot)" ] && echo same`,
		stdout: "same\nsame\n",
	},
	{
		name: "a wrong hint is not given: a cpuset outside of the one above, and a quota below the burst",
		script: `tscgctl create p --cpuset-cpus 0; tscgctl create p/c --cpuset-cpus 1 2>&1 | grep -c 'user namespace'; tscgctl create p/c --cpuset-cpus 0
tscgctl create w --cpus 0.5 --cpu-burst 20ms 2>/dev/null && tscgctl set w --set $([ $V = 1 ] && echo cpu.cfs_quota_us=10000 || echo cpu.max=10000) 2>&1 | grep -c 'above it has'
[ $V = 1 ] || exit 0; tscgctl create x/y; tscgctl set x cpuset.cpu_exclusive=1 2>&1 | grep 'hint' | sed 's/.*hint: //'`,
		stdout: /^0\n(0\n)?(a cpuset can be exclusive.*\n)?$/,
	},
];
