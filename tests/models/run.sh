#!/bin/bash
# Exhaustive models of the protocol, checked with spin. Prints a table: the full rules, which must hold in
# every state within the bounds, and each rule left out, where a violation must be found.
#
#   tests/models/run.sh           all
#   SHORT=1 tests/models/run.sh   what fits into a minute
#   DEEP=1 tests/models/run.sh    with answers that come late, too: more than 28 million states, 16 GiB
#   tests/models/run.sh --trace MODEL [-DNAME...]   the shortest way to a violation, step by step
#
# Full rules are searched depth first to the end, all states kept, nothing hashed away; violations breadth
# first, so that the trail is the shortest. Exit: 0 all as expected, 1 not, 77 spin is missing.
# time-limit: 3600
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}
[[ $build == /* ]] || build=$top/$build
work=$build/models
short=${SHORT:-}
failures=0

command -v spin >/dev/null || { echo "spin is missing; next: make deps"; exit 77; }
mkdir -p "$work"

# $1: directory, $2: model, $3: flags for the compiler, rest: -D for the model. Makes $work/$1/pan.
make_checker() {
	local dir=$work/$1 model=$2 flags=$3
	shift 3
	rm -rf "$dir"
	mkdir -p "$dir"
	(cd "$dir" && spin -a "$@" "$top/tests/models/$model.pml" >spin.log 2>&1 &&
		# Generated code is not ours: no warnings. Memory in MiB.
		gcc -w $flags -DSAFETY -DNOFAIR -DNOREDUCE -DMEMLIM=${MEMLIM:-6000} -o pan pan.c \
			>gcc.log 2>&1) ||
		{ echo "cannot make the checker of $model; see $dir/spin.log"; exit 1; }
}

number() { # FILE PATTERN: the number in front of or behind it
	grep -m1 -oE "$2" "$1" | grep -oE '[0-9]+' | head -1
}

row() { # NAME WHAT EXPECTED RESULT STATES DEPTH SECONDS
	printf '%-14s %-52s %10s %6s %8s  %s\n' "$1" "$2" "$5" "$6" "$7" "$4"
	[ "$3" = "$4" ] || { failures=$((failures + 1)); echo "  ... but should be: $3"; }
}

# NAME WHAT hold|fail MODEL -D...
check() {
	local name=$1 what=$2 want=$3 model=$4 out start result states depth
	shift 4
	start=$(date +%s%N)
	# Short searches are over before an optimising compiler is.
	make_checker "$name" "$model" "$([ "$want" = hold ] && echo -O2 || echo "-DBFS ${OPTIMIZE:--O0}")" "$@"
	out=$work/$name/out
	(cd "$work/$name" && ./pan -m5000000 -w$([ "$want" = hold ] && echo 24 || echo 20) >out 2>&1)
	states=$(number "$out" '[0-9]+ states, stored')
	depth=$(number "$out" 'depth reached [0-9]+')
	if grep -qE 'errors: 0$' "$out" && ! grep -qE 'not completed|max search depth too small|out of memory' "$out"; then
		result="holds in every state"
	elif grep -qE 'precondition false|assertion violated' "$out"; then
		result="violation found"
	else
		result="not finished"
	fi
	row "$name" "$what" "$([ "$want" = hold ] && echo "holds in every state" || echo "violation found")" \
		"$result" "${states:--}" "${depth:--}" \
		"$(awk "BEGIN { printf \"%.1f s\", ($(date +%s%N) - $start) / 1e9 }")"
}

trace() { # MODEL -D...
	local model=$1
	shift
	make_checker trace "$model" "-DBFS -O2" "$@"
	(cd "$work/trace" && ./pan -m5000000 -w24 >out 2>&1
	[ -f "$model.pml.trail" ] || { echo "no violation"; exit 0; }
	./pan -r "$model.pml.trail" 2>&1 | grep -vE '^$|D_STEP|^#proc|^spin:|^global|end state')
}

if [ "${1:-}" = --trace ]; then
	shift
	trace "$@"
	exit
fi

gate() { # NAME WHAT hold|fail -D...
	check "$1" "$2" "$3" lease_gate "${@:4}"
}

flip() {
	check "$1" "$2" "$3" snapshot_flip "${@:4}"
}

printf '%-14s %-52s %10s %6s %8s  %s\n' model "what is checked, or left out" states depth time result
flip flip "snapshot, flip and log cut: all rules" hold
flip cut-applied "cut by what is applied, not what is durable" fail -DCUT_APPLIED
flip cut-unsealed "cut by an image that is not sealed yet" fail -DCUT_UNSEALED
flip seal-unsynced "an image gets its name before its bytes are synced" fail -DSEAL_UNSYNCED
flip delete-first "segments go before the superblock says so" fail -DDELETE_FIRST
flip flip-unsynced "the superblock names a state that is not synced" fail -DFLIP_UNSYNCED
flip no-recheck "an image is installed though the log passed it" fail -DNO_RECHECK
flip split-flip "state and log change in two writes" fail -DSPLIT_FLIP

if [ -n "$short" ]; then
	gate gate "leases and the gate, 3 nodes: all rules" hold -DRATES=212
else
	for rates in 212 112 221 122 121; do
		gate "gate-$rates" "leases and the gate, 3 nodes, clock rates $rates" hold -DRATES=$rates
	done
	[ -z "${DEEP:-}" ] || MEMLIM=16000 gate gate-slow "... answers late as well" hold -DRATES=212 -DSLOW_ANSWERS
	gate gate-bloc "... 5 nodes, three of them at one" hold -DRATES=212 -DBLOC
fi
gate no-gate "4: commits do not wait for holders" fail -DNO_GATE -DRATES=212
gate no-wait "5: a new leader does not wait for old grants" fail -DNO_WAIT -DRATES=212
gate no-least "3: a grant has no least index" fail -DNO_LEAST -DRATES=212
gate from-receipt "3: a lease counts from when the grant came" fail -DFROM_RECEIPT -DRATES=212
gate drift "clocks outside the assumed bound" fail -DDRIFT -DRATES=414
gate no-drop "6: a lease outlives its term" fail -DNO_DROP -DRATES=212
gate no-block "7: pending entries do not block reads" fail -DNO_BLOCK -DRATES=212
gate early-grant "3: a grant before a commit of the own term" fail -DEARLY_GRANT -DRATES=212
gate free-grant "3: grants outlive the leader's own lease (5 nodes)" fail -DFREE_GRANT -DBLOC -DRATES=212
if [ -z "$short" ]; then
	OPTIMIZE=-O2
	gate echo-receipt "2: the leader's lease counts from when answers came" fail -DECHO_RECEIPT -DRATES=112
	gate no-proven "7: any log that is long enough will do (3 terms)" fail -DNO_PROVEN -DRATES=111 \
		-DTERMS=3 -DMIXED -DANY_LEADER
fi

[ $failures = 0 ] || { echo "$failures models did not do what they should"; exit 1; }
