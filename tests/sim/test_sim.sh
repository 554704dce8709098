#!/bin/bash
# time-limit: 900
# Whole clusters under faults, by seed: the kept seeds, then new ones for a while; and that a seed
# replays to the same digest. SEED=n runs that one alone; SEEDS=n as many from FROM (1) on; SHORT=1 is
# the form for CI, by time.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
sim=${BUILD:-$top/build}/tests/sim/sim

if [ -n "${SEED:-}" ]; then
	exec "$sim" --seed "$SEED"
fi

first=$("$sim" --seed 1 | tail -1)
again=$("$sim" --seed 1 | tail -1)
if [ "$first" != "$again" ] || [ -z "$first" ]; then
	printf 'a seed does not replay:\n%s\n%s\n' "$first" "$again"
	exit 1
fi

# Seeds that once failed; each has its line of why.
failed=0
while read -r seed _; do
	case $seed in '' | '#'*) continue ;; esac
	"$sim" --from "$seed" --seeds 1 || failed=1
done <"$top/tests/sim/seeds.txt"
[ $failed = 0 ] || exit 1

if [ -n "${SEEDS:-}" ]; then
	exec "$sim" --from "${FROM:-1}" --seeds "$SEEDS" --go-on --marks
fi
exec "$sim" --from "${FROM:-1}" --seeds 1000000 --seconds "$([ -n "${SHORT:-}" ] && echo 60 || echo 180)"
