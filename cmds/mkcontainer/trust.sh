# What root runs, and where it keeps state, must not be anybody else's to write to (as ssh has it for keys).
check_trust() {
	[ -n "${TSBOX_BIN-}${TSBOX_DATA-}${TSBOX_RUN-}" ] || return 0
	for variable in TSBOX_BIN TSBOX_DATA TSBOX_RUN; do
		eval "place=\${$variable-}"
		[ -z "$place" ] || [ ! -e "$place" ] || check_place "$variable" "$place"
	done
}

# The tools check the last two themselves; the first is about to be run.
check_place() {
	[ "$1" = TSBOX_BIN ] || return 0
	[ -w /proc/sys/kernel/hostname ] || return 0
	writable=$(find "$2" -prune \( -perm -g=w -o -perm -o=w -o ! -user root \) 2>/dev/null)
	[ -z "$writable" ] || fail "$1: $2: others can write to it" "tools that root runs are to be root's alone: chmod go-w"
}
