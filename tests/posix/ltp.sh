#!/bin/bash
# What of the Linux Test Project is about files, on real mounts: of one node, then of three.
#
#   ltp.sh [REGEX...]     only tests whose names match one of them, e.g. '^fcntl' '^mmap1[0-9]'; or ONLY
#
# LTP_DIR names a built checkout of linux-test-project/ltp (runtest/ and testcases/); its code stays outside of
# this tree. Skipped (exit 77) where there is none. tests/posix/ltp.list says what is run and what is left out.
# NODES: cluster sizes, default "1 3"; JOBS: tests at a time, default 2; TEST_SECONDS: longest time of one test,
# default 600; ON: a directory of any other file system, to compare with; REPORT: a file for one line a test
# (verdict, name, seconds, why).
# time-limit: 14400
[ -d "${LTP_DIR:-}/runtest" ] && [ -d "$LTP_DIR/testcases" ] || {
	echo "SKIP: LTP_DIR='${LTP_DIR:-}' holds no built checkout of the Linux Test Project"
	exit 77
}
list=$(cd "$(dirname "$0")" && pwd)/ltp.list
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/suite.sh"

LTP=$(cd "$LTP_DIR" && pwd)
WANTED=("$@")
[ $# -gt 0 ] || read -ra WANTED <<<"${ONLY:-}"
SECONDS_EACH=${TEST_SECONDS:-600}
JOBS=${JOBS:-2}
REPORT=${REPORT:-$T/report}

# Lines "name command..." of all that the list names, in LTP's order; scratch files where the test is.
list_tests() {
	local file
	for file in $(awk '/^[a-z]/ && !seen[$1]++ { print $1 }' "$list"); do
		awk -v file="$file" -v wanted="$(IFS='|'; echo "${WANTED[*]:-.}")" '
			NR == FNR { if ($1 == file) like[++n] = $2; next }
			/^[^#]/ && $1 ~ wanted { for (i = 1; i <= n; i++) if ($1 ~ like[i]) { print; break } }
		' "$list" "$LTP/runtest/$file"
	done | awk '!seen[$1]++ { gsub("/tmp/", "$TMPDIR/"); print }'
}

# Why the test is left out; nothing: it is run.
left_out() { # NAME PROGRAM
	local source
	awk -v name="$1" '/^- / && name ~ $2 { $1 = $2 = ""; sub(/^ +/, ""); print; exit }' "$list"
	source=${2%_64} source=$(find "$LTP/testcases" -name "${source%_16}.c" -print -quit)
	[ -z "$source" ] || ! grep -qE '\.(all_filesystems|mount_device|needs_device|format_device|needs_rofs) *=|tst_acquire_device|tst_mkfs' "$source" ||
		echo "makes a file system of its own"
}

# The first complaint.
complaint() { # OUTPUT
	{ grep -aE 'TFAIL|TBROK' "$1" || grep -a TCONF "$1" || tail -n 1 "$1"; } | head -n 1 |
		sed -E 's/^.*(TFAIL|TBROK|TCONF)/\1/' | cut -c1-160
}

# A line "verdict name seconds why" in the report.
run_test() { # DIRECTORY NAME COMMAND
	local dir ret verdict why out=$T/out.$2 program start=$SECONDS
	program=$(grep -oE '[A-Za-z0-9_.]+' <<<"${3#export LTPROOT; }" | head -n 1)
	case $3 in "mkfifo "*) program=growfiles ;; TMPFILE*) program=mmapstress07 ;; esac
	why=$(left_out "$2" "$program" | head -n 1)
	[ -z "$why" ] || { printf 'left-out\t%s\t0\t%s\n' "$2" "$why" >>"$REPORT"; return; }
	command -v "$program" >/dev/null || { printf 'left-out\t%s\t0\tnot built here\n' "$2" >>"$REPORT"; return; }
	dir=$(mktemp -d "$1/ltp.XXXXXX") || exit 1
	chmod 777 "$dir"
	(cd "$dir" && TMPDIR=$dir timeout -k 10 "$SECONDS_EACH" bash -c "$3") >"$out" 2>&1 </dev/null
	ret=$?
	why=$(complaint "$out")
	case $ret in
	0) verdict=passed why= ;;
	32) verdict=skipped ;;
	124 | 137) verdict=failed why="no end within $SECONDS_EACH s" ;;
	*) verdict=failed why="exit $ret: $why" ;;
	esac
	rm -rf "$dir" || { verdict=failed why="cannot remove what it left"; }
	printf '%s\t%s\t%s\t%s\n' $verdict "$2" $((SECONDS - start)) "$why" >>"$REPORT"
	[ $verdict != failed ] || say "$2 failed: $why"
	[ $verdict = failed ] || rm -f "$out"
}

run_share() { # JOB DIRECTORY...: every JOBS-th test, in each directory in turn
	local job=$1 i=0 name command
	shift
	local dirs=("$@")
	while read -r name command <&3; do
		[ $((i / ${#dirs[@]} % JOBS)) != "$job" ] || run_test "${dirs[i % ${#dirs[@]}]}" "$name" "$command"
		i=$((i + 1))
	done 3<"$T/list"
}

run_on() { # TITLE DIRECTORY...
	local title=$1 job workers=()
	shift
	: >"$REPORT"
	list_tests >"$T/list"
	[ -s "$T/list" ] || fail "no test has such a name"
	for ((job = 0; job < JOBS; job++)); do
		run_share "$job" "$@" &
		workers+=($!)
	done
	wait "${workers[@]}"
	awk -F'\t' -v title="$title" '
		{ n[$1]++ }
		$1 == "skipped" || $1 == "left-out" { why[$4]++ }
		END {
			for (w in why) printf "  not run, %d: %s\n", why[w], w
			printf "%s: %d passed, %d failed, %d skipped, %d left out\n",
				title, n["passed"], n["failed"], n["skipped"], n["left-out"]
			exit n["failed"] > 0 || n["passed"] == 0
		}' "$REPORT"
}

# As `make install` would lay it out: tests copy their helpers from there.
mkdir -p "$T/ltp/testcases/bin"
find "$LTP/testcases" -type f \( -perm -100 -o -name '*.sh' \) -exec ln -sf -t "$T/ltp/testcases/bin" {} +
PATH=$T/ltp/testcases/bin:$PATH
# Some tests become another user, so that all above their directories must be passable.
chmod 755 "$T"
export PATH LTPROOT=$T/ltp LTP_COLORIZE_OUTPUT=n KCONFIG_SKIP_CHECK=1
export LTP_TIMEOUT_MUL=$((SECONDS_EACH / 30 + 1)) # of 30 s, which not every file system takes for 20000 files
# On a machine that is busy with the tests themselves, a call shall take long rather than fail.
suite_run LTP hard
