#!/bin/bash
# tests/sabotage/run.sh - does the simulator notice when a rule is broken?
#
# Applies each tests/sabotage/*.patch alone to a copy of the tree, builds the simulator and runs seeds until one
# fails. What no seed catches and harms the store (store-*) is left to its crash test: some of its rules only
# guard against what its callers, too, see to. A sabotage that nothing catches means that the tests lack
# something: exit code 1.
set -u
usage() {
	cat <<EOF
usage: tests/sabotage/run.sh [--seeds=N] [--from=N] [--jobs=N] [--json=FILE] [PATCH...]
  --seeds=N    seeds to try for each sabotage (default 8000)
  --from=N     first seed (default 1)
  --jobs=N     sabotages at the same time (default: processors)
  --json=FILE  the table as JSON too
  PATCH        names below tests/sabotage, with or without .patch (default: all)
exit codes: 0 all caught, 1 one was not or the unharmed tree fails, 2 usage
EOF
}
cd "$(dirname "$0")/../.." || exit 2
build=$(realpath -m "${BUILD:-build}")
seeds=8000 from=1 jobs=$(nproc) json='' names=()
for arg in "$@"; do
	case $arg in
	--seeds=*) seeds=${arg#*=} ;;
	--from=*) from=${arg#*=} ;;
	--jobs=*) jobs=${arg#*=} ;;
	--json=*) json=$(realpath -m "${arg#*=}") ;;
	--help) usage && exit 0 ;;
	-*) usage >&2 && exit 2 ;;
	*) names+=("$(basename "${arg%.patch}")") ;;
	esac
done
[ ${#names[@]} -gt 0 ] || for p in tests/sabotage/*.patch; do names+=("$(basename "${p%.patch}")"); done
for name in "${names[@]}"; do
	[ -f "tests/sabotage/$name.patch" ] && continue
	echo "no such sabotage: '$name' (next: ls tests/sabotage)" >&2
	exit 2
done
work=$build/sabotage
rm -rf "$work/results"
mkdir -p "$work/results"
[ "$jobs" -le ${#names[@]} ] || jobs=${#names[@]}

sim() { # TREE SEEDS
	(cd "$1" && exec build/tests/sim/sim --from "$from" --seeds "$2")
}

# A seed that fails without harm, too, has caught nothing.
fails_unharmed() { # TREE SEED
	! (cd "$1" && ./sim.unharmed --from "$2" --seeds 1) >/dev/null 2>&1
}

make_sim() { # TREE LOG
	make -C "$1" BUILD="$1/build" sim "$1/build/tests/sim/test_store_crash" >"$2" 2>&1
}

# What the crash test of the store says: nothing, or the claim that failed first and the stores until then.
store_test() { # TREE LOG
	(cd "$1" && SHORT=1 build/tests/sim/test_store_crash) 2>&1 | tee -a "$2" | awk '
		/cases so far$/ { cases = $1 }
		/^\[  FAILED  \]/ { print cases "\t" $4; exit }
		/[Aa]ssertion/ { print cases + 1 "\t" $0; exit }'
}

# A fresh copy of what git knows and of what was changed since, built unharmed.
prepare() { # TREE
	rm -rf "$1"
	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp -p --parents -t "$1" || return
	make_sim "$1" "$1.log" || { tail -20 "$1.log"; return 1; }
	cp "$1/build/tests/sim/sim" "$1/sim.unharmed"
}

# One line: name, verdict, by what, seeds or cases needed, seconds, what was seen.
try() { # TREE NAME
	local tree=$1 name=$2 patch=tests/sabotage/$2.patch out verdict=missed by=sim needed=$seeds why='' t0=$SECONDS
	if ! patch -s -p1 -d "$tree" --no-backup-if-mismatch <"$patch" >"$work/results/$name.log" 2>&1; then
		verdict=does-not-apply needed=0
	elif ! make_sim "$tree" "$work/results/$name.log"; then
		verdict=does-not-build needed=0
	else
		out=$(sim "$tree" "$seeds" 2>&1)
		if [ $? -ne 0 ]; then
			verdict=caught
			needed=$(sed -n 's/^seed \([0-9]*\) failed.*/\1/p' <<<"$out" | head -1)
			why=$(sed -n 's/^seed [0-9]* failed: *//p' <<<"$out" | head -1)
			! fails_unharmed "$tree" "${needed:-$from}" || verdict=fails-unharmed
			needed=$((${needed:-$from} - from + 1))
		fi
		printf '%s\n' "$out" >>"$work/results/$name.log"
		if [ "$verdict" = missed ] && [[ $name == store-* ]]; then
			out=$(store_test "$tree" "$work/results/$name.log")
			[ -z "$out" ] || { verdict=caught by=store needed=${out%%$'\t'*} why=${out#*$'\t'}; }
		fi
	fi
	patch -s -R -p1 -d "$tree" --no-backup-if-mismatch <"$patch" >/dev/null 2>&1
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$verdict" "$by" "$needed" $((SECONDS - t0)) "${why:0:90}" |
		tee "$work/results/$name.line"
}

slot() { # K: every jobs-th sabotage
	local tree=$work/tree$1 i
	prepare "$tree" || { echo "the unharmed tree does not build"; touch "$work/results/broken"; return; }
	for ((i = $1; i < ${#names[@]}; i += jobs)); do try "$tree" "${names[i]}"; done
}

for ((k = 0; k < jobs; k++)); do slot $k & done
wait
[ ! -e "$work/results/broken" ] || exit 1

caught=0
printf '\n%-40s %-15s %-6s %8s %6s  %s\n' sabotage verdict by needed secs 'seen first'
for name in "${names[@]}"; do
	IFS=$'\t' read -r _ verdict by needed secs why <"$work/results/$name.line"
	printf '%-40s %-15s %-6s %8s %6s  %s\n' "$name" "$verdict" "$by" "$needed" "$secs" "$why"
	[ "$verdict" != caught ] || caught=$((caught + 1))
done
if [ -n "$json" ]; then
	for name in "${names[@]}"; do cat "$work/results/$name.line"; done | awk -F'\t' '
		BEGIN { print "[" }
		{ gsub(/["\\]/, "", $6)
		  printf "%s{\"sabotage\":\"%s\",\"verdict\":\"%s\",\"by\":\"%s\",\"needed\":%d,\"seconds\":%d,\"seen\":\"%s\"}", n++ ? ",\n" : "", $1, $2, $3, $4, $5, $6 }
		END { print "\n]" }' >"$json"
fi
echo "$caught of ${#names[@]} sabotages caught"
[ "$caught" -eq ${#names[@]} ]
