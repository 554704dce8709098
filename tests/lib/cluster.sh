# cluster.sh - sourced by test scripts: nodes and mounts below one temporary directory, cleaned up
# whatever happens. Needs root and /dev/fuse, else the test is skipped (exit 77).
#
#   cluster_init COUNT            stores $T/n1.., addresses on loopback
#   node_start N [OPTION...]      quorumfsd in the background, logs to $T/nN.log
#   node_kill N | node_stop N     SIGKILL | SIGTERM and wait
#   wait_leader [N]               until node N (default: any that runs) knows a leader
#   leader                        its number
#   mount_node N [OPTIONS]        node N's socket on $T/mN
#   mount_embedded DIR [OPTIONS]  a store with the node inside the mount process, on $T/m1
#   helpers_in_sbin [BIN]         for mount(8) and fstab
#   unmount N                     and wait for its process to end, at most five seconds
#   wait_equal                    until all running nodes have applied the same index
#   digests_equal                 state digests and tree checks of all running nodes

set -u
BUILD=${BUILD:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build}
SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$BUILD/bin:$PATH
SHORT=${SHORT:-0}

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

say() {
	echo "--- $(date +%T) $*"
}

[ "$(id -u)" = 0 ] || { echo "SKIP: needs root"; exit 77; }
[ -w /dev/fuse ] || { echo "SKIP: needs /dev/fuse"; exit 77; }

T=$(mktemp -d "${TMPDIR:-/var/tmp}/quorumfs-test.XXXXXX")
COUNT=0
declare -A PID MOUNT_PID
CLEANUP=()

cleanup() {
	local code=$? n
	set +eu
	# Background jobs of the script; the nodes live until their mounts are gone.
	for n in $(jobs -p); do [[ " ${PID[*]} " == *" $n "* ]] || kill "$n" 2>/dev/null; done
	for c in "${CLEANUP[@]}"; do eval "$c"; done
	# Loop mounts and mounts of ours below $T, innermost first.
	awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null
	done
	for n in "${!PID[@]}"; do kill -KILL "${PID[$n]}" 2>/dev/null; done
	for n in "${!MOUNT_PID[@]}"; do kill -KILL "${MOUNT_PID[$n]}" 2>/dev/null; done
	if [ $code != 0 ] && [ $code != 77 ]; then
		for log in "$T"/*.log; do
			[ -s "$log" ] && { echo "== ${log##*/}"; tail -n 15 "$log"; }
		done
	fi
	[ -n "${KEEP:-}" ] && echo "kept $T" || rm -rf "$T"
	exit $code
}
trap cleanup EXIT
trap 'exit 130' INT TERM

free_port() { # prints a port nobody listens on, for COUNT in a row
	local p
	while :; do
		p=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo $p; return; }
	done
}

cluster_init() {
	local list= n p
	COUNT=$1
	for n in $(seq "$COUNT"); do
		p=$(free_port)
		list+=${list:+,}127.0.0.1:$p
	done
	for n in $(seq "$COUNT"); do
		quorumfs init "$T/n$n" --id="$n" --members="$list" >/dev/null || fail "init of node $n"
	done
	MEMBERS=$list
}

node_start() {
	local n=$1
	shift
	quorumfsd "$T/n$n" "$@" >>"$T/n$n.log" 2>&1 &
	PID[$n]=$!
}

node_kill() {
	kill -KILL "${PID[$1]}" 2>/dev/null
	wait "${PID[$1]}" 2>/dev/null
	unset "PID[$1]"
}

node_stop() {
	kill -TERM "${PID[$1]}"
	wait "${PID[$1]}" || fail "node $1 did not stop cleanly"
	unset "PID[$1]"
}

nodes_start() {
	local n
	for n in $(seq "$COUNT"); do [ -n "${PID[$n]:-}" ] || node_start "$n" "$@"; done
}

status_of() { # N FIELD
	quorumfs status --json --timeout=2000 --node "$T/n$1" 2>/dev/null |
		sed -n "s/^  \"$2\":\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"
}

leader() {
	local n l
	for n in "${!PID[@]}"; do
		l=$(status_of "$n" leader)
		[ -n "$l" ] && [ "$l" != 0 ] && [ -n "${PID[$l]:-}" ] && { echo "$l"; return 0; }
	done
	return 1
}

wait_leader() {
	local i
	for i in $(seq 200); do
		leader >/dev/null && return 0
		sleep 0.05
	done
	fail "no leader after 10 s"
}

follower() { # some running node that does not lead
	local n l
	l=$(leader) || return 1
	for n in "${!PID[@]}"; do [ "$n" != "$l" ] && { echo "$n"; return 0; }; done
	return 1
}

mount_at() { # SOURCE DIR NUMBER [OPTIONS]
	mkdir -p "$2"
	mount.quorumfs "$1" "$2" -o "log-file=$T/mount$3.log${4:+,$4}" || return $?
	MOUNT_PID[$3]=$(pgrep -n -f "mount.quorumfs $1 $2 " || echo 0)
}

mount_node() {
	mount_at "$T/n$1/node.sock" "$T/m$1" "$1" "${2:-}" || fail "mount of node $1"
}

mount_embedded() { # DIR [OPTIONS]
	mount_at "$1" "$T/m1" 1 "${2:-}" || fail "embedded mount"
}

# mount(8) looks for helpers in /sbin only: links to those of BIN, removed at the end; what is there already stays.
helpers_in_sbin() { # [BIN]
	local name
	for name in mount.quorumfs mount.fuse.quorumfs; do
		[ -e /sbin/$name ] && continue
		CLEANUP+=("rm -f /sbin/$name")
		ln -s "${1:-$BUILD/bin}/mount.quorumfs" /sbin/$name
	done
}

# A zombie is gone: nobody may reap orphans here.
process_gone() { # PID
	local state
	state=$(sed -n 's/.*) \([A-Z]\) .*/\1/p' "/proc/$1/stat" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ]
}

unmount() {
	local i pid=${MOUNT_PID[$1]}
	umount "$T/m$1" || fail "umount of mount $1"
	for i in $(seq 50); do
		process_gone "$pid" && { unset "MOUNT_PID[$1]"; return 0; }
		sleep 0.1
	done
	fail "mount process $pid is still there five seconds after umount"
}

wait_equal() {
	local i n all first
	for i in $(seq 600); do
		all= first=
		for n in "${!PID[@]}"; do
			v="$(status_of "$n" applied_index)/$(status_of "$n" last_index)"
			[ "${v%/*}" = "${v#*/}" ] && [ -n "${v%/*}" ] || { all=no; break; }
			[ -z "$first" ] && first=$v
			[ "$v" = "$first" ] || { all=no; break; }
		done
		[ -z "$all" ] && return 0
		sleep 0.1
	done
	fail "nodes did not reach the same index within 60 s: $(for n in "${!PID[@]}"; do echo -n " n$n=$(status_of "$n" applied_index)/$(status_of "$n" last_index)"; done)"
}

# What nodes do by themselves (space that returns, sessions that end) may come between two checks: then again.
digests_equal() {
	local n line first try indexes
	for try in 1 2 3 4 5 6 7 8; do
		wait_equal
		first= indexes=
		for n in "${!PID[@]}"; do
			line=$(quorumfs check --tree --timeout=120000 --node "$T/n$n") || fail "check of node $n: $line"
			line=$(echo "$line" | sed 's/^node [0-9]* *//')
			[ -z "$first" ] && first=$line
			[[ $line =~ ^index\ +[0-9]+ ]] || fail "check of node $n tells no index: $line"
			[[ $first == "${BASH_REMATCH[0]} "* ]] || { indexes=differ; break; }
			[ "$line" = "$first" ] || fail "node $n differs: $line / $first"
		done
		[ -z "$indexes" ] && { say "digests equal: $first"; return 0; }
		sleep 1
	done
	fail "the nodes' indexes do not come to rest: $line / $first"
}

# A logical dump: names, types, modes, owners, times, link counts, contents.
dump_tree() { # DIR
	(cd "$1" && find . -mindepth 1 -printf '%p %y %m %U %G %s %T@ %n %l\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

dumps_equal() { # DIR...
	local first=$1 d
	dump_tree "$1" >"$T/dump.1"
	shift
	for d; do
		dump_tree "$d" >"$T/dump.2"
		cmp "$T/dump.1" "$T/dump.2" || fail "dump of $d differs from $first"
	done
	say "dumps equal: $(wc -l <"$T/dump.1") lines"
}
