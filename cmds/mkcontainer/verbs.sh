# The other verbs. Their operands are names of containers, never PIDs of the host's; their options are docker's, translated.
check_container() {
	check_name "$1"
	[ -d "$data/$1" ] || [ -d "$sandboxes/$1" ] || fail "$1: no such container"
}

check_containers() {
	[ $# -gt 1 ] || bad_usage "$1: a name is needed"
	shift
	for name; do check_container "$name"; done
}

# docker exec's options as those of `tsunshare enter`.
exec_in() {
	make='' input='' tty='' detach=''
	while [ $# -gt 0 ]; do
		case $1 in
		--)
			shift
			break
			;;
		-i | --interactive) input=1 ;;
		-t | --tty) tty=1 ;;
		-it | -ti) input=1 tty=1 ;;
		-d | --detach) detach=1 ;;
		--privileged) add_make --privileged ;;
		--help)
			usage
			exit 0
			;;
		-?*)
			split_option "$@"
			case $option in
			-e | --env | --env-file | -u | --user | -w | --workdir) ;;
			*) bad_usage "exec: $option: unknown option" ;;
			esac
			[ $# -gt "$has_value" ] || bad_usage "exec: $option: needs a value"
			shift "$has_value"
			case $option in
			-e | --env) add_env --set-env "$value" ;;
			--env-file) add_env_file --set-env ;;
			-u | --user)
				read_user
				add_make "--user=$value"
				;;
			*) add_make --wdns "$value" ;;
			esac
			;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 1 ] || bad_usage "exec: a container and a program are needed"
	name=$1
	shift
	check_container "$name"
	[ ! -e "$sandboxes/$name/status" ] || fail "$name: it has ended" "\`mkcontainer.sh ps\` shows those that run"
	[ -z "$detach" ] || add_make --detach
	[ -z "$tty" ] || add_make --tty
	quote "$tsunshare"
	make="$quoted enter$make"
	add_make "$name" -- "$@"
	if [ -n "$input$tty" ]; then eval "exec $make"; else eval "exec $make </dev/null"; fi
}

list() {
	for word; do
		case $word in -q | --quiet | --json) ;; *) bad_usage "ps: $word: there are -q and --json" ;; esac
	done
	exec "$tsunshare" list "$@"
}

wait_for() {
	check_containers wait "$@"
	exec "$tsunshare" wait "$@"
}

kill_some() {
	signal=KILL
	case ${1-} in
	-s | --signal)
		[ $# -gt 1 ] || bad_usage "kill: $1: needs a value"
		signal=$2
		shift 2
		;;
	--signal=*)
		signal=${1#*=}
		shift
		;;
	-*) bad_usage "kill: $1: unknown option" ;;
	esac
	check_containers kill "$@"
	exec "$tsunshare" kill -s "$signal" "$@"
}

stop() {
	patience=10
	case ${1-} in
	-t | --time)
		[ $# -gt 1 ] || bad_usage "stop: $1: needs a value"
		patience=$2
		shift 2
		;;
	--time=*)
		patience=${1#*=}
		shift
		;;
	-*) bad_usage "stop: $1: unknown option" ;;
	esac
	case $patience in '' | *[!0-9]*) bad_usage "stop: --time: $patience: not a number of seconds" ;; esac
	check_containers stop "$@"
	exec "$tsunshare" stop -t "$patience" "$@"
}

logs() {
	[ $# -eq 1 ] || bad_usage "logs: one name is needed"
	check_container "$1"
	[ -e "$data/$1/log" ] || fail "$1: it has no log" "it was run in the foreground"
	exec cat "$data/$1/log"
}
