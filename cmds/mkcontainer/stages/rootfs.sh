# The root: a folder, an archive that is unpacked first, or a copy-on-write view of the host's own: what the container writes
# goes to a layer of its own, and the host's sockets and FIFOs cannot be connected to through it.
#
# A hostile archive can do no harm: tar unpacks it in a container that sees the host read-only but for the new folder, has
# no network and cannot make device nodes. Those of /dev are left out: the container gets its own. tsinit is there since
# tar as PID 1 would not see SIGINT.
plan_rootfs() {
	unpack='' layer=''
	root=$rootfs
	if [ -z "$rootfs" ]; then
		quote "$bin/tsunionmount"
		layer="$quoted layer mount$trace --host-root $name --record"
		layer_rm="$quoted layer rm $name >/dev/null"
		return
	fi
	[ -e "$rootfs" ] || fail "--rootfs: $rootfs: no such file or folder"
	if [ ! -d "$rootfs" ]; then plan_unpacking; fi
}

plan_unpacking() {
	archive=$rootfs
	init_path=$tsinit
	case $archive in /*) ;; *) archive=$PWD/$archive ;; esac
	case $init_path in /*) ;; *) init_path=$PWD/$init_path ;; esac
	root=$data/$name/rootfs
	quote "$archive"
	q_archive=$quoted
	quote "$init_path"
	q_init=$quoted
	quote "$root"
	q_new=$quoted
	quote "$root:$root"
	unpack="mkdir $q_new
$q_tsunshare --mount --pid --net --ipc --uts --rootfs / --read-only --proc --bind $quoted \\
    --cap-drop ALL --cap-add CHOWN,DAC_OVERRIDE,FOWNER,FSETID,SETFCAP --no-new-privs -- $q_init -- \\
    tar --extract --file $q_archive --directory $q_new --numeric-owner --same-owner --preserve-permissions \\
    --xattrs --xattrs-include=security.capability --anchored --wildcards '--exclude=dev/*' '--exclude=./dev/*'"
}
