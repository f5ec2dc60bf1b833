# tscgctl: makes the cgroup that the container's process then enters by itself. Docker's 0 is "no limit", which is to say nothing.
add_docker_limit() {
	case $option in
	-c) option=--cpu-shares ;;
	-m) option=--memory ;;
	esac
	case $option,$value in
	--memory,0 | --memory-swap,0 | --memory-reservation,0 | --cpus,0 | --cpus,0.0 | --cpu-shares,0 | --cpu-period,0 | --cpu-quota,0 | --blkio-weight,0) return 0 ;;
	--pids-limit,0 | --pids-limit,-1 | --cpu-quota,-1 | --memory,-1 | --memory-reservation,-1) return 0 ;;
	--memory-swap,-1) value=max ;;
	--memory,*) memory=1 ;;
	esac
	[ "$option" != --memory-swap ] || memory_swap=1
	add_limit "$option" "$value"
}

# -m alone limits memory and swap together to twice that.
plan_cgroup() {
	[ -z "$memory" ] || [ -n "$memory_swap" ] || add_limit --memory-swap double
	if [ -n "$privileged" ]; then devices=''; else devices=' --device standard'; fi
	cgroup="$q_tscgctl join$trace $name$devices$limit"
}
