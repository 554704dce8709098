#!/bin/bash
# bench/compare measures, and says so: a table with ratios, JSON with single values, memory; nothing is left behind.
. "$(dirname "$0")/../lib/cluster.sh"
get=$BUILD/tests/cluster/json_get
mkdir "$T/tmp"
TMPDIR=$T/tmp BUILD=$BUILD "$SRC/bench/compare" --quick --places=leader,ext4 --works=small,kv,raw --json="$T/out.json" \
	>"$T/out" 2>"$T/err" || fail "exit $?: $(tail -5 "$T/err")"
for name in create_1 stat_cold_1 rename_1 unlink_1 mkdir_1; do
	grep -qE "^$name +/s +[0-9]" "$T/out" || fail "no $name: $(cat "$T/out")"
done
grep -qE "^kv_put_64 +/s +[0-9].* -$" "$T/out" || fail "no kv: $(cat "$T/out")"
grep -qE "^raw_fdatasync +/s +- +[0-9]" "$T/out" || fail "no raw: $(cat "$T/out")"
grep -qE "^node 1: .*VmRSS" "$T/out" || fail "no memory: $(cat "$T/out")"
[ "$("$get" values 0 place <"$T/out.json")" = leader ] || fail "JSON: $(head -c 300 "$T/out.json")"
[ "$("$get" values 0 work <"$T/out.json")" = create_1 ] || fail "JSON: $(head -c 300 "$T/out.json")"
[ -z "$(ls -A "$T/tmp")" ] || fail "left behind: $(ls "$T/tmp")"
"$SRC/bench/compare" --places=mars >/dev/null 2>"$T/err"
[ $? = 2 ] && grep -q "no place 'mars'" "$T/err" || fail "an unknown place: $(cat "$T/err")"
say "$(grep '^create_1' "$T/out")"
