#!/bin/bash
# time-limit: 3000
# One SQLite database with a rollback journal, written through three mounts for DURATION seconds (1200, 8 in the
# short form) while nodes, writers and mounts are killed and mounts stand still for longer than their session
# lives: the database stays sound, and each commit that a writer was told of is there once. MODE=persist and
# MODE=truncate are SQLite's other rollback journals; SEED= replays a choice of faults, FAULTS= narrows it.
# In full, WAL mode with PRAGMA locking_mode=EXCLUSIVE then goes from mount to mount.
. "$(dirname "$0")/../lib/cluster.sh"

TTL=3000
MODE=${MODE:-delete}
DURATION=${DURATION:-$((SHORT == 1 ? 8 : 1200))}
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
WRITER=$BUILD/tests/cluster/sqlite_writer
declare -A WRITER_PID KINDS

cluster_init 3
nodes_start --session-ttl=$TTL
wait_leader
for n in 1 2 3; do mount_node $n; done
"$WRITER" init "$T/m1/db" "$MODE" || fail "init"

writer_start() { # N [DATABASE MODE LOG]
	"$WRITER" write "$T/m$1/${2:-db}" "${3:-$MODE}" "$T/${4:-commits}$1" "$1" 2 >>"$T/writer$1.out" 2>&1 &
	WRITER_PID[$1]=$!
}

check() { # N: through its mount, while others write
	local got try
	for try in 1 2 3 4 5; do
		got=$("$WRITER" check "$T/m$1/db" "$T"/commits? 2>&1)
		case $? in
		0) break ;;
		3) [ $try -lt 5 ] && sleep 0.5 && continue ;; # opened before the mount knew that its session had ended
		esac
		fail "round $rounds, mount $1: $got"
	done
	for w in 1 2 3; do
		kill -0 "${WRITER_PID[$w]}" 2>/dev/null || fail "writer $w ended: $(tail -n 3 "$T/writer$w.out")"
	done
	[ $((rounds % 10)) = 0 ] && say "round $rounds: $got"
	return 0
}

some() { echo $((RANDOM % 3 + 1)); }
pause() { sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"; }

fault() { # KIND
	local n
	n=$(some)
	KINDS[$1]=$((${KINDS[$1]:-0} + 1))
	case $1 in
	leader)
		n=$(leader) || return 0
		node_kill "$n"
		pause
		node_start "$n" --session-ttl=$TTL
		;;
	node)
		node_kill "$n"
		pause
		node_start "$n" --session-ttl=$TTL
		;;
	all)
		for n in 1 2 3; do node_kill $n; done
		pause
		nodes_start --session-ttl=$TTL
		;;
	writer)
		kill -KILL "${WRITER_PID[$n]}"
		wait "${WRITER_PID[$n]}" 2>/dev/null
		writer_start "$n"
		;;
	mount) # the writer stays, and finds the next one
		kill -KILL "${MOUNT_PID[$n]}"
		umount -l "$T/m$n"
		mount_node "$n"
		;;
	both) # as when a machine dies
		kill -KILL "${MOUNT_PID[$n]}" "${WRITER_PID[$n]}"
		node_kill "$n"
		wait "${WRITER_PID[$n]}" 2>/dev/null
		umount -l "$T/m$n"
		pause
		node_start "$n" --session-ttl=$TTL
		mount_node "$n"
		writer_start "$n"
		;;
	stop)
		kill -STOP "${MOUNT_PID[$n]}"
		sleep $((TTL / 1000 + 2))
		kill -CONT "${MOUNT_PID[$n]}"
		;;
	esac
}

say "seed $SEED, journal mode $MODE, $DURATION s"
for n in 1 2 3; do writer_start $n; done
CLEANUP+=('for n in "${MOUNT_PID[@]}"; do kill -CONT $n; done 2>/dev/null')
rounds=0
read -ra all <<<"${FAULTS:-leader writer both mount node stop all}"
enough() { # has each writer got through, on however slow a machine?
	local n
	for n in 1 2 3; do [ "$(grep -c ^a "$T/commits$n")" -ge $((SHORT == 1 ? 3 : 10)) ] || return 1; done
}
until [ $SECONDS -ge "$DURATION" ] && [ $rounds -ge 3 ] && enough; do
	rounds=$((rounds + 1))
	sleep "0.$((RANDOM % 9 + 1))"
	# At first each kind once.
	if [ $rounds -le ${#all[@]} ]; then kind=${all[$((rounds - 1))]}; else kind=${all[$((RANDOM % ${#all[@]}))]}; fi
	fault "$kind"
	check "$(some)"
done
sleep 1
check 1
for n in 1 2 3; do kill -TERM "${WRITER_PID[$n]}"; done
for n in 1 2 3; do wait "${WRITER_PID[$n]}" || fail "writer $n: $(tail -n 3 "$T/writer$n.out")"; done
for n in 1 2 3; do
	got=$("$WRITER" check "$T/m$n/db" "$T"/commits? 2>&1) || fail "at the end, mount $n: $got"
done
say "$rounds faults ($(for k in "${!KINDS[@]}"; do echo -n " $k ${KINDS[$k]}"; done) ): $got"
say "errors the writers saw: $(cat "$T"/writer?.out | sed -n 's/^writer [0-9]: \(.*([0-9]*)\)$/\1/p' | sort | uniq -c | tr -s '\n ' ' ')"

[ "$SHORT" = 1 ] && { digests_equal; exit; }

# ---- WAL, without shared memory: whoever has it keeps it -----------------------------------------------------

"$WRITER" init "$T/m1/wal" exclusive || fail "init of WAL"
for n in 1 2 3; do writer_start $n wal exclusive wal; done
acknowledged() { grep -c ^a "$T/wal$1" 2>/dev/null; }
holder() { # the writer that commits from now on
	local i n was=()
	for n in 1 2 3; do was[n]=$(acknowledged $n); done
	for i in $(seq 600); do
		sleep 0.1
		for n in 1 2 3; do
			[ "$(acknowledged $n)" -ge $((${was[n]:-0} + 3)) ] 2>/dev/null && { echo $n; return; }
		done
	done
	fail "nobody commits: $(tail -n 2 "$T"/writer?.out)"
}
first=$(holder) || exit 1
kill -KILL "${WRITER_PID[$first]}"
wait "${WRITER_PID[$first]}" 2>/dev/null
second=$(holder) || exit 1
[ "$second" != "$first" ] || fail "a killed writer commits"
kill -TERM "${WRITER_PID[$second]}"
wait "${WRITER_PID[$second]}" || fail "writer $second: $(tail -n 3 "$T/writer$second.out")"
third=$(holder) || exit 1
kill -TERM "${WRITER_PID[$third]}"
wait "${WRITER_PID[$third]}" || fail "writer $third: $(tail -n 3 "$T/writer$third.out")"
[ ! -e "$T/m1/wal-shm" ] || fail "there is shared memory"
got=$("$WRITER" check "$T/m$first/wal" "$T"/wal? 2>&1) || fail "WAL: $got"
say "WAL went from mount $first to $second to $third: $got"
digests_equal
