/** What may block: frozen cgroups, the lock, locks of others. */
import type { Behaviour } from "../cgctl-behaviours.ts";

export const blocking: Behaviour[] = [
	{
		name: "a frozen cgroup is not entered: run and join say so, --thaw lets it go on first, and nobody else waits",
		script: `tscgctl create f; tscgctl freeze f; sleep 100 & p=$!
timeout 5 tscgctl run f -- true; echo $?; timeout 5 tscgctl run --wait f -- true; echo $?; timeout 5 tscgctl join f $p; echo $?
timeout 5 tscgctl create other && timeout 5 tscgctl rm other; echo $?
timeout 5 tscgctl run --thaw f -- echo entered; tscgctl freeze f; timeout 5 tscgctl join --thaw f $p; procs f | grep -cx $p; kill $p`,
		stdout: "125\n125\n1\n0\nentered\n1\n",
		stderr:
			/^(tscgctl: \/f: is frozen, and so would be who enters it\ntscgctl: hint: --thaw lets it go on first; so does `tscgctl thaw f`\n){3}$/,
	},
	{
		name: "where a cgroup above is frozen, that one is named, and --thaw does not reach it",
		script: `tscgctl create f/in; tscgctl freeze f; timeout 5 tscgctl run f/in -- true; echo $?; timeout 5 tscgctl run --thaw f/in -- true; echo $?; tscgctl thaw f; tscgctl run f/in -- echo in`,
		stdout: "125\n125\nin\n",
		stderr:
			/^(tscgctl: \/f\/in: \/f above it is frozen, and so would be who enters it\ntscgctl: hint: `tscgctl thaw f` lets it go on\n){2}$/,
	},
	{
		name: "who is frozen while it enters holds no lock: others make and remove cgroups meanwhile",
		script: `tscgctl create f; i=0
while [ $i -lt 30 ]; do tscgctl run f -- true 2>/dev/null & i=$((i + 1)); [ $i = 5 ] && tscgctl freeze f 2>/dev/null & done
timeout 8 tscgctl create g; echo $?; timeout 8 tscgctl rm g; echo $?; tscgctl thaw f; wait; procs f | wc -l`,
		stdout: "0\n0\n0\n",
	},
	{
		name: "a waiter for the lock says who holds it, and gives up in time",
		script: `export TSBOX_RUN=\${TSBOX_RUN:-/run/tsbox}/l$$; tscgctl create a; load lock "$TSBOX_RUN/cgctl.lock" 30 & p=$!; sleep 0.3
a=$(now); tscgctl create b 2>/tmp/e$$; echo $?; b=$(now); [ $((b - a)) -lt 15000000 ] && [ $((b - a)) -gt 4000000 ] && echo in time
sed "s/pid $p/pid P/" /tmp/e$$; kill $p; rm /tmp/e$$; tscgctl create b && echo made`,
		stdout:
			"1\nin time\ntscgctl: other changes of cgroups keep this one waiting: load (pid P)\ntscgctl: hint: it has held the lock for 10 s: end it if it is stuck\nmade\n",
	},
	{
		name: "kill and thaw act on the whole subtree, also where a cgroup below was frozen by itself",
		script: `tscgctl run --leaf f/in -- sleep 100 & p=$!; until_ '[ -n "$(procs f/in 2>/dev/null)" ]'
tscgctl freeze f/in; timeout 5 tscgctl kill f; echo $?; wait $p; echo $?; timeout 5 tscgctl run f/in -- echo thawed
tscgctl run f/in -- sleep 100 & p=$!; until_ '[ -n "$(procs f/in 2>/dev/null)" ]'; tscgctl freeze f/in; tscgctl freeze f; tscgctl thaw f; echo $?; timeout 5 tscgctl run f/in -- echo thawed; tscgctl kill f`,
		stdout: "0\n137\nthawed\n0\nthawed\n",
	},
	{
		name: "kill and rm --kill do not wait for a process that is stopped",
		script: `tscgctl run s -- sleep 100 & p=$!; until_ '[ -n "$(procs s 2>/dev/null)" ]'; kill -STOP $p; a=$(now); tscgctl rm --kill s; echo $?; b=$(now); [ $((b - a)) -lt 2000000 ] && echo soon; tscgctl ls -n | grep -c /s`,
		stdout: "0\nsoon\n0\n",
		status: 1,
	},
	{
		name: "rm waits for a process that has still to give its memory back, and holds no lock meanwhile",
		script: `tscgctl run m -- load hold 600 >/tmp/h$$ & p=$!; until_ 'grep -qs touched /tmp/h'$$; rm /tmp/h$$; kill -9 $p; until_ '[ -z "$(procs m)" ]'; tscgctl rm m; echo $?`,
		stdout: "0\n",
	},
	{
		name: "a user who locks a cgroup's folder does not keep root from setting its devices",
		version: 2,
		script: `tscgctl create d; load as 65534 load flock "$(in_ pids d)" 30 >/tmp/f$$ & p=$!; until_ 'grep -qs locked /tmp/f'$$; timeout 5 tscgctl devices set d standard; echo $?; kill $p; rm /tmp/f$$`,
		stdout: "0\n",
	},
];
