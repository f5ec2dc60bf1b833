# Docker's options, each handed to the stage that it is for.
check_name() {
	case $1 in
	'' | [!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) bad_usage "${2-}$1: not a name (letters, digits, _ . -; the first a letter or digit)" ;;
	esac
	case $1 in *[!0-9]*) ;; *) bad_usage "${2-}$1: not a name: it would be taken for a PID" ;; esac
	[ ${#1} -le 128 ] || bad_usage "${2-}$1: longer than 128 characters"
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

# Reads the options of run; $taken is how many words they were.
read_options() {
	taken=$#
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
		--privileged) privileged=1 ;;
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
			--name | --rootfs | --hostname | -h | --network | --net | --env | -e | --env-file | --volume | -v | --tmpfs) ;;
			--publish | -p | --user | -u | --workdir | -w | --ulimit | --cap-add | --cap-drop | --security-opt | --device) ;;
			--memory | -m | --memory-swap | --memory-reservation | --memory-swappiness | --cpus | --cpu-shares | -c) ;;
			--cpu-period | --cpu-quota | --cpuset-cpus | --cpuset-mems | --pids-limit | --blkio-weight) ;;
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
	taken=$((taken - $#))
}

# An option with a value.
take_value() {
	case $option in
	--name)
		check_name "$value" "--name: "
		name=$value
		;;
	--rootfs)
		[ -n "$value" ] || bad_usage "--rootfs: no folder or archive"
		rootfs=$value
		;;
	--hostname | -h)
		[ ${#value} -le 64 ] || bad_usage "--hostname: $value: at most 64 bytes"
		hostname=$value
		;;
	--network | --net)
		read_network
		;;
	--publish | -p) add_port ;;
	--env | -e) add_env --env "$value" ;;
	--env-file) add_env_file --env ;;
	--volume | -v) add_volume ;;
	--tmpfs)
		add_make --tmpfs "$value"
		;;
	--user | -u)
		read_user
		add_make "--user=$value"
		;;
	--workdir | -w)
		case $value in /*) ;; *) bad_usage "--workdir: $value: not an absolute path" ;; esac
		workdir=$value
		;;
	--ulimit)
		case $value in ?*=?*) ;; *) bad_usage "--ulimit: $value: not NAME=SOFT[:HARD]" ;; esac
		case $value in nofile=*) nofile='' ;; esac
		add_make --rlimit "$value"
		;;
	--cap-add) cap_add="$cap_add,$value" ;;
	--cap-drop) cap_drop="$cap_drop,$value" ;;
	--security-opt) take_security_option ;;
	--device) add_device "$value" ;;
	*) add_docker_limit ;;
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

# `1000:` and `:100` have docker's default for the empty half.
read_user() {
	case $value in
	'' | */* | *:*:*) bad_usage "--user: $value: not USER[:GROUP]" ;;
	:) bad_usage "--user: $value: not USER[:GROUP]" ;;
	*:) value=${value%:} ;;
	:*) value=0$value ;;
	esac
}

# $1 is the tool's option. An entry without a `=` brings in the caller's variable, as docker has it for -e alone.
add_env() {
	case $2 in '' | =*) bad_usage "--env: \"$2\": not NAME[=VALUE]" ;; esac
	add_make "$1" "$2"
}

add_env_file() {
	[ -r "$value" ] || fail "--env-file: $value: no such file, or it cannot be read"
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in '' | '#'*) ;; *) add_env "$1" "$line" ;; esac
	done <"$value"
}
