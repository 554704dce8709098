#!/bin/bash
# time-limit: 1800
# PostgreSQL on a mount: initdb, pgbench while leaders are killed and stopped, a crash of the server, and the
# same data through another node's mount. No transaction may fail, and the sums must agree. DURATION: seconds
# of pgbench (300; 8 in the short form). Skipped where PostgreSQL is not installed.
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/source.sh"

DURATION=${DURATION:-$((SHORT == 1 ? 8 : 300))}
SCALE=${SCALE:-$((SHORT == 1 ? 1 : 10))}
PG=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$PG/initdb" ] && [ -x "$PG/postgres" ] && [ -x "$PG/pgbench" ] && id postgres >/dev/null 2>&1 ||
	{ echo "SKIP: no PostgreSQL; next: apt-get install postgresql"; exit 77; }

cluster_init 3
nodes_start
wait_leader
chmod 755 "$T" # the server is postgres, and so is what reads its logs
mkdir "$T/sock" "$T/pglog"
chown postgres: "$T/sock" "$T/pglog"
M=$(follower) # the first leader to die is not the mount's own node; later ones may be
mount_node "$M" allow_other

as_postgres() {
	(cd / && setpriv --reuid=postgres --regid=postgres --init-groups env -i PATH="$PG:/usr/bin:/bin" \
		PGHOST="$T/sock" PGDATABASE=postgres PGUSER=postgres LC_ALL=C "$@")
}

pg_start() { # N: on the mount of node N
	PGDATA=$T/m$1/pg
	as_postgres pg_ctl -D "$PGDATA" -w -t 120 -l "$T/pglog/server" \
		-o "-k $T/sock -c listen_addresses='' -c shared_buffers=16MB" start >/dev/null ||
		fail "the server does not start: $(tail -n 20 "$T/pglog/server")"
}

pg_stop() { # MODE
	as_postgres pg_ctl -D "$PGDATA" -w -t 120 -m "$1" stop >/dev/null || fail "the server does not stop ($1)"
}
CLEANUP+=('[ -n "${PGDATA:-}" ] && as_postgres pg_ctl -D "$PGDATA" -m immediate stop >/dev/null 2>&1')
CLEANUP+=('tail -n 20 "$T/pglog"/* >"$T/pg.log" 2>/dev/null')

ask() { as_postgres psql -qAtX -v ON_ERROR_STOP=1 -c "$1"; }

sound() { # every balance is the sum of what was moved, and every index leads to its rows
	local got
	got=$(ask "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
		AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)") || fail "sums"
	[ "$got" = t ] || fail "the balances do not agree after $1"
	as_postgres pg_amcheck --install-missing --heapallindexed >"$T/step.out" 2>&1 ||
		fail "pg_amcheck after $1: $(cat "$T/step.out")"
	ask "SELECT count(*) FROM pgbench_history"
}

mkdir "$T/m$M/pg"
chown postgres: "$T/m$M/pg"
chmod 700 "$T/m$M/pg"
step "initdb" as_postgres initdb -k -D "$T/m$M/pg"
pg_start "$M"
step "pgbench -i -s $SCALE" as_postgres pgbench -q -i -s $SCALE

as_postgres pgbench -n -c 4 -j 2 -P 5 --max-tries=1 -T "$DURATION" >"$T/bench.out" 2>"$T/bench.err" &
bench=$!
changes=0 own=0
while kill -0 $bench 2>/dev/null; do
	sleep $((SHORT == 1 ? 2 : 10))
	l=$(leader) || continue
	kill -0 $bench 2>/dev/null || break
	[ "$l" = "$M" ] && own=$((own + 1))
	if [ $((changes % 2)) = 0 ]; then node_kill "$l"; else node_stop "$l"; fi
	sleep 1
	node_start "$l"
	changes=$((changes + 1))
done
wait $bench || fail "pgbench: $(cat "$T/bench.err")"
[ $changes -ge 1 ] || fail "no leader changed"
grep -qx 'number of failed transactions: 0 (0.000%)' "$T/bench.out" || fail "$(cat "$T/bench.out")"
grep -E 'ERROR|FATAL|PANIC|could not' "$T/pglog/server" && fail "the server's log"
done_count=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$T/bench.out")
rows=$(sound "pgbench") || exit 1
[ "$rows" = "$done_count" ] || fail "$done_count transactions, $rows rows of history"
say "pgbench: $done_count transactions, $(sed -n 's/^\(tps = [0-9]*\).*/\1/p;s/^\(latency average.*\)/\1,/p' "$T/bench.out" | tr '\n' ' ')$changes leaders changed, $own of them the mount's own node"

as_postgres pgbench -n -c 4 -j 2 -T 60 >/dev/null 2>"$T/bench.err" &
bench=$!
sleep 2
pg_stop immediate
wait $bench
pg_start "$M"
after=$(sound "a crash of the server") || exit 1
[ "$after" -gt "$rows" ] || fail "nothing was committed before the crash"
pg_stop fast
as_postgres pg_checksums --check -D "$PGDATA" >"$T/step.out" 2>&1 || fail "pg_checksums: $(cat "$T/step.out")"
unmount "$M"

N=$((M % 3 + 1))
mount_node "$N" allow_other
pg_start "$N"
[ "$(sound "another mount")" = "$after" ] || fail "another mount shows other rows"
pg_stop fast
unmount "$N"
say "after a crash, and through another mount: $after rows"
digests_equal
