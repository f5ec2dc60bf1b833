# The help, and how this script fails: always with status 125, as docker run does.
usage() {
	cat <<'END'
Usage: mkcontainer.sh run [OPTION...] [--] [PROGRAM [ARGUMENT...]]
       mkcontainer.sh exec [OPTION...] NAME PROGRAM [ARGUMENT...]
       mkcontainer.sh ps [-q] | gc | wait NAME... | logs NAME | rm [-f] NAME...
       mkcontainer.sh kill [-s SIGNAL] NAME... | stop [-t SECONDS] NAME...

Runs a program (sh, if none is given) in a container made by a pipe of the tools beside this script.
The options are those of docker. The exit status is the program's, or 125 when the container failed.

  --rootfs DIR|TAR         its root; a TAR is unpacked, and removed with the container
                           (else a copy-on-write view of the host's /, with a tmpfs on /tmp and /run)
  --name NAME              its name; else one is made up
  --rm                     forget it when it has ended; so it is without --name
  --init                   tsinit as PID 1, in front of the program
  -d, --detach             in the background; `logs` shows its output
  -it, -t, --tty           with a terminal; so it is without a program, where there is one
  -h, --hostname NAME      its host name; else that is its name
  --network none|host|bridge|NAME    lo only (so it is), the host's, or one of tsvethctl's
  -p, --publish [IP:][PORT:]PORT[/udp]    a port of the container, on the host
  -e, --env NAME[=VALUE]   set a variable, or pass it on; --env-file FILE sets those in a file
  -v, --volume SRC:DST[:OPT,...]     bind SRC, a path or a volume, on DST: ro nosuid nodev noexec
  --tmpfs DST[:OPT,...]    a tmpfs on DST: size=64m mode=1777 exec ro
  -u, --user USER[:GROUP]  the user inside, by name or number
  -w, --workdir DIR        the working folder inside; made where it is not there
  --read-only              the root cannot be written to
  -m, --memory, --memory-swap, --memory-reservation SIZE; --memory-swappiness N
  --cpus N; -c, --cpu-shares N; --cpu-period, --cpu-quota USEC; --cpuset-cpus, --cpuset-mems LIST
  --pids-limit N; --blkio-weight N; --ulimit NAME=SOFT[:HARD]
  --device SRC[:DST[:rwm]] a device of the host, besides /dev/null and the like
  --cap-add, --cap-drop CAP    beside Docker's 14 capabilities
  --security-opt no-new-privileges | seccomp=FILE|unconfined   (else Docker's default policy)
  --privileged             all capabilities and devices, no seccomp policy, nothing masked
  --no-cgroup              no cgroup: none of these limits, and no device nodes but those of /dev
  --dry-run                print the commands, run none
  --trace                  print the system calls that make it
  --help

exec: -d -e --env-file -i -t -u -w --privileged, as for docker exec.
END
}

fail() {
	printf 'mkcontainer.sh: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'mkcontainer.sh: hint: %s\n' "$2" >&2
	exit 125
}

bad_usage() {
	fail "$1" "mkcontainer.sh --help shows the options"
}
