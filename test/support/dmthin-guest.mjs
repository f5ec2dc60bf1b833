/** What the crash tests of tsdmthin have in common: shell functions for the guest. */

/** TSBOX_SOAK: full on the four kernels, quick on the one of `npm test`. */
export const isFull = (process.env.TSBOX_SOAK ?? (process.env.TSBOX_KERNELS ? "full" : "quick")) === "full";

/* A volume is committed once the tool has printed its name: then its checksum is written down. */
export const prelude = `export TSBOX_DATA=/store/data
mkdir -p /store /run/sums
random() { echo $(( ($(od -An -N4 -tu4 /dev/urandom) % $1) + 1 )); }
fill() { head -c 300000 /dev/urandom >/run/content; dd if=/run/content of=/dev/mapper/tsbox-p:$1 conv=fsync 2>/dev/null; sum $1 >$2/$1; }
sum() { head -c 300000 /dev/mapper/tsbox-p:$1 | md5sum; }
# The ids that the kernel has, by Debian's thin_ls; those that the store has.
kernel_ids() {
	dmsetup message tsbox-p 0 reserve_metadata_snap
	thin_ls -m --no-headers -o DEV $(tsdmthin status p --json | sed -n 's/.*"metadata_file": "\\(.*\\)",/\\1/p') | tr -d ' ' | sort -n
	dmsetup message tsbox-p 0 release_metadata_snap
}
# calls NAME COMMAND...: notes the system calls of a command, one a line.
calls() { to=/run/calls-$1; shift; strace -f -o /run/trace "$@" >/dev/null 2>&1; sed -n 's/^[0-9 ]*\\([a-z0-9_]*\\)(.*/\\1/p' /run/trace | grep -v execve >$to; }
# killed NAME N COMMAND...: kills a command at the N-th of those: strace counts each system call for itself.
killed() {
	point=$(awk -v n=$2 'NR <= n { count[$1]++; name = $1 } END { print name ":signal=SIGKILL:when=" count[name] }' /run/calls-$1)
	shift 2
	strace -o /dev/null -e inject=$point "$@"
}
length() { wc -l </run/calls-$1; }
store_ids() { sed -n 's/.*"device_id":\\([0-9]*\\).*/\\1/p' /store/data/devicemapper/p/metadata/* | sort -n; }
# Says what is wrong after a crash, nothing if nothing is.
check() {
	tsdmthin pool activate p >/dev/null || echo activate failed
	[ "$(kernel_ids)" = "$(store_ids)" ] || echo "ids: the kernel has $(echo $(kernel_ids)), the store $(echo $(store_ids))"
	dmsetup info -c --noheadings -o name,suspended | grep -i ':suspended'
	for file in $1/*; do
		name=\${file##*/}; [ -e $file ] || continue
		tsdmthin activate p $name >/dev/null || echo $name is lost
		[ "$(sum $name)" = "$(cat $file)" ] || echo $name has changed
	done
}
`;
