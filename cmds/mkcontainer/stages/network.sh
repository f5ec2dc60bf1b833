# tsvethctl: puts the held sandbox on a network of containers. docker's names: none, host, bridge (tsbr0 here), or a network's.
read_network() {
	case $value in
	'') bad_usage "--network: no network named" ;;
	none | host) network=$value ;;
	bridge) network=tsbr0 ;;
	*) network=$value ;;
	esac
}

plan_network() {
	case $network in none | host) return 0 ;; esac
	quote "$bin/tsvethctl"
	live="$live
    $quoted join$trace $network |"
}
