#!/bin/sh
# Makes containers out of the tools of this folder: pipes of tsunshare and tscgctl.
#
# What `run` does is written as shell text first, which is then run, or printed by --dry-run. A container has a folder,
# $data/NAME, which is also the claim to its name. In it are:
#
#     owner    the PID of the script that makes it
#     rootfs   the unpacked archive, if its root came as one
#     log      its output, if it runs in the background
#     record   the sandbox record, as it comes out of the pipe
#     failed   the status of the pipe's first stage, if that failed
set -u

case $0 in
*/*) bin=${TSBOX_BIN:-${0%/*}} ;;
*) bin=${TSBOX_BIN:-$(dirname "$(command -v "$0")")} ;;
esac
tsunshare=$bin/tsunshare
tscgctl=$bin/tscgctl
data=${TSBOX_DATA:-/var/lib/tsbox}/containers
sandboxes=${TSBOX_RUN:-/run/tsbox}/sandboxes

usage() {
	cat <<'EOF'
Usage: mkcontainer.sh run [OPTION...] [--] [PROGRAM [ARGUMENT...]]
       mkcontainer.sh exec NAME PROGRAM [ARGUMENT...]
       mkcontainer.sh ps | gc | wait NAME | logs NAME | rm [-f] NAME...
       mkcontainer.sh kill [-s SIGNAL] NAME | stop [-t SECONDS] NAME

Runs a program (sh, if none is given) in a container made by a pipe of the tools beside this script.
The options are those of `docker run`. The exit status is the program's, or 125 when the container failed.

  --rootfs DIR|TAR         its root; a TAR is unpacked, and removed with the container
                           (else the host's /, read-only, with a tmpfs on /tmp and /run)
  --name NAME              its name; else one is made up
  --rm                     forget it when it has ended; so it is without --name
  --init                   tsinit as PID 1, in front of the program
  -d, --detach             in the background; `logs` shows its output
  -it, -t, --tty           with a terminal; so it is without a program, where there is one
  -h, --hostname NAME      its host name; else that is its name
  --network none|host      a network with lo only (so it is), or the host's
  -e, --env NAME[=VALUE]   set a variable, or pass it on
  -v, --volume SRC:DST[:OPT,...]     bind SRC on DST: ro nosuid nodev noexec
  --tmpfs DST[:OPT,...]    a tmpfs on DST: size=64m mode=1777 exec ro
  -u, --user USER[:GROUP]  the user inside, by name or number
  -w, --workdir DIR        the working folder inside
  --read-only              the root cannot be written to
  -m, --memory, --memory-swap, --memory-reservation SIZE; --memory-swappiness N
  --cpus N; -c, --cpu-shares N; --cpuset-cpus, --cpuset-mems LIST
  --pids-limit N; --blkio-weight N
  --device SRC[:DST[:rwm]] a device of the host, besides /dev/null and the like
  --security-opt seccomp=FILE|unconfined|builtin; no-new-privileges
                           another seccomp policy (JSON), none, or Docker's default (so it is)
  --no-cgroup              no cgroup, so none of these limits
  --dry-run                print the commands, run none
  --trace                  print the system calls that make it
  --help
EOF
}

fail() {
	printf 'mkcontainer.sh: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'mkcontainer.sh: hint: %s\n' "$2" >&2
	exit 125
}

bad_usage() {
	fail "$1" "mkcontainer.sh --help shows the options"
}

# Sets $quoted to "$1" as a word of the shell.
quote() {
	case $1 in
	'' | *[!A-Za-z0-9_./:=,@%+-]*) ;;
	*)
		quoted=$1
		return
		;;
	esac
	rest=$1
	quoted="'"
	while :; do
		case $rest in
		*\'*)
			quoted="$quoted${rest%%\'*}'\\''"
			rest=${rest#*\'}
			;;
		*) break ;;
		esac
	done
	quoted="$quoted$rest'"
}

# The command lines of two stages, as shell text, grow by words.
add_make() {
	for word; do
		quote "$word"
		make="$make $quoted"
	done
}

break_line() {
	make="$make \\
     "
}

add_limit() {
	for word; do
		quote "$word"
		limit="$limit $quoted"
	done
}

check_name() {
	case $1 in
	'' | [!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) bad_usage "--name: $1: not a name (letters, digits, _ . -; the first a letter or digit)" ;;
	esac
	[ ${#1} -le 128 ] || bad_usage "--name: $1: longer than 128 characters"
}

# Cuts `-m64m` and `--memory=64m` into $option and $value. $has_value is how many words after it the value takes.
split_option() {
	has_value=0
	case $1 in
	--*=*)
		option=${1%%=*}
		value=${1#*=}
		return
		;;
	--*) option=$1 ;;
	*)
		value=${1#-?}
		option=${1%"$value"}
		[ -z "$value" ] || return 0
		;;
	esac
	value=${2-}
	has_value=1
}

run() {
	name='' rootfs='' hostname='' network=none places=''
	remove='' detach='' init='' tty='' read_only='' dry_run='' trace='' no_cgroup=''
	seccomp=default
	make='' limit=''
	while [ $# -gt 0 ]; do
		case $1 in
		--)
			shift
			break
			;;
		-i | --interactive) ;;
		-t | -it | -ti | --tty) tty=1 ;;
		-d | -id | -di | --detach) detach=1 ;;
		--rm) remove=1 ;;
		--init) init=1 ;;
		--read-only) read_only=1 ;;
		--no-cgroup) no_cgroup=1 ;;
		--dry-run) dry_run=1 ;;
		--trace) trace=' --trace' ;;
		--help)
			usage
			exit 0
			;;
		-?*)
			split_option "$@"
			case $option in
			--name | --rootfs | --hostname | -h | --network | --net | --env | -e | --volume | -v | --tmpfs | --user | -u | --workdir | -w) ;;
			--memory | -m | --memory-swap | --memory-reservation | --memory-swappiness | --cpus | --cpu-shares | -c) ;;
			--cpuset-cpus | --cpuset-mems | --pids-limit | --blkio-weight | --device | --security-opt) ;;
			*) bad_usage "$option: unknown option" ;;
			esac
			[ $# -gt "$has_value" ] || bad_usage "$option: needs a value"
			shift "$has_value"
			take_value
			;;
		*) break ;;
		esac
		shift
	done
	if [ $# -eq 0 ]; then
		set -- sh
		if [ -z "$detach" ] && [ -t 0 ] && [ -t 1 ]; then tty=1; fi
	fi
	[ -z "$detach$tty" ] || [ "$detach$tty" = 1 ] || bad_usage "--tty: not with --detach"
	[ -z "$rootfs" ] || [ -e "$rootfs" ] || fail "--rootfs: $rootfs: no such file or folder"
	# Nobody comes back to a container without a name.
	[ -n "$name$detach" ] || remove=1
	if [ -z "$name" ]; then
		IFS=- read -r name rest </proc/sys/kernel/random/uuid
		name=c$name
	fi
	plan "$@"
	if [ -n "$dry_run" ]; then print_plan; else run_plan; fi
}

# An option with a value.
take_value() {
	case $option in
	--name)
		check_name "$value"
		name=$value
		;;
	--rootfs) rootfs=$value ;;
	--hostname | -h) hostname=$value ;;
	--network | --net)
		case $value in none | host) network=$value ;; *) bad_usage "--network: $value: there are none and host" ;; esac
		;;
	--env | -e) add_make --env "$value" ;;
	--volume | -v) add_volume ;;
	--tmpfs)
		add_make --tmpfs "$value"
		add_place "${value%%:*}"
		;;
	--user | -u)
		case $value in '' | */*) bad_usage "--user: $value: not USER[:GROUP]" ;; esac
		add_make "--user=$value"
		;;
	--workdir | -w) add_make --cwd "$value" ;;
	--device) add_device "$value" ;;
	--security-opt) take_security_option ;;
	-c) add_limit --cpu-shares "$value" ;;
	-m) add_limit --memory "$value" ;;
	*) add_limit "$option" "$value" ;;
	esac
}

# docker's --security-opt, of which there are two.
take_security_option() {
	case $value in
	seccomp=builtin) seccomp=default ;;
	seccomp=unconfined) seccomp='' ;;
	seccomp=?*)
		seccomp=${value#seccomp=}
		[ -f "$seccomp" ] || fail "--security-opt: $seccomp: no such file"
		# Neither a descriptor nor the default's name.
		case $seccomp in */*) ;; *) seccomp=./$seccomp ;; esac
		;;
	no-new-privileges | no-new-privileges[:=]true) add_make --no-new-privs ;;
	no-new-privileges[:=]false) ;;
	*) bad_usage "--security-opt: $value: there are seccomp=FILE, seccomp=unconfined and no-new-privileges" ;;
	esac
}

# docker's -v binds what is mounted below SRC as well, and has `z` and `Z` for SELinux.
add_volume() {
	case $value in
	*:*:*:*) bad_usage "--volume: $value: not SRC:DST[:OPT,...]" ;;
	[!/.]*:/*) bad_usage "--volume: $value: SRC is not a path (/... or ./...)" ;;
	?*:/*:*) words=,${value##*:} value=${value%:*} ;;
	?*:/*) words='' ;;
	*) bad_usage "--volume: $value: not SRC:DST[:OPT,...]" ;;
	esac
	case $words in ,z | ,Z) words='' ;; esac
	add_make --bind "$value:rec$words"
	add_place "${value#*:}"
}

# A place to mount on is made where it is not there; see check_places.
add_place() {
	places="$places
$1"
}

# docker's --device SRC[:DST[:rwm]] is a bind of the node, and leave to use it.
add_device() {
	source=${1%%:*}
	target=$source
	access=rwm
	case $1 in
	*:*:*:*) bad_usage "--device: $1: not SRC[:DST[:rwm]]" ;;
	*:*:*)
		access=${1##*:}
		target=${1#*:}
		target=${target%:*}
		;;
	*:/*) target=${1#*:} ;;
	*:*) access=${1#*:} ;;
	esac
	case $access in '' | *[!rwm]*) bad_usage "--device: $access: not made of r, w and m" ;; esac
	[ -b "$source" ] || [ -c "$source" ] || fail "--device: $source: not a device"
	add_make --bind "$source:$target"
	add_place "$target"
	add_limit --device "$source:$access"
}

# In the host's own root nothing is to be made.
check_places() {
	newline='
'
	IFS=$newline
	set -f
	for place in $places; do
		case $place in /tmp/* | /run/* | /dev/*) continue ;; esac
		[ -e "$place" ] || fail "$place: not there in the host's root, which is not to be changed" "choose a place in /tmp or /run, or give a --rootfs"
	done
	set +f
	unset IFS
}

# Sets $claim, $unpack, $front, $start and $cleanup, shell text, from the options and the program. The stages of the pipe's
# front stand behind $first and $later.
plan() {
	quote "$data/$name"
	folder=$quoted
	quote "$tsunshare"
	q_tsunshare=$quoted
	quote "$tscgctl"
	q_tscgctl=$quoted
	claim="mkdir $folder"
	unpack=''
	root=$rootfs
	if [ -z "$root" ]; then
		root=/
		read_only=1
		check_places
	elif [ ! -d "$root" ]; then
		plan_unpacking
		root=$data/$name/rootfs
	fi

	options=$make
	make=''
	add_make --hold --id "$name"
	[ -z "$remove" ] || add_make --rm
	add_make --mount --pid --ipc --uts --hostname "${hostname:-$name}"
	[ "$network" = host ] || add_make --net
	[ -n "$no_cgroup" ] || add_make --cgroup
	break_line
	add_make --rootfs "$root"
	[ -z "$read_only" ] || add_make --read-only
	add_make --proc --sysfs --dev --mask-defaults
	[ -n "$rootfs" ] || add_make --tmpfs /tmp --tmpfs /run:mode=755
	break_line
	add_make --cap-drop ALL --cap-add DEFAULT
	[ -z "$seccomp" ] || add_make --seccomp "$seccomp"
	add_make --clear-env
	[ -z "$tty" ] || add_make --env TERM
	make="$make$options"
	if [ -n "$init" ]; then
		# In the container's own /dev, so that no file to mount it on stays behind in the root.
		add_make --bind "$bin/tsinit:/dev/tsinit:ro"
		set -- /dev/tsinit -- "$@"
	fi
	if [ -n "$detach" ]; then
		add_make --stdout "$data/$name/log" --stderr "$data/$name/log"
	elif [ -n "$tty" ]; then
		add_make --tty
	else
		add_make --stdin 0 --stdout 3 --stderr 2
	fi
	break_line
	add_make -- "$@"

	first='' later=''
	[ -n "$dry_run" ] || first='first_stage ' later='later_stage '
	front="$first$q_tsunshare$trace$make"
	start="$q_tsunshare start --wait"
	[ -z "$detach" ] || start="$q_tsunshare start >/dev/null"
	cleanup="rm -rf --one-file-system $folder"
	if [ -z "$no_cgroup" ]; then
		front="$front |
    $later$q_tscgctl join$trace $name --device standard$limit"
		cleanup="$q_tscgctl rm $name
$cleanup"
	fi
}

# A hostile archive can do no harm: tar unpacks it in a container that sees the host read-only but for the new folder, has
# no network and cannot make device nodes. Those of /dev are left out: the container gets its own. tsinit is there since
# tar as PID 1 would not see SIGINT.
plan_unpacking() {
	archive=$rootfs
	init_path=$bin/tsinit
	case $archive in /*) ;; *) archive=$PWD/$archive ;; esac
	case $init_path in /*) ;; *) init_path=$PWD/$init_path ;; esac
	quote "$archive"
	q_archive=$quoted
	quote "$init_path"
	q_init=$quoted
	quote "$data/$name/rootfs"
	q_new=$quoted
	quote "$data/$name/rootfs:$data/$name/rootfs"
	unpack="mkdir $q_new
$q_tsunshare --mount --pid --net --ipc --uts --rootfs / --read-only --proc --bind $quoted \\
    --cap-drop ALL --cap-add CHOWN,DAC_OVERRIDE,FOWNER,FSETID,SETFCAP --no-new-privs -- $q_init -- \\
    tar --extract --file $q_archive --directory $q_new --numeric-owner --same-owner --preserve-permissions \\
    --xattrs --xattrs-include=security.capability --anchored --wildcards '--exclude=dev/*' '--exclude=./dev/*'"
}

print_plan() {
	printf '%s\n' "$claim"
	[ -z "$unpack" ] || printf '%s\n' "$unpack"
	printf '{\n  %s |\n    %s\n} 3>&1\n' "$front" "$start"
	[ -z "$remove" ] || printf '%s\n' "$cleanup"
}

# Notes if the first stage fails: $? of a pipe is that of its last one.
first_stage() {
	"$@" || echo $? >"$data/$name/failed"
}

# Runs a later stage if the one before has made a record; else that one has said why.
later_stage() {
	IFS= read -r record || return 0
	printf '%s\n' "$record" | "$@"
}

run_plan() {
	[ -x "$tsunshare" ] || fail "$tsunshare: not there" "npm run build makes the tools"
	[ -d "$data" ] || (umask 077 && mkdir -p "$data") || fail "no folder for containers" "containers need root; \`tsunshare -r\` does not"
	[ ! -e "$data/$name" ] || fail "$name: there is a container of this name" "\`mkcontainer.sh rm $name\` removes it"
	signal='' job='' failed='' status=125
	trap 'on_signal 1 HUP' HUP
	trap 'on_signal 2 INT' INT
	trap 'on_signal 3 QUIT' QUIT
	trap 'on_signal 15 TERM' TERM
	eval "$claim" || fail "$name: no folder for it"
	echo $$ >"$data/$name/owner"
	if [ -n "$unpack" ] && ! unpack_archive; then
		failed=1
	elif [ -z "$signal" ]; then
		run_pipe
	fi
	if [ -n "$detach" ] && [ -z "$failed" ]; then
		leave
	else
		say_out_of_memory
		[ -z "$remove$failed" ] || clean_up
	fi
	exit "$status"
}

unpack_archive() {
	eval "$unpack" && return
	printf 'mkcontainer.sh: %s: not unpacked\n' "$rootfs" >&2
	return 1
}

# The last stage runs in the background, since the shell runs no trap while it waits for one in the foreground; the others do
# not, since there the program would inherit that SIGINT and SIGQUIT are ignored.
run_pipe() {
	failed=1
	if eval "$front" 3>&1 >"$data/$name/record"; then status=0; else status=125; fi
	if [ -e "$data/$name/failed" ]; then read -r status <"$data/$name/failed"; fi
	[ -z "$signal" ] || status=$((128 + signal))
	[ "$status" -eq 0 ] || return 0
	failed=''
	eval "$start" <"$data/$name/record" &
	job=$!
	[ -z "$signal" ] || on_signal "$signal" TERM
	while :; do
		interrupted=''
		wait "$job"
		status=$?
		[ -n "$interrupted" ] || break
	done
	job=''
	[ "$status" -ne 137 ] || [ -z "$signal" ] || status=$((128 + signal))
}

# The terminal sends SIGINT and SIGQUIT to `tsunshare start` too, which passes them on; others it does not know of.
on_signal() {
	signal=$1
	interrupted=1
	status=$((128 + signal))
	[ -n "$job" ] || return 0
	case $2 in HUP | TERM) "$tsunshare" kill -s "$2" "$name" 2>/dev/null ;; esac
	kill_if_deaf "$signal"
}

# The kernel drops a signal to PID 1 of a PID namespace that does nothing about it (man 7 pid_namespaces), where it would
# have ended any other process. So that it is not in vain, it is made SIGKILL.
kill_if_deaf() {
	is_deaf "$1" && sleep 0.05 && is_deaf "$1" && "$tsunshare" kill -s KILL "$name" 2>/dev/null
}

# True if the program has signal $1 neither blocked nor ignored nor caught. What rt_sigtimedwait(2) waits for (it is call 128,
# on aarch64 137) does not show as blocked meanwhile; whether it is in that call may change while we look.
is_deaf() {
	{ read -r record <"$sandboxes/$name/record"; } 2>/dev/null || return 1
	pid=${record#*\"pid\":}
	pid=${pid%%[!0-9]*}
	before='' after=''
	{ read -r before rest <"/proc/$pid/syscall"; } 2>/dev/null
	cares=''
	while read -r field mask; do
		case $field in
		State:) case $mask in [ZX]*) return 1 ;; esac ;;
		SigBlk:) cares=0x${mask#????????} ;;
		SigIgn: | SigCgt:) cares=$((cares | 0x${mask#????????})) ;;
		esac
	done 2>/dev/null <"/proc/$pid/status"
	{ read -r after rest <"/proc/$pid/syscall"; } 2>/dev/null
	case $before,$after in ,* | *, | *128* | *137*) return 1 ;; esac
	[ -n "$cares" ] && [ $((cares >> ($1 - 1) & 1)) -eq 0 ]
}

# A container in the background: who removes it in the end waits for it.
leave() {
	printf '%s\n' "$name"
	[ -n "$remove" ] || return 0
	(
		trap '' HUP INT QUIT
		"$tsunshare" wait "$name"
		clean_up
	) </dev/null >/dev/null 2>&1 &
}

# Without a limit of its own a container that is short of memory has the machine's to blame.
say_out_of_memory() {
	case " $limit" in *' --memory '*) ;; *) return 0 ;; esac
	[ "$status" -ne 0 ] && [ -z "$failed" ] || return 0
	kills=$("$tscgctl" stat --json "$name" 2>/dev/null)
	case $kills in *'"oom_kill": '*) kills=${kills#*'"oom_kill": '} ;; *) return 0 ;; esac
	kills=${kills%%[!0-9]*}
	[ "$kills" -eq 0 ] || printf 'mkcontainer.sh: %s: out of memory: the kernel killed %s of its processes\n' "$name" "$kills" >&2
}

clean_up() {
	trap '' HUP INT QUIT TERM
	if [ -n "$failed" ]; then
		# A stage that did not get as far as to read the record has left it held.
		"$tsunshare" rm --force "$name" 2>/dev/null
		eval "$cleanup" 2>/dev/null
	else
		eval "$cleanup"
	fi
}

# Removes the folder and the cgroup of a container that tsunshare does not know any more.
forget() {
	[ ! -d "/sys/fs/cgroup" ] || "$tscgctl" rm --kill "$1" 2>/dev/null
	rm -rf --one-file-system "${data:?}/$1"
}

remove() {
	force=''
	case ${1-} in -f | --force)
		force=--force
		shift
		;;
	esac
	[ $# -gt 0 ] || bad_usage "rm: no name given"
	for name; do
		check_name "$name"
		[ -d "$data/$name" ] || fail "$name: no such container"
		[ ! -d "$sandboxes/$name" ] || "$tsunshare" rm ${force:+"$force"} "$name" || exit 1
		forget "$name"
	done
}

# Clears what killed scripts and tools have left.
collect() {
	"$tsunshare" gc >/dev/null || exit
	for folder in "$data"/*; do
		[ -d "$folder" ] || continue
		name=${folder##*/}
		[ ! -d "$sandboxes/$name" ] || continue
		owner=''
		{ read -r owner <"$folder/owner"; } 2>/dev/null
		[ -z "$owner" ] || ! kill -0 "$owner" 2>/dev/null || continue
		forget "$name"
		printf '%s\n' "$name"
	done
}

stop() {
	patience=10
	case ${1-} in -t | --time)
		[ $# -gt 1 ] || bad_usage "$1: needs a value"
		patience=$2
		shift 2
		;;
	esac
	[ $# -eq 1 ] || bad_usage "stop: one name is needed"
	name=$1
	check_name "$name"
	"$tsunshare" inspect "$name" >/dev/null || exit
	"$tsunshare" kill -s TERM "$name" 2>/dev/null || kill_if_deaf 15
	timeout "$patience" "$tsunshare" wait "$name" >/dev/null 2>&1
	[ $? -ne 124 ] || "$tsunshare" kill -s KILL "$name"
}

verb=${1-}
[ $# -eq 0 ] || shift
case $verb in
run) run "$@" ;;
exec) exec "$tsunshare" enter "$@" ;;
ps | list) exec "$tsunshare" list "$@" ;;
wait | kill) exec "$tsunshare" "$verb" "$@" ;;
logs)
	[ $# -eq 1 ] || bad_usage "logs: one name is needed"
	check_name "$1"
	exec cat "$data/$1/log"
	;;
rm) remove "$@" ;;
gc) collect ;;
stop) stop "$@" ;;
help | --help | -h) usage ;;
'') bad_usage "no command given" ;;
*) bad_usage "$verb: unknown command" ;;
esac
