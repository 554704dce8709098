# lockers.sh - sourced after cluster.sh: processes that lock files (tests/posix/locker.c), by name.
#
#   locker NAME                  starts one; ${LOCKER[NAME]} is its pid
#   tell NAME COMMAND...         sends a command, and does not wait for the answer
#   heard NAME SECONDS           prints the answer; "(nothing)" when none comes in that time
#   ask NAME COMMAND...          both; ten seconds
#   expect WANT NAME COMMAND...  ask, and fail unless the answer is that
#   locker_kill NAME             SIGKILL

declare -A LOCKER LOCKER_IN LOCKER_OUT

locker() {
	local name=$1 in out
	mkfifo "$T/$name.in" "$T/$name.out"
	"$BUILD/tests/posix/locker" <"$T/$name.in" >"$T/$name.out" &
	LOCKER[$name]=$!
	exec {in}>"$T/$name.in" {out}<"$T/$name.out"
	LOCKER_IN[$name]=$in
	LOCKER_OUT[$name]=$out
	rm "$T/$name.in" "$T/$name.out"
}

tell() {
	local name=$1
	shift
	echo "$*" >&"${LOCKER_IN[$name]}"
}

heard() {
	local line
	if read -r -t "$2" line <&"${LOCKER_OUT[$1]}"; then echo "$line"; else echo "(nothing)"; fi
}

ask() {
	tell "$@"
	heard "$1" 10
}

expect() {
	local want=$1 got
	shift
	got=$(ask "$@")
	[ "$got" = "$want" ] || fail "$*: '$got', not '$want'"
}

locker_kill() {
	kill -KILL "${LOCKER[$1]}"
	wait "${LOCKER[$1]}" 2>/dev/null
	unset "LOCKER[$1]"
}
