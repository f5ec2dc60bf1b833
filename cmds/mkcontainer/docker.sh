#!/bin/sh
# Makes containers out of the tools of this folder, with the words of docker: each is a pipe, which `run --dry-run` prints.
#
# What `run` does is written as shell text first (run.sh); that text is then run, or printed. No helper of this script stands
# in it, so it can be pasted into a shell. What a container needs beyond the pipe is in its folder, $data/NAME, which is also
# the claim to its name while it is made:
#
#     owner    the PID of the script that makes it
#     rootfs   the unpacked archive, if its root came as one
#     log      its output, if it runs in the background
set -u

case $0 in
*/*) bin=${TSBOX_BIN:-${0%/*}} ;;
*) bin=${TSBOX_BIN:-$(dirname "$(command -v "$0")")} ;;
esac
# From where the tools are mounted read-only, tsunshare need not start twice (CVE-2019-5736).
# shellcheck disable=SC3013 # dash, bash, busybox and ksh have -ef
if [ -z "${TSBOX_RUN-}" ] && [ "$bin/tsunshare" -ef /run/tsbox/bin/tsunshare ]; then
	tsunshare=/run/tsbox/bin/tsunshare
else
	tsunshare=$bin/tsunshare
fi
tscgctl=$bin/tscgctl
tsinit=$bin/tsinit
data=${TSBOX_DATA:-/var/lib/tsbox}/containers
sandboxes=${TSBOX_RUN:-/run/tsbox}/sandboxes

. ./help.sh
. ./trust.sh
. ./quote.sh
. ./options.sh
. ./stages/rootfs.sh
. ./stages/volumes.sh
. ./stages/cgroup.sh
. ./stages/sandbox.sh
. ./stages/network.sh
. ./stages/ports.sh
. ./run.sh
. ./undo.sh
. ./verbs.sh

verb=${1-}
[ $# -eq 0 ] || shift
check_trust
case $verb in
run) run "$@" ;;
exec) exec_in "$@" ;;
ps | list) list "$@" ;;
wait) wait_for "$@" ;;
kill) kill_some "$@" ;;
logs) logs "$@" ;;
rm) remove "$@" ;;
gc) collect ;;
stop) stop "$@" ;;
help | --help | -h) usage ;;
'') bad_usage "no command given" ;;
*) bad_usage "$verb: unknown command" ;;
esac
