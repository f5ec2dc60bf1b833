# tsunshare: the namespaces, mounts, rights and streams of the container, and its program.
plan_sandbox() {
	options=$make
	make=''
	[ -z "$remove" ] || add_make --rm
	derived=$(printf %.64s "$name")
	add_make --mount --pid --ipc --uts --time --hostname "${hostname:-$derived}"
	[ "$network" = host ] || add_make --net
	[ -n "$no_cgroup" ] || add_make --cgroup
	break_line
	[ -z "$root" ] || add_make --rootfs "$root"
	[ -z "$read_only" ] || add_make --read-only
	add_make --proc --sysfs --dev
	[ -n "$privileged" ] || add_make --mask-defaults
	[ -n "$rootfs" ] || add_make --tmpfs /tmp --tmpfs /run:mode=755
	break_line
	if [ -z "$privileged" ]; then
		plan_capabilities
		[ -z "$seccomp" ] || add_make --seccomp "$seccomp"
		[ -z "$no_cgroup" ] || add_make --no-devices
	fi
	[ -z "$nofile" ] || add_make --rlimit "nofile=$nofile"
	add_make --clear-env
	[ -z "$tty" ] || add_make --env TERM
	[ -z "$workdir" ] || add_make --cwd "$workdir"
	make="$make$options"
	if [ -n "$init" ]; then
		# In the container's own /dev, so that no file to mount it on stays behind in the root.
		add_make --bind "$tsinit:/dev/tsinit:ro"
		set -- /dev/tsinit -- "$@"
	fi
	[ -z "$tty" ] || add_make --tty
	[ -z "$detach" ] || add_make --stdout "$data/$name/log" --stderr "$data/$name/log"
	break_line
	add_make -- "$@"
}

# Docker's 14 without those of --cap-drop, and those of --cap-add.
plan_capabilities() {
	kept=,DEFAULT
	if [ -n "$cap_drop" ]; then
		kept=''
		for capability in CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE; do
			case "$cap_drop," in *,"$capability",* | *,CAP_"$capability",* | *,ALL,* | *,all,*) ;; *) kept="$kept,$capability" ;; esac
		done
	fi
	kept=$kept$cap_add
	add_make --cap-drop ALL
	[ -z "$kept" ] || add_make --cap-add "${kept#,}"
}
