#!/bin/bash
# Renews the kept corpus: the fewest inputs that reach what seeds and campaigns reached, KEEP at most.
#
#   tests/fuzz/keep.sh [TARGET...]
#
# Environment: BUILD (of the fuzz programs), KEEP (default 40: small files first).
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:?BUILD is not set}
keep=${KEEP:-40}
cd "$top" || exit 1

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
	for program in "$build"/tests/fuzz/fuzz_*; do
		targets+=("${program##*/fuzz_}")
	done
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$build/tests/fuzz/make_seeds" "$scratch/seeds" || exit 1

for name in "${targets[@]}"; do
	all=("$scratch/seeds/$name" "tests/fuzz/corpus/$name" "$build/corpus/$name")
	mkdir -p "${all[@]}" "$scratch/new/$name"
	TMPDIR=$scratch "$build/tests/fuzz/fuzz_$name" -set_cover_merge=1 -max_len=4096 \
		"$scratch/new/$name" "${all[@]}" >"$scratch/log" 2>&1 || {
		cat "$scratch/log" >&2
		exit 1
	}
	rm -f "tests/fuzz/corpus/$name"/*
	find "$scratch/new/$name" -type f -printf '%s %f\n' | sort -n | head -n "$keep" |
		while read -r _ file; do
			cp "$scratch/new/$name/$file" "tests/fuzz/corpus/$name/"
		done
	# Seeds stay by name: they say what the format is.
	cp -n "$scratch/seeds/$name"/* "tests/fuzz/corpus/$name/" 2>/dev/null
	printf '%-12s %4s of %4s inputs, %s\n' "$name" "$(find "tests/fuzz/corpus/$name" -type f | wc -l)" \
		"$(find "${all[@]}" -type f 2>/dev/null | wc -l)" "$(du -sh --apparent-size "tests/fuzz/corpus/$name" | cut -f1)"
done
