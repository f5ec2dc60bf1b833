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

# The command lines of the stages, as shell text, grow by words: make that of tsunshare, limit that of tscgctl.
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
