/** Operands and values that are empty, or name no cgroup. */
import type { Behaviour } from "../cgctl-behaviours.ts";

export const names: Behaviour[] = [
	{
		name: "an empty path is a wrong command line to every verb, and nothing is done",
		script: `tscgctl create keep/in; tscgctl run keep/in -- sleep 100 & p=$!; until_ '[ -n "$(procs keep/in 2>/dev/null)" ]'
for verb in kill rm "rm -r" "rm -r --kill" create "set --pids 5" "get" stat ls tree ps "top -1" watch freeze thaw "devices list" "devices set" "delegate --user 1" \\
	snapshot oom "join" "run" "set keep --copy-from" "ls --root" "info --root" "kill keep/in" "rm -r --kill keep/in" "freeze keep" "stat keep" "ls ." "kill ."; do
	case $verb in run) set -- "" -- true ;; join) set -- "" $$ ;; "devices set") set -- "" standard ;; *.) set -- ;; *) set -- "" ;; esac
	timeout 5 tscgctl $verb "$@" >/dev/null 2>/tmp/e$$; s=$?; [ $s = 2 ] || echo "$verb: status $s: $(cat /tmp/e$$)"
done; rm /tmp/e$$
kill -0 $p && procs keep/in | grep -cx $p; kill $p`,
		stdout: "1\n",
	},
	{
		name: "every other empty value is a wrong command line too",
		script: `tscgctl create web
sleep 100 & p=$!
for word in -g -a -t -d -f -s --cpus --cpu-quota --memory --pids --cpuset-cpus --io-max --hugetlb --device --set --weight-formula --cpu-period; do
	tscgctl create new $word "" 2>/tmp/e$$; s=$?; [ $s = 2 ] || echo "create $word: status $s: $(cat /tmp/e$$)"
done
no() { tscgctl "$@" </dev/null >/dev/null 2>/tmp/e$$; s=$?; [ $s = 2 ] || echo "$*: status $s: $(cat /tmp/e$$)"; }
no join web ""; no join web $p ""; no run web --stats "" -- true; no set web --resources ""; no convert ""; no delegate web --user ""; no delegate web --user :
no get web ""; no set web ""; no set web =5; no kill web -s ""; no kill web --timeout ""; no watch web -e ""; no watch web --pressure ""; no devices set web ""
procs web | grep -cx $p; tscgctl ls -n | grep -c new; rm -f /tmp/e$$; kill $p`,
		status: 0,
		stdout: "0\n0\n",
	},
	{
		name: "the name of a kernel's file is not the name of a cgroup",
		script: `for name in cgroup.procs tasks web/cgroup.procs cpu.max pids.max memory.own notify_on_release io.x/in cgroup.own; do
	for verb in "create" "join" "run"; do tscgctl $verb $name $([ "$verb" = join ] && echo $$) $([ "$verb" = run ] && echo true) 2>/tmp/e$$; s=$?; [ $s = 2 ] && grep -q "not a name for a cgroup" /tmp/e$$ || echo "$verb $name: status $s: $(cat /tmp/e$$)"; done
done
tscgctl ls cgroup.procs; tscgctl rm cgroup.procs; tscgctl kill web/tasks; tscgctl get cgroup.procs pids.max; tscgctl ls | wc -l; rm -f /tmp/e$$`,
		stdout: "1\n",
		stderr: /^(tscgctl: \/(cgroup\.procs|web\/tasks): no such cgroup\ntscgctl: hint: .*\n){4}$/,
	},
];
