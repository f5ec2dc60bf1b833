# Binds and devices: what of the host is seen inside; volumes are tsvolctl's.

# docker's -v binds what is mounted below SRC as well, and has `z` and `Z` for SELinux.
add_volume() {
	case $value in
	*:*:*:*) bad_usage "--volume: $value: not SRC:DST[:OPT,...]" ;;
	[!/.]*:/*)
		# The name of a volume: tsvolctl makes it if need be, and binds it.
		quote "$value"
		volumes="$volumes -v $quoted"
		return
		;;
	?*:/*:*) words=,${value##*:} value=${value%:*} ;;
	?*:/*) words='' ;;
	*) bad_usage "--volume: $value: not SRC:DST[:OPT,...]" ;;
	esac
	case $words in ,z | ,Z) words='' ;; esac
	add_make --bind "$value:rec$words"
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
	add_limit --device "$source:$access"
}

plan_volumes() {
	[ -n "$volumes" ] || return 0
	quote "$bin/tsvolctl"
	volumes="$quoted attach$trace$volumes"
}
