#!/bin/bash
# try.sh start|stop - `make try`: a new file system below ./try, mounted; NODES=3: three nodes, three mounts.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$top/build}
NODES=${NODES:-1}
try=$top/try
PATH=$BUILD/bin:$PATH

die() {
	printf '%s\n' "try: $1" "  still works: everything outside $try" "  next: $2" >&2
	exit 1
}

hints_one() {
	cat <<E

A quorumfs of one node is mounted on $try/mnt; its store is $try/store.
  try it:    echo hello > $try/mnt/hello; cp -a /etc $try/mnt/; df -h $try/mnt
  look:      $BUILD/bin/quorumfs status --node $try/store
  stop:      make try-stop          (data stays in $try/store; make try mounts it again)
  three:     make try-stop; make try NODES=3
E
}

hints_many() {
	cat <<E

A quorumfs of $NODES nodes is mounted on $try/mnt1 .. mnt$NODES, one mount on each node.
  try it:    echo hello > $try/mnt1/hello; cat $try/mnt3/hello
  look:      $BUILD/bin/quorumfs status --node $try/nodes/n1
  kill one:  kill -KILL \$(cat $try/nodes/n1/lock); echo still > $try/mnt2/works
  and back:  $BUILD/bin/quorumfs cluster start $try/nodes
  stop:      make try-stop          (data stays in $try/nodes; make try NODES=$NODES mounts it again)
E
}

mounted() {
	awk -v t="$try/" 'index($2, t) == 1 { print substr($2, length(t) + 1) }' /proc/mounts | sort | xargs
}

start() {
	local wanted=mnt addresses=() n
	[ "$(id -u)" = 0 ] || die "mounting needs root" "run it as root"
	[ -w /dev/fuse ] || die "there is no /dev/fuse" "modprobe fuse"
	case $NODES in
	1) ;;
	3 | 5) wanted=$(seq -f mnt%g -s ' ' "$NODES") ;;
	*) die "NODES=$NODES is not 1, 3 or 5" "make try NODES=3" ;;
	esac
	if [ "$(mounted)" = "$wanted" ]; then
		echo "Already there:"
	elif [ -n "$(mounted)" ]; then
		die "something else is mounted below $try: $(mounted)" "make try-stop"
	elif [ "$NODES" = 1 ]; then
		mkdir -p "$try/mnt"
		mount.quorumfs "$try/store" "$try/mnt" -o "create,log-file=$try/mount.log" || exit 1
	else
		for n in $(seq "$NODES"); do
			addresses+=("127.0.0.1:$((7900 + n))")
			mkdir -p "$try/mnt$n"
		done
		quorumfs cluster start "$try/nodes" "${addresses[@]}" || exit 1
		for n in $(seq "$NODES"); do
			mount.quorumfs "$try/nodes/n$n/node.sock" "$try/mnt$n" -o "log-file=$try/mount$n.log" || exit 1
		done
	fi
	if [ "$NODES" = 1 ]; then hints_one; else hints_many; fi
}

stop() {
	local pids m
	pids=$(pgrep -f "mount.quorumfs $try/" || :)
	awk -v t="$try/" 'index($2, t) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do
		umount "$m" || die "cannot unmount $m: it is in use" "fuser -vm $m"
	done || exit 1
	for _ in $(seq 50); do
		# shellcheck disable=SC2086
		grep -qs '^State:[[:space:]]*[^ZX[:space:]]' $(printf '/proc/%s/status ' $pids) || break
		sleep 0.1
	done
	[ -d "$try/nodes" ] && quorumfs cluster stop "$try/nodes"
	echo "stopped; the data is in $try (rm -r $try removes it)"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*) echo "usage: try.sh start|stop" >&2; exit 2 ;;
esac
