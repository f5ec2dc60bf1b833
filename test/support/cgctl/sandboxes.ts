/** Plans and sandboxes: join, leave, gc; and the OOM killer, whose traces they keep. */
import type { Behaviour } from "../cgctl-behaviours.ts";

/** `mounts`: where hierarchies are mounted. `left PATH`: on which of them a cgroup is. */
const helpers = `mounts() { awk '/ - cgroup2? / { print $5 }' /proc/self/mountinfo; }
left() { for m in $(mounts); do [ -d "$m$ROOT/$1" ] && echo "$m"; done; }
plan() { echo '{"tsbox":1,"id":"'"$1"'","rootfs":"/x","own":[1]}'; }
`;

export const sandboxes: Behaviour[] = [
	{
		name: "join on a plan makes the cgroup on every hierarchy, with limits, and says where",
		script: `${helpers}plan p$$ | tscgctl join web --memory 64m --pids 5 --device standard >/tmp/r$$; echo $?
sed "s|$ROOT|ROOT|g; s|p$$|ID|; s|\\"/sys[^]]*\\"|FOLDERS|" /tmp/r$$
for m in $(mounts); do [ -d "$m$ROOT/web" ] || echo "not on $m"; grep -q "\\"$m$ROOT/web\\"" /tmp/r$$ || echo "not said: $m"; done; rm /tmp/r$$
file pids/web pids.max pids.max; tscgctl run web -- load open /dev/tty9 | sed 's/ENXIO/EPERM/; s/ENOENT/EPERM/'; tscgctl leave p$$; echo $?; left web; tscgctl leave p$$ no-such; echo $?`,
		stdout: `0
{"tsbox":1,"id":"ID","rootfs":"/x","own":[1],"cgroup":"ROOT/web","cgroups":[FOLDERS],"leave":["tscgctl"]}
5
/dev/tty9: EPERM
0
0
`,
	},
	{
		name: "join on a plan that fails makes nothing, notes nothing and passes nothing on",
		script: `${helpers}plan p$$ | tscgctl join web --pids 5 --cpuset-cpus 4063 2>/dev/null; echo $?; left web; tscgctl gc -q --age 0; ls "\${TSBOX_RUN:-/run/tsbox}/cgroups" | grep -c p$$`,
		status: 1,
		stdout: "1\n0\n",
	},
	{
		name: "leave ends what is left in the cgroup, frozen or stopped, and below it, and keeps one that was there before",
		script: `${helpers}plan p$$ | tscgctl join web >/dev/null; tscgctl run web/in --leaf -- sleep 100 & a=$!; until_ '[ -n "$(procs web/in 2>/dev/null)" ]'; kill -STOP $a; tscgctl freeze web/in
timeout 8 tscgctl leave p$$; echo $?; left web; wait $a; echo $?
tscgctl create mine; plan q$$ | tscgctl join mine >/dev/null; sleep 100 & b=$!; tscgctl join mine $b; tscgctl leave q$$; echo $?; procs mine | grep -cx $b; kill $b`,
		stdout: "0\n137\n0\n1\n",
	},
	{
		name: "a cgroup that two sandboxes are in goes with the last of them",
		script: `${helpers}plan a$$ | tscgctl join pod >/dev/null; plan b$$ | tscgctl join pod >/dev/null; tscgctl leave a$$; [ -n "$(left pod)" ] && echo kept; tscgctl leave b$$; left pod; true`,
		stdout: "kept\n",
	},
	{
		name: "a plan takes back what a sandbox of its name has left, and never what one that lives has",
		script: `${helpers}plan r$$ | tscgctl join web >/dev/null; tscgctl run web -- sleep 100 & p=$!; until_ '[ -n "$(procs web 2>/dev/null)" ]'
plan r$$ | tscgctl join web --pids 5 >/dev/null; echo $?; wait $p; echo $?; procs web | wc -l; file pids/web pids.max pids.max; tscgctl leave r$$
tsunshare --hold --id l$$ --pid -- sleep 100 | tscgctl join l$$ | tsunshare start >/dev/null; plan l$$ | tscgctl join l$$; echo $?; procs l$$ | wc -l; tsunshare kill l$$ >/dev/null; tsunshare rm -f l$$ >/dev/null 2>&1; tscgctl leave l$$`,
		stdout: "0\n137\n0\n5\n1\n1\n",
		stderr: /^tscgctl: l\d+: there is a container of this name\n/,
	},
	{
		name: "leave tells of the OOM killer, and oom knows it afterwards as long as there is state",
		script: `${helpers}plan o$$ | tscgctl join web --memory 32m --memory-swap 32m >/dev/null; mkdir -p "\${TSBOX_RUN:-/run/tsbox}/sandboxes/o$$"; tscgctl run web -- load touch 100; tscgctl leave o$$; echo $?; tscgctl oom -q o$$; echo $?; rm -r "\${TSBOX_RUN:-/run/tsbox}/sandboxes/o$$"`,
		stdout: "0\n0\n",
		stderr: /^(Killed\n)?tscgctl: o\d+: out of memory: the kernel killed 1 of its processes\n$/,
	},
	{
		name: "gc removes the cgroups of plans that never came to be, once they are old, and no others",
		script: `${helpers}plan g$$ | tscgctl join old >/dev/null; tscgctl create person; tscgctl gc -q; [ -n "$(left old)" ] && echo young; tscgctl gc --age 0 | grep "^$ROOT/old" | sed "s|$ROOT||"; left old; [ -n "$(left person)" ] && echo kept`,
		stdout: "young\n/old\nkept\n",
	},
	{
		name: "a live sandbox gets a cgroup on every hierarchy, which goes with leave; gc leaves it alone while there is state",
		script: `${helpers}tsunshare --hold --id s$$ --pid -- sleep 100 | tscgctl join box --memory 64m | tsunshare start >/dev/null; for m in $(mounts); do [ -n "$(cat "$m$ROOT/box/cgroup.procs")" ] || echo "not on $m"; done
tscgctl gc --age 0 -q; [ -n "$(left box)" ] && echo kept; tsunshare kill s$$ >/dev/null; tscgctl leave s$$; echo $?; left box; tsunshare rm s$$ >/dev/null 2>&1; true`,
		stdout: "kept\n0\n",
	},
	{
		name: "oom tells by its status whether the OOM killer struck, also in a cgroup below by the limit of this one",
		script: `tscgctl create up --memory 32m --memory-swap 32m; tscgctl oom up; echo $?; tscgctl oom nothing -q 2>/dev/null; echo $?
tscgctl run --leaf up/web -- load touch 100; tscgctl oom up; echo $?; tscgctl oom -q up/web; echo $?; tscgctl stat up --json | tr -d ' \\n' | grep -c '"oom_kill":1'; tscgctl oom up --json | tr -d ' \\n'`,
		stdout:
			/^\/up: 0 processes killed for want of memory\n1\n2\n\/up: 1 process killed for want of memory\n0\n0\n1\n\{"cgroup":"[^"]*\/up","oom":true,"oomKills":1\}$/,
	},
	{
		name: "run --wait and watch tell of a kill in a cgroup below, by the limit of the one above",
		script: `tscgctl create up --memory 32m --memory-swap 32m; timeout 20 tscgctl watch up -e oom_kill -c 1 -q >/tmp/w$$ & w=$!; sleep 0.3
tscgctl run --wait --leaf up -- sh -c "tscgctl run up/in -- load touch 100; echo $?" 2>/tmp/e$$; wait $w; grep -c 'up oom_kill +1 (1)' /tmp/w$$; grep -c 'out of memory: limit 32 MiB, killed load' /tmp/e$$; rm /tmp/w$$ /tmp/e$$`,
		stdout: "0\n1\n1\n",
		version: 1,
	},
];
