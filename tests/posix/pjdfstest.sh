#!/bin/bash
# pjdfstest on real mounts: one node, then three nodes with every other file through another node's mount.
#
#   pjdfstest.sh [FILE-PREFIX...]     only tests whose names begin so, e.g. chmod/ open/00; or ONLY
#
# PJDFSTEST_DIR names a built checkout of pjd/pjdfstest (the program beside its tests/); its code stays outside
# of this tree. Skipped (exit 77) where there is none. NODES: cluster sizes, default "1 3"; JOBS: files at a
# time, default 2; ON: a directory of any other file system, to compare with.
# time-limit: 3600
[ -x "${PJDFSTEST_DIR:-}/pjdfstest" ] && [ -d "$PJDFSTEST_DIR/tests" ] || {
	echo "SKIP: PJDFSTEST_DIR='${PJDFSTEST_DIR:-}' holds no built pjdfstest"
	exit 77
}
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/suite.sh"
for tool in openssl perl; do
	command -v $tool >/dev/null || { echo "SKIP: pjdfstest needs $tool"; exit 77; }
done

PJD=$(cd "$PJDFSTEST_DIR" && pwd)
WANTED=("$@")
[ $# -gt 0 ] || read -ra WANTED <<<"${ONLY:-}"

list_tests() {
	local prefix
	cd "$PJD/tests" || exit 1
	for prefix in "${WANTED[@]:-}"; do find . -name '*.t' -printf '%P\n' | grep "^$prefix"; done | sort
}

# One file in a fresh directory; a line "passed failed expected planned-but-missing NAME".
run_file() { # TEST DIRECTORY OUTPUT
	local dir
	dir=$(mktemp -d "$2/t.XXXXXX") || exit 1
	chmod 755 "$dir"
	(cd "$dir" && timeout 600 bash "$PJD/tests/$1") >"$3" 2>&1 </dev/null
	rm -rf "$dir" || echo "not ok - cannot remove what $1 left" >>"$3"
	awk -v name="$1" '
		/^1\.\.[0-9]+/ { sub(/^1\.\./, ""); plan = $1 + 0; planned = 1; next }
		# A word of TAP: the author of the check marks it as bound to fail for now.
		/^ok/ { if (/# TODO/) expected++; else pass++ }
		/^not ok/ { if (/# TODO/) expected++; else fail++ }
		END {
			missing = planned ? plan - pass - fail - expected : 1
			printf "%d %d %d %d %s\n", pass, fail, expected, missing < 0 ? -missing : missing, name
		}' "$3"
}

run_on() { # TITLE DIRECTORY...
	local title=$1 i=0 job t
	shift
	local dirs=("$@") out=$T/out.$RANDOM
	mkdir -p "$out"
	list_tests >"$out/list"
	for ((job = 0; job < JOBS; job++)); do
		i=0
		while read -r t; do
			[ $((i / ${#dirs[@]} % JOBS)) = $job ] &&
				run_file "$t" "${dirs[i % ${#dirs[@]}]}" "$out/${t//\//_}.out"
			i=$((i + 1))
		done <"$out/list" >"$out/result.$job" &
		workers[job]=$!
	done
	wait "${workers[@]}"
	cat "$out"/result.* | awk -v title="$title" '
		{ p += $1; f += $2; t += $3; m += $4; n++ }
		$2 || $4 { bad = bad sprintf("  %s: %d failed, %d missing\n", $5, $2, $4) }
		END {
			printf "%s%s: %d files, %d checks, %d failed, %d missing, %d expected to fail\n",
				bad, title, n, p + f + t, f, m, t
			exit f > 0 || m > 0 || n == 0
		}' && return 0
	grep -ah '^not ok' "$out"/*.out | grep -v '# TODO' | head -n 50
	return 1
}

JOBS=${JOBS:-2}
workers=()
suite_run pjdfstest
