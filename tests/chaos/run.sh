#!/bin/bash
# run.sh - the black-box trial behind `make check-chaos`: real nodes in network namespaces, real mounts, a
# load on record, and faults drawn from a seed. It runs in rounds; each ends with everything healed, equal
# digests and dumps, a whole tree, and a history that is linearizable.
#
#   NODES=3 DURATION=120 SEED=random RATE=30 ROUND=120 FAULTS="kill_leader power_all" tests/chaos/run.sh
#
# RATE: cycles of faults in a minute at most; a cycle begins one to three faults, holds them, and heals
# all. LOAD_RATE: operations per second and thread. FAULTS: draw from these alone (faults.sh: do_*).
# CHAOS_NODE_OPTIONS: more options for each node. REPORT: the JSON (default $BUILD/chaos-NODES.json).
# Exit: 0 no violation; 1 a violation, or a trial that could not be judged; 77 cannot run here.
# Histories and logs of a failed run stay in $BUILD/logs/chaos-SEED.
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/net.sh"
. "$(dirname "$0")/faults.sh"

NODES=${NODES:-3}
DURATION=${DURATION:-120}
ROUND=${ROUND:-120}
RATE=${RATE:-30}
LOAD_RATE=${LOAD_RATE:-20}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
REPORT=${REPORT:-$BUILD/chaos-$NODES.json}
EVENTS=$T/events
HISTORIES=()
ROUNDS=0
UNDECIDED=0
FAILED=
DECK=()

now_s() { # seconds of CLOCK_BOOTTIME, which is the histories' clock where nothing suspends
	local up idle
	read -r up idle </proc/uptime
	echo "$up"
}

# Terms that had a leader, from the nodes' logs. Two leaders of one term would be the worst of violations.
elections() {
	cat "$T"/n*.log | sed -n 's/.* info replica .* term=\([0-9]*\) leader=\([1-9][0-9]*\) .*/\1 \2/p' |
		sort -u >"$T/elections"
	[ -z "$(cut -d' ' -f1 "$T/elections" | uniq -d)" ]
}

make_report() {
	elections
	{
		echo "set seed $SEED"
		echo "set nodes $NODES"
		echo "set seconds $DURATION"
		echo "set rounds $ROUNDS"
		echo "set elections $(wc -l <"$T/elections")"
		echo "set snapshots_installed $(cat "$T"/n*.log | grep -c 'installed snapshot')"
		echo "set stopped_by_full_disk $DISK_STOPS"
		echo "set undecided_objects $UNDECIDED"
		echo "set violations ${1:-0}"
	} >>"$EVENTS"
	"$BUILD/tests/chaos/chaos_report" "$EVENTS" "$REPORT" "${HISTORIES[@]}"
}

fail() { # also what tests/lib/cluster.sh calls
	local keep=$BUILD/logs/chaos-$SEED
	echo "FAIL: $*" >&2
	[ -n "$FAILED" ] && exit 1
	FAILED=1
	mkdir -p "$keep"
	cp "$EVENTS" "$T"/*.log "$T"/history* "$T"/verdict* "$T"/dump* "$keep" 2>/dev/null
	make_report 1
	echo "kept $keep; replay: make check-chaos NODES=$NODES DURATION=$DURATION SEED=$SEED" >&2
	exit 1
}

pause_ms() { # MS
	sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}

# The deck is drawn empty before a kind comes again as often as it stands in it.
draw_fault() {
	[ "${#DECK[@]}" -gt 0 ] || read -ra DECK <<<"$FAULT_DECK"
	rnd "${#DECK[@]}"
	KIND=${DECK[$R]}
	unset "DECK[$R]"
	DECK=("${DECK[@]}")
}

hold_ms() {
	rnd 10
	case $R in
	[0-5]) rnd 1700; R=$((R + 300)) ;;
	[678]) rnd 3000; R=$((R + 2000)) ;;
	*) rnd 4000; R=$((R + 5000)) ;;
	esac
}

cycle() {
	local count=1 i begun=()
	rnd 10
	[ "$R" -ge 6 ] && count=2
	[ "$R" -ge 9 ] && count=3
	for ((i = 0; i < count; i++)); do
		draw_fault
		begun+=("$(now_s) $KIND")
		"do_$KIND"
		say "$KIND $DETAIL"
		begun[i]+=" $DETAIL"
		rnd 800
		pause_ms $((i + 1 < count ? R + 50 : 0))
	done
	hold_ms
	pause_ms "$R"
	heal_all
	for i in "${begun[@]}"; do echo "fault ${i%% *} $(now_s) ${i#* }" >>"$EVENTS"; done
	rnd $((2 * 60000 / RATE / 2 + 1))
	pause_ms $((R + 200))
}

load_runs() {
	! process_gone "$LOAD_PID"
}

start_load() { # SECONDS
	local i mounts=("$T"/m[0-9])
	HISTORY=$T/history.$ROUNDS
	"$BUILD/tests/history/load" --history="$HISTORY" --dir="r$ROUNDS" --seconds="$1" --rate="$LOAD_RATE" \
		--threads=3 --grace=60 --seed=$((SEED + ROUNDS)) "${mounts[@]}" >>"$T/load.log" 2>&1 &
	LOAD_PID=$!
	for i in $(seq 200); do
		[ -e "$HISTORY" ] && [ "$(wc -l <"$HISTORY")" -gt 50 ] && return 0
		load_runs || fail "the load did not start: $(tail -n 2 "$T/load.log")"
		sleep 0.05
	done
	fail "the load made no progress in ten seconds without a fault"
}

check_history() {
	local code
	HISTORIES+=("$HISTORY")
	nice "$BUILD/tests/history/check_history" "$HISTORY" >"$T/verdict.$ROUNDS"
	code=$?
	say "$(tail -n 1 "$T/verdict.$ROUNDS")"
	case $code in
	0) ;;
	3) UNDECIDED=$((UNDECIDED + $(sed -n 's/.*violated, \([0-9]*\) undecided.*/\1/p' "$T/verdict.$ROUNDS"))) ;;
	*) fail "history of round $ROUNDS: $(head -n 40 "$T/verdict.$ROUNDS")" ;;
	esac
}

# All mounts answer, all nodes are equal, nothing is held that should not be.
check_round() {
	local n dirs=()
	wait_leader
	for n in $(seq 0 "$NODES"); do
		timeout 60 ls "$T/m$n" >/dev/null || fail "mount $n does not answer after healing"
		dirs+=("$T/m$n/r$ROUNDS")
	done
	for n in $(seq "$NODES"); do chaos_alive "$n" || fail "node $n ended after healing"; done
	digests_equal
	dumps_equal "${dirs[@]}"
	elections || fail "two leaders in one term: $(cat "$T/elections")"
	check_history
	rm -rf "${dirs[0]}" || fail "the tree of the round cannot be removed"
}

round() { # SECONDS
	local start code
	ROUNDS=$((ROUNDS + 1))
	say "round $ROUNDS: $1 s"
	start_load "$1"
	start=$(now_s)
	while load_runs && [ "$(now_s | cut -d. -f1)" -lt $((${start%.*} + $1)) ]; do cycle; done
	heal_all
	echo "round $start $(awk "BEGIN { print $start + $1 }")" >>"$EVENTS"
	wait "$LOAD_PID"
	code=$?
	LOAD_PID=
	[ $code = 0 ] || fail "the load ended with $code: $(tail -n 2 "$T/load.log")"
	check_round
}

# "SESSIONS ORPHANS" as the leader counts them.
held_now() {
	local l
	l=$(leader) && echo "$(status_of "$l" sessions) $(status_of "$l" orphans)"
}

wait_held() { # SESSIONS SECONDS: until that many sessions hold no orphan
	local i
	for i in $(seq $((5 * $2))); do
		[ "$(held_now)" = "$1 0" ] && return 0
		sleep 0.2
	done
	fail "not $1 sessions and no orphan, but $(held_now): $(quorumfs status --sessions --node "$T/n1")"
}

finish() {
	local n
	wait_held $((NODES + 1)) 15
	for n in $(seq 0 "$NODES"); do unmount "$n"; done
	wait_held 0 20 # who said goodbye is ended after the time to live
	digests_equal
	make_report 0
	for n in $(seq "$NODES"); do node_stop "$n"; umount "$T/n$n"; done
	nothing_left
}

say "seed $SEED, $NODES nodes, $DURATION s"
net_init "$NODES"
store_init "$NODES"
RANDOM=$SEED
: >"$EVENTS"
for n in $(seq "$NODES"); do chaos_node_start "$n"; done
wait_leader
for n in $(seq "$NODES"); do mount_node "$n" timeo=900; done
client_mount timeo=900
left=$DURATION
while [ "$left" -gt 0 ]; do
	seconds=$((left < ROUND ? left : ROUND))
	round "$seconds"
	left=$((left - seconds))
done
finish
say "no violation; seed $SEED; report in $REPORT"
