# What is undone, and by whom: a stage's part by its tool (tsunshare calls `leave` at the end), the folder here.

# A container in the background: who removes its folder in the end waits for it.
leave() {
	printf '%s\n' "$name"
	[ -n "$remove" ] || return 0
	(
		trap '' HUP INT QUIT
		"$tsunshare" wait "$name"
		clean_up
	) </dev/null >/dev/null 2>&1 3<&- 4>&- &
}

clean_up() {
	trap '' HUP INT QUIT TERM
	eval "$cleanup" 2>/dev/null
}

# Forgets a container, if nothing of it is left that lives.
forget() {
	[ -d "/sys/fs/cgroup" ] && "$tscgctl" leave "$1" 2>/dev/null
	[ ! -d "$data/$1" ] || find "$data/$1" -xdev -delete
	[ ! -d "${data%/*}/volumes" ] || "$bin/tsvolctl" leave "$1" 2>/dev/null
	if [ -d "${data%/*}/layers/$1" ]; then
		"$bin/tsunionmount" leave "$1" && "$bin/tsunionmount" layer rm "$1" >/dev/null
	fi
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
		check_container "$name"
		if [ -z "$force" ] && is_in_the_making "$name"; then
			fail "$name: it is being made" "rm -f removes it all the same"
		fi
		[ ! -d "$sandboxes/$name" ] || "$tsunshare" rm ${force:+"$force"} "$name" || exit 1
		forget "$name"
	done
}

# Its folder is there, the script that makes it lives, and there is no sandbox yet.
is_in_the_making() {
	[ -d "$data/$1" ] && [ ! -d "$sandboxes/$1" ] || return 1
	owner=''
	{ read -r owner <"$data/$1/owner"; } 2>/dev/null
	[ -n "$owner" ] && kill -0 "$owner" 2>/dev/null
}

# Clears what killed scripts and tools have left.
collect() {
	"$tsunshare" gc >/dev/null || exit 125
	for folder in "$data"/*; do
		[ -d "$folder" ] || continue
		name=${folder##*/}
		[ ! -d "$sandboxes/$name" ] || continue
		! is_in_the_making "$name" || continue
		forget "$name"
		printf '%s\n' "$name"
	done
	"$tscgctl" gc
}
