# net.sh - sourced by run.sh: a cluster whose nodes live in network namespaces of their own, joined by a
# bridge in one more, with stores on loop-mounted ext4 images. Uses tests/lib/cluster.sh.
#
#   NS[N]      process that holds the namespace of node N; NS[0]: of the mount by host list; HUB: the bridge
#   in_ns N COMMAND...
#   net_init COUNT | store_init COUNT | chaos_node_start N | client_mount
#   chaos_alive N   node N's process runs
#
# Namespaces have no names: they end with their processes, which end with this script however it ends.

IMAGE_MIB=${IMAGE_MIB:-192}
declare -A NS
NODE_OPTIONS=(--snapshot-threshold=128K --segment-size=256K --session-ttl=10000 ${CHAOS_NODE_OPTIONS:-})

# A process in a new network namespace that dies with this one. Result in HOLDER.
namespace_new() {
	local i
	unshare --net setpriv --pdeathsig KILL sleep infinity </dev/null >/dev/null 2>&1 &
	HOLDER=$!
	disown "$HOLDER"
	CLEANUP+=("kill -KILL $HOLDER 2>/dev/null")
	for i in $(seq 100); do
		[ "$(readlink "/proc/$HOLDER/ns/net")" != "$(readlink /proc/self/ns/net)" ] && return 0
		sleep 0.02
	done
	fail "no network namespace"
}

in_pid_ns() { # PID COMMAND...
	local pid=$1
	shift
	nsenter --net="/proc/$pid/ns/net" "$@"
}

in_ns() {
	local n=$1
	shift
	in_pid_ns "${NS[$n]}" "$@"
}

address_of() { # N
	echo "10.77.0.$(($1 == 0 ? 100 : $1))"
}

net_init() { # COUNT
	local n
	unshare --net true 2>/dev/null || { echo "SKIP: needs network namespaces"; exit 77; }
	namespace_new
	HUB=$HOLDER
	in_pid_ns "$HUB" ip link add br0 type bridge 2>/dev/null ||
		{ echo "SKIP: needs bridges in the kernel"; exit 77; }
	in_pid_ns "$HUB" ip link set br0 up
	for n in $(seq 0 "$1"); do
		namespace_new
		NS[$n]=$HOLDER
		in_pid_ns "$HUB" ip link add "v$n" type veth peer name eth0 netns "$HOLDER" || fail "veth $n"
		in_pid_ns "$HUB" ip link set "v$n" master br0 up
		in_ns "$n" ip link set lo up
		in_ns "$n" ip addr add "$(address_of "$n")/24" dev eth0
		in_ns "$n" ip link set eth0 up
	done
	in_ns 0 nft add table inet chaos 2>/dev/null || { echo "SKIP: needs nftables"; exit 77; }
}

image_mount() { # N
	mount -o loop,noatime "$T/disk$1.img" "$T/n$1"
}

store_init() { # COUNT
	local n list=
	COUNT=$1
	for n in $(seq "$COUNT"); do list+=${list:+,}$(address_of "$n"):7900; done
	MEMBERS=$list
	for n in $(seq "$COUNT"); do
		truncate -s "${IMAGE_MIB}M" "$T/disk$n.img"
		mkfs.ext4 -q -F -m 0 "$T/disk$n.img" || { echo "SKIP: needs mkfs.ext4"; exit 77; }
		mkdir -p "$T/n$n"
		image_mount "$n" 2>/dev/null || { echo "SKIP: needs loop devices"; exit 77; }
		rmdir "$T/n$n/lost+found"
		quorumfs init "$T/n$n" --id="$n" --members="$list" >/dev/null || fail "init of node $n"
	done
	sync -f "$T/n1"
	for n in $(seq "$COUNT"); do sync -f "$T/n$n"; done
}

chaos_node_start() { # N
	nsenter --net="/proc/${NS[$1]}/ns/net" quorumfsd "$T/n$1" "${NODE_OPTIONS[@]}" \
		>>"$T/n$1.log" 2>&1 </dev/null &
	PID[$1]=$!
}

chaos_alive() { # N
	[ -n "${PID[$1]:-}" ] && ! process_gone "${PID[$1]}"
}

# By host list, over the network, from the namespace of nobody else.
client_mount() { # [OPTIONS]
	mkdir -p "$T/m0"
	in_ns 0 mount.quorumfs "$MEMBERS" "$T/m0" -o "log-file=$T/mount0.log${1:+,$1}" ||
		fail "mount by host list"
	MOUNT_PID[0]=$(pgrep -n -f "mount.quorumfs $MEMBERS $T/m0 " || echo 0)
}

# First in the clean-up: with nodes down or stopped an ordinary umount could wait for them.
chaos_cleanup() {
	local n m
	for n in "${LOAD_PID:-}" "${PROXY_PID[@]}"; do [ -n "$n" ] && kill -KILL "$n" 2>/dev/null; done
	for m in "$T"/m*; do mountpoint -q "$m" && umount -l "$m"; done
	for n in "${MOUNT_PID[@]}" "${PID[@]}"; do kill -KILL "$n" 2>/dev/null; done
	for n in "${PID[@]}"; do wait "$n"; done
	for m in "$T"/n*; do mountpoint -q "$m" && { umount "$m" || { sleep 0.3; umount -l "$m"; }; }; done
} 2>/dev/null
CLEANUP+=(chaos_cleanup)

# After everything was unmounted and stopped: nothing of ours is left on the machine.
nothing_left() {
	local left
	left=$(grep -F "$T/" /proc/mounts; losetup -a | grep -F "$T/"; pgrep -a -f "quorumfs(d)? .*$T/")
	[ -z "$left" ] || fail "left behind: $left"
}
