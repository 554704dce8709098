#!/bin/bash
# SQLite's WAL mode on one mount: four writers that share the mapped -shm, killed at random, and readers beside
# them, for DURATION seconds (60; 6 in the short form). With another mount it must not be used without
# PRAGMA locking_mode=EXCLUSIVE (docs/posix.md).
. "$(dirname "$0")/../lib/cluster.sh"

DURATION=${DURATION:-$((SHORT == 1 ? 6 : 60))}
WRITER=$BUILD/tests/cluster/sqlite_writer
mount_embedded "$T/store" create
"$WRITER" init "$T/m1/db" wal || fail "init"
[ "$(od -An -tu1 -j18 -N2 "$T/m1/db" | tr -s ' ')" = " 2 2" ] || fail "the database did not get into WAL mode"

writer_start() {
	"$WRITER" write "$T/m1/db" wal "$T/commits$1" "$1" 5 >>"$T/writer$1.out" 2>&1 &
	WRITER_PID[$1]=$!
}

declare -A WRITER_PID
for n in 1 2 3 4; do writer_start $n; done
kills=0
SECONDS=0
while [ $SECONDS -lt "$DURATION" ]; do
	sleep 0.3
	n=$((RANDOM % 4 + 1))
	kill -0 "${WRITER_PID[$n]}" 2>/dev/null || fail "writer $n: $(tail -n 3 "$T/writer$n.out")"
	kill -KILL "${WRITER_PID[$n]}"
	wait "${WRITER_PID[$n]}" 2>/dev/null
	writer_start $n
	kills=$((kills + 1))
	got=$("$WRITER" check "$T/m1/db" "$T"/commits? 2>&1) || fail "after $kills kills: $got"
done
[ -e "$T/m1/db-shm" ] || fail "no -shm: it was not WAL"
for n in 1 2 3 4; do kill -TERM "${WRITER_PID[$n]}"; done
for n in 1 2 3 4; do wait "${WRITER_PID[$n]}" || fail "writer $n: $(tail -n 3 "$T/writer$n.out")"; done
grep -hv ' 0 errors' "$T"/writer?.out && fail "a writer saw errors"
got=$("$WRITER" check "$T/m1/db" "$T"/commits? 2>&1) || fail "at the end: $got"
[ ! -e "$T/m1/db-wal" ] || fail "the last one that closed left the WAL"
say "$kills writers killed: $got"
unmount 1
mount_embedded "$T/store"
got=$("$WRITER" check "$T/m1/db" "$T"/commits? 2>&1) || fail "mounted again: $got"
