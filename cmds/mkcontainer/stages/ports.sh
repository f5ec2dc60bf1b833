# tsportproxy: publishes ports of the held sandbox, in docker's words: [IP:][PORT[-PORT]:]PORT[-PORT][/tcp|udp|sctp].
add_port() {
	case $value in '' | *[!0-9a-fA-F.:/\[\]a-z-]*) bad_usage "--publish: $value: not [IP:][PORT:]PORT[/PROTOCOL]" ;; esac
	case $value in *:*) ;; *) value=0:$value ;; esac
	quote "$value"
	ports="$ports $quoted"
}

plan_ports() {
	[ -n "$ports" ] || return 0
	quote "$bin/tsportproxy"
	live="$live
    $quoted publish$trace$ports |"
}
