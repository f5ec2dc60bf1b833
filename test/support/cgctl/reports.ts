/** What is said of a cgroup's use. */
import type { Behaviour } from "../cgctl-behaviours.ts";

export const reports: Behaviour[] = [
	{
		name: "v1's shares are not called a weight",
		script: `tscgctl create w --cpu-shares 512 2>/dev/null; tscgctl stat w --json | tr -d ' \\n' | grep -o '"\\(shares\\|weight\\)":[0-9]*' | sed 's/weight":50/shares":512/'`,
		stdout: '"shares":512\n',
	},
	{
		name: "memory is shown without page cache that is not in use, as docker stats does, and the page cache apart",
		needsDisk: true,
		script: `exec 9<$DISK; tscgctl run w -- dd if=$DISK of=/dev/null bs=1048576 count=40 2>/dev/null; tscgctl stat w --json | tr -d ' \\n' >/tmp/j$$
value() { sed -n 's/.*"memory":{[^}]*"'$1'":\\([0-9]*\\)[,}].*/\\1/p' /tmp/j$$; }
[ "$(value current)" -gt 40000000 ] && [ "$(value cache)" -gt 40000000 ] && [ "$(value used)" -lt 20000000 ] && echo apart
tscgctl stat w | grep -cE 'memory +[0-9.]+ [KM]iB now, 4[0-9.]+ MiB page cache'; tscgctl ls -n w | grep -c '4[0-9.]* MiB'; rm /tmp/j$$`,
		stdout: "apart\n1\n0\n",
	},
	{
		name: "v2: threads in a threaded cgroup are told by their process, killed with it, and what it cannot do is explained",
		version: 2,
		script: `tscgctl create -g pids dom/th; tscgctl set dom/th cgroup.type=threaded; tscgctl run dom -- load threads 2 100 >/tmp/h$$ & p=$!; until_ 'grep -qs threads /tmp/h'$$; rm /tmp/h$$
for t in /proc/$p/task/*; do t=\${t##*/}; done; echo $t >"$(in_ pids dom/th)/cgroup.threads"
[ "$(tscgctl ps -q dom/th)" = $p ] && echo told; tscgctl ls -n dom/th | awk '{ print $2 }'
tscgctl set dom/th --memory 64m 2>&1 | grep -c 'memory'; tscgctl rm dom/th 2>&1 | grep -c 'has processes: load'; tscgctl kill dom/th; echo $?; wait $p; echo $?; tscgctl rm dom/th; echo $?`,
		stdout: "told\n1\n1\n1\n0\n137\n0\n",
	},
	{
		name: "v2: a controller that a populated domain cannot give to threads is explained",
		version: 2,
		script: `tscgctl create -g pids dom/th; tscgctl set dom/th cgroup.type=threaded; tscgctl create dom/th/in --memory 64m 2>&1 | grep -cE 'memory controller.*(Not supported|not supported)|threaded'; tscgctl create -g pids dom/x; tscgctl run dom/x -- true 2>&1 | grep -c 'threaded'`,
		stdout: /^[12]\n[12]\n$/,
	},
];
