# faults.sh - sourced by run.sh: each fault is a function do_NAME that begins it and leaves in DETAIL what
# it hit; heal_all ends whatever is under way. All draws come from RANDOM in the main shell, so a seed is
# a plan; who leads at the moment is the machine's.

declare -A STOPPED DISK_FAULT PROXY_PID
DETAIL=
# Names and how often each is in the deck that is drawn from.
FAULT_DECK=${FAULTS:-kill_leader kill_leader kill_leader kill_one kill_one kill_some kill_all crash_loop \
pause_leader pause_leader pause_one pause_many pause_mount link_down link_down isolate cut_in cut_out \
cut_pair split loss delay corrupt corrupt swallow mute reset frames power_leader power_one power_some \
power_all power_all full_disk restart leader_move leader_move snapshot snapshot}

rnd() { # BELOW: result in R
	R=$(((RANDOM * 32768 + RANDOM) % $1))
}

node_any() {
	rnd "$COUNT"
	N=$((R + 1))
}

node_leader() { # the leader, or any when there is none
	node_any
	N=$(chaos_leader || echo $N)
}

# Distinct nodes, COUNT of them, into SET.
node_set() { # COUNT
	local pool i
	read -ra pool <<<"$(seq -s ' ' "$COUNT")"
	SET=()
	for ((i = 0; i < $1; i++)); do
		rnd "${#pool[@]}"
		SET+=("${pool[$R]}")
		unset "pool[$R]"
		pool=("${pool[@]}")
	done
}

node_minority() {
	rnd $(((COUNT - 1) / 2))
	node_set $((R + 1))
}

# Only nodes that run are asked: a stopped one answers late.
chaos_leader() {
	local n l
	for n in "${!PID[@]}"; do
		[ -n "${STOPPED[$n]:-}" ] && continue
		l=$(quorumfs status --json --timeout=500 --node "$T/n$n" 2>/dev/null |
			sed -n 's/^  "leader":\([0-9]*\),$/\1/p')
		[ -n "$l" ] && [ "$l" != 0 ] && { echo "$l"; return 0; }
	done
	return 1
}

# ---- processes ---------------------------------------------------------------------------------------

kill_nodes() { # N...
	local n
	DETAIL="nodes $*"
	for n; do [ -n "${PID[$n]:-}" ] && kill -KILL "${PID[$n]}" 2>/dev/null; done
	for n; do
		[ -n "${PID[$n]:-}" ] || continue
		wait "${PID[$n]}" 2>/dev/null
		unset "PID[$n]" "STOPPED[$n]"
	done
}

do_kill_leader() { node_leader; kill_nodes "$N"; }
do_kill_one() { node_any; kill_nodes "$N"; }
do_kill_some() { rnd $((COUNT - 1)); node_set $((R + 1)); kill_nodes "${SET[@]}"; }
do_kill_all() { node_set "$COUNT"; kill_nodes "${SET[@]}"; }

do_crash_loop() { # dies again and again while it recovers
	local i
	node_any
	for i in 1 2 3 4; do
		kill_nodes "$N"
		chaos_node_start "$N"
		rnd 400
		sleep "0.$(printf %03d "$R")"
	done
	kill_nodes "$N"
	DETAIL="node $N, five times"
}

pause_nodes() { # N...
	local n
	DETAIL="nodes $*"
	for n; do
		[ -n "${PID[$n]:-}" ] && kill -STOP "${PID[$n]}" 2>/dev/null && STOPPED[$n]=1
	done
}

do_pause_leader() { node_leader; pause_nodes "$N"; }
do_pause_one() { node_any; pause_nodes "$N"; }
do_pause_many() { rnd "$COUNT"; node_set $((R + 1)); pause_nodes "${SET[@]}"; }

do_pause_mount() {
	rnd $((COUNT + 1))
	DETAIL="mount $R"
	kill -STOP "${MOUNT_PID[$R]}"
	STOPPED_MOUNTS+=" ${MOUNT_PID[$R]}"
}

do_restart() {
	local pid code
	node_any
	DETAIL="node $N"
	pid=${PID[$N]:-}
	[ -n "$pid" ] && [ -z "${STOPPED[$N]:-}" ] || return 0
	kill -TERM "$pid"
	wait "$pid"
	code=$?
	unset "PID[$N]"
	[ $code = 0 ] || [ -n "${DISK_FAULT[$N]:-}" ] || fail "node $N ended with $code on SIGTERM"
	chaos_node_start "$N"
}

do_leader_move() {
	node_leader
	rnd "$COUNT"
	DETAIL="from $N to $((R + 1))"
	quorumfs leader move $((R + 1)) --node "$T/n$N" --timeout=1000 >/dev/null 2>&1
}

do_snapshot() {
	node_any
	DETAIL="node $N"
	quorumfs snapshot create --node "$T/n$N" --timeout=5000 >/dev/null 2>&1 &
	disown $!
}

# ---- network -----------------------------------------------------------------------------------------

# Any node, in one of five the mount by host list instead.
endpoint_any() {
	rnd 5
	[ "$R" = 0 ] && { N=0; return; }
	node_any
}

filter() { # N in|out RULE...
	local n=$1 chain=$2
	shift 2
	in_ns "$n" nft -f - <<-E
		table inet chaos {
			chain in {
				type filter hook input priority 0; policy accept;
			}
			chain out {
				type filter hook output priority 0; policy accept;
			}
		}
		add rule inet chaos $chain $*
	E
}

do_link_down() {
	endpoint_any
	DETAIL="node $N"
	in_pid_ns "$HUB" ip link set "v$N" down
}

do_cut_in() { endpoint_any; DETAIL="to node $N"; filter "$N" in iifname eth0 drop; }
do_cut_out() { endpoint_any; DETAIL="from node $N"; filter "$N" out oifname eth0 drop; }

do_isolate() {
	node_leader
	DETAIL="node $N"
	filter "$N" in iifname eth0 drop
	filter "$N" out oifname eth0 drop
}

do_cut_pair() { # one direction of one link
	node_set 2
	DETAIL="from ${SET[0]} to ${SET[1]}"
	filter "${SET[0]}" out ip daddr "$(address_of "${SET[1]}")" drop
}

do_split() {
	local a b
	rnd $((COUNT / 2))
	node_set $((R + 1))
	DETAIL="nodes ${SET[*]} from the others"
	for a in "${SET[@]}"; do
		for b in $(seq "$COUNT"); do
			[[ " ${SET[*]} " == *" $b "* ]] || {
				filter "$a" out ip daddr "$(address_of "$b")" drop
				filter "$a" in ip saddr "$(address_of "$b")" drop
			}
		done
	done
}

do_loss() {
	endpoint_any
	rnd 36
	DETAIL="node $N, $((R + 5)) %"
	filter "$N" in iifname eth0 numgen random mod 100 "<" $((R + 5)) drop
	filter "$N" out oifname eth0 numgen random mod 100 "<" $((R + 5)) drop
}

# Connections to peers go through chaos_proxy from now on; what is open is reset.
proxy() { # N MODE MS PERCENT
	local n=$1 b specs=() rules=
	[ -z "${PROXY_PID[$n]:-}" ] || return 0
	for b in $(seq "$COUNT"); do
		[ "$b" = "$n" ] && continue
		specs+=("$((9000 + b)):$(address_of "$b"):7900")
		rules+="ip daddr $(address_of "$b") tcp dport 7900 redirect to :$((9000 + b))"$'\n'
	done
	rnd 1000000
	nsenter --net="/proc/${NS[$n]}/ns/net" "$BUILD/tests/chaos/chaos_proxy" --mode="$2" --ms="$3" \
		--percent="$4" --seed="$R" "${specs[@]}" >>"$T/proxy.log" 2>&1 &
	PROXY_PID[$n]=$!
	disown $!
	in_ns "$n" nft -f - <<-E || fail "no address translation in namespace $n"
		table ip chaosnat {
			chain out {
				type nat hook output priority -100; policy accept;
				meta mark 0x51 return
				$rules
			}
		}
	E
	filter "$n" out "ip daddr 10.77.0.0/24 tcp dport 7900 meta mark != 0x51 reject with tcp reset"
	DETAIL="node $n"
}

proxy_some() { # MODE MS PERCENT: before one endpoint, in one of four before all
	local n
	rnd 4
	if [ "$R" = 0 ]; then
		for n in $(seq 0 "$COUNT"); do proxy "$n" "$@"; done
		DETAIL="all, $2 ms, $3 %"
	else
		endpoint_any
		proxy "$N" "$@"
		DETAIL="node $N, $2 ms, $3 %"
	fi
}

do_delay() { rnd 500; proxy_some delay $((R + 10)) 0; }
do_corrupt() { rnd 20; proxy_some corrupt 1 $((R + 1)); }
do_swallow() { proxy_some swallow 1 0; }
do_mute() { proxy_some mute 1 0; }
do_reset() { rnd 1000; proxy_some reset $((R + 50)) 0; }
do_frames() { rnd 25; proxy_some frames 1 $((R + 5)); }

# ---- disks -------------------------------------------------------------------------------------------

remount() { # N: as the machine finds its disk when the power is back
	local i
	for i in $(seq 50); do
		umount "$T/n$1" 2>/dev/null && break
		sleep 0.1
	done
	image_mount "$1" || fail "the disk of node $1 cannot be mounted after a power loss"
}

power_cut_nodes() { # N...
	local n
	"$BUILD/tests/chaos/power_cut" "${@/#/$T/n}" || fail "power loss cannot be made"
	for n; do DISK_FAULT[$n]=1; done
	kill_nodes "$@"
	for n; do remount "$n"; done
}

do_power_leader() { node_leader; power_cut_nodes "$N"; }
do_power_one() { node_any; power_cut_nodes "$N"; }
do_power_some() { rnd $((COUNT - 1)); node_set $((R + 1)); power_cut_nodes "${SET[@]}"; }
do_power_all() { node_set "$COUNT"; power_cut_nodes "${SET[@]}"; }

do_full_disk() {
	local free
	node_any
	DETAIL="node $N"
	DISK_FAULT[$N]=1
	free=$(stat -f -c '%a %S' "$T/n$N" | awk '{ print $1 * $2 }')
	fallocate -l $((free > 131072 ? free - 65536 : 65536)) "$T/n$N/filler" 2>/dev/null
	return 0
}

# ---- the end of all of them --------------------------------------------------------------------------

heal_network() {
	local n
	for n in $(seq 0 "$COUNT"); do
		in_pid_ns "$HUB" ip link set "v$n" up
		in_ns "$n" nft flush ruleset
		[ -n "${PROXY_PID[$n]:-}" ] && kill -KILL "${PROXY_PID[$n]}" 2>/dev/null
		unset "PROXY_PID[$n]"
	done
}

heal_nodes() {
	local n code
	for n in $STOPPED_MOUNTS; do kill -CONT "$n"; done
	STOPPED_MOUNTS=
	for n in $(seq "$COUNT"); do
		rm -f "$T/n$n/filler"
		[ -n "${STOPPED[$n]:-}" ] && kill -CONT "${PID[$n]}" 2>/dev/null
		if [ -n "${PID[$n]:-}" ] && ! chaos_alive "$n"; then
			wait "${PID[$n]}"
			code=$?
			unset "PID[$n]"
			[ -n "${DISK_FAULT[$n]:-}" ] || fail "node $n ended by itself with $code"
			DISK_STOPS=$((DISK_STOPS + 1))
		fi
		[ -n "${PID[$n]:-}" ] || chaos_node_start "$n"
	done
	STOPPED=()
	DISK_FAULT=()
} 2>>"$T/shell.log"

heal_all() {
	heal_network
	heal_nodes
}
DISK_STOPS=0
STOPPED_MOUNTS=
