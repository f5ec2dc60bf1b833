# run: the options become a plan, shell text; the plan is printed or run.
run() {
	name='' rootfs='' hostname='' network=none workdir='' nofile=1024 seccomp=default cap_add='' cap_drop=''
	remove='' detach='' init='' tty='' read_only='' dry_run='' trace='' no_cgroup='' privileged='' memory='' memory_swap=''
	make='' limit='' volumes='' ports='' live=''
	read_options "$@"
	shift "$taken"
	if [ $# -eq 0 ]; then
		set -- sh
		if [ -z "$detach" ] && [ -t 0 ] && [ -t 1 ]; then tty=1; fi
	fi
	[ -z "$detach$tty" ] || [ "$detach$tty" = 1 ] || bad_usage "--tty: not with --detach"
	[ -z "$no_cgroup" ] || [ -z "$limit" ] || bad_usage "--no-cgroup: not with a limit, nor with --device"
	# Nobody comes back to a container without a name.
	[ -n "$name$detach" ] || remove=1
	if [ -z "$name" ]; then
		IFS=- read -r name rest </proc/sys/kernel/random/uuid
		name=c$name
	fi
	plan "$@"
	if [ -n "$dry_run" ]; then print_plan; else run_plan; fi
}

# Sets $claim, $unpack, $pipe and $cleanup, shell text, from the options and the program.
plan() {
	quote "$tsunshare"
	q_tsunshare=$quoted
	quote "$tscgctl"
	q_tscgctl=$quoted
	quote "$data/$name"
	folder=$quoted
	plan_rootfs
	claim='' cleanup=''
	if [ -n "$detach$unpack" ]; then
		claim="mkdir $folder"
		cleanup="find $folder -xdev -delete"
	fi
	plan_cgroup
	plan_volumes
	plan_network
	plan_ports
	plan_sandbox "$@"
	if [ -n "$layer" ]; then
		pipe="$layer |"
		cleanup="${cleanup:+$cleanup
}$layer_rm"
	else
		pipe="printf '%s\\n' '{\"tsbox\":1,\"id\":\"$name\"}' |"
	fi
	[ -z "$volumes" ] || pipe="$pipe
    $volumes |"
	[ -n "$no_cgroup" ] || pipe="$pipe
    $cgroup |"
	if [ -n "$detach" ]; then
		pipe="$pipe
    $q_tsunshare$trace --record 0 --hold$make |$live
    $q_tsunshare start >/dev/null"
	elif [ -n "$live" ]; then
		# What acts on the live sandbox stands behind tsunshare, which then holds it; standard output is the record's.
		streams=' --stdin 3 --stdout 4 --stderr 2'
		[ -z "$tty" ] || streams=''
		pipe="$pipe
    $q_tsunshare$trace --record 0 --hold$streams$make |$live
    $q_tsunshare start --wait"
	else
		pipe="$pipe
    $q_tsunshare$trace --record 0 --stdin 3$make"
	fi
}

print_plan() {
	[ -z "$claim" ] || printf '%s\n' "$claim"
	[ -z "$unpack" ] || printf '%s\n' "$unpack"
	[ -n "$detach" ] || printf 'exec 3<&0\n'
	[ -z "$live" ] || [ -n "$detach$tty" ] || printf 'exec 4>&1\n'
	printf '%s\n' "$pipe"
	[ -z "$remove" ] || [ -z "$cleanup" ] || printf '%s\n' "$cleanup"
}

run_plan() {
	[ -r /proc/1/environ ] || fail "no right to make a container" "containers need root; \`tsunshare -r\` does not"
	[ -x "$tsunshare" ] || fail "$tsunshare: not there" "npm run build makes the tools"
	[ ! -e "$sandboxes/$name/record" ] || [ -e "$sandboxes/$name/status" ] || fail "$name: there is a container of this name" "\`mkcontainer.sh rm $name\` removes it"
	[ ! -e "$data/$name" ] || fail "$name: there is a container of this name" "\`mkcontainer.sh rm $name\` removes it"
	signal='' job='' failed='' status=125
	trap 'on_signal 1 HUP' HUP
	trap 'on_signal 2 INT' INT
	trap 'on_signal 3 QUIT' QUIT
	trap 'on_signal 15 TERM' TERM
	[ -z "$claim" ] || claim_folder
	if [ -n "$unpack" ] && ! unpack_archive; then
		failed=1
	elif [ -z "$signal" ]; then
		run_pipe
	fi
	if [ -n "$detach" ] && [ -z "$failed" ]; then
		leave
	elif [ -n "$cleanup" ] && [ -n "$remove$failed" ]; then
		clean_up
	fi
	exit "$status"
}

claim_folder() {
	[ -d "$data" ] || (umask 077 && mkdir -p "$data") 2>/dev/null || fail "$data: no folder for containers can be made"
	eval "$claim" || fail "$name: no folder for it"
	echo $$ >"$data/$name/owner"
}

unpack_archive() {
	eval "$unpack" && return
	printf 'mkcontainer.sh: %s: not unpacked\n' "$rootfs" >&2
	return 1
}

# In the background, since the shell runs no trap while it waits for a pipe in the foreground. $! is its last stage.
run_pipe() {
	{ command exec 3<&0; } 2>/dev/null || exec 3</dev/null
	{ command exec 4>&1; } 2>/dev/null || exec 4>/dev/null
	eval "$pipe &"
	job=$!
	[ -z "$signal" ] || on_signal "$signal" TERM
	while :; do
		interrupted=''
		wait "$job"
		status=$?
		[ -n "$interrupted" ] || break
	done
	job=''
	# By start --wait: SIGKILL was sent in the place of a signal that the program, as PID 1, does not get.
	[ "$status" -ne 137 ] || [ -z "$signal" ] || status=$((128 + signal))
	[ -z "$detach" ] || [ "$status" -eq 0 ] || [ -n "$signal" ] || status=125
	[ "$status" -ne 125 ] || failed=1
}

# The terminal sends SIGINT and SIGQUIT to tsunshare too; others it does not know of. It makes SIGKILL of what the program,
# as PID 1, would not get.
on_signal() {
	signal=$1
	interrupted=1
	status=$((128 + signal))
	[ -n "$job" ] || return 0
	kill -s "$2" "$job" 2>/dev/null
}
