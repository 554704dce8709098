#!/bin/bash
# Every verb's -w json is JSON and says what the text says; status tells why a node is missing.
. "$(dirname "$0")/../lib/cluster.sh"
get=$BUILD/tests/cluster/json_get

# json WANT KEY... -- VERB...: that value is in the verb's answer, which goes to $T/out.
json() {
	local want=$1 keys=() got
	shift
	while [ "$1" != -- ]; do keys+=("$1"); shift; done
	shift
	quorumfs "$@" -w json >"$T/out" 2>"$T/err" || fail "exit $?: $*: $(cat "$T/err")"
	got=$("$get" "${keys[@]}" <"$T/out") || fail "no value at '${keys[*]}' of: $* -> $(cat "$T/out")"
	[ "$got" = "$want" ] || fail "'${keys[*]}' is '$got', not '$want': $*"
}

cluster() { # ADDRESSES: how many
	local n
	for n in $(seq "$1"); do echo "127.0.0.1:$(free_port)"; done
}

json 1 node -- init "$T/one"
[ "$("$get" cluster <"$T/out" | tr -d '\n' | wc -c)" = 32 ] || fail "init names no cluster"
json 00112233445566778899aabbccddeeff cluster -- init "$T/two" --cluster=00112233445566778899AABBCCDDEEFF
# shellcheck disable=SC2046
json 3 nodes 2 id -- cluster start "$T/base" $(cluster 3)
for n in 0 1 2; do
	pid=$("$get" nodes $n pid <"$T/out")
	kill -0 "$pid" || fail "no process $pid"
	PID[$((n + 1))]=$pid
done
QUORUMFS_NODE=$T/base/n1
export QUORUMFS_NODE
json healthy health -- status --wait
leader=$("$get" leader <"$T/out")
json color key -- kv put color blue
json blue value -- kv get color
json 8 length -- kv append color red1
json bluered1 value -- kv get color
printf 'a\377\000b' | quorumfs kv put bytes >/dev/null || fail "kv put of bytes"
json Yf8AYg== value_base64 -- kv get bytes
printf 'b\303\274cher\000' | quorumfs kv put text >/dev/null || fail "kv put of UTF-8"
quorumfs kv get text -w json | "$get" value >"$T/text" || fail "UTF-8 is no JSON"
grep -q 'bücher' "$T/text" || fail "UTF-8 came back as $(cat "$T/text")"
json color key -- kv delete color
quorumfs kv get color -w json >"$T/out" 2>"$T/err" && fail "a key that was deleted is there"
[ -s "$T/out" ] && fail "an error printed something to standard output"
json true digest_matches -- check --tree
json true ok -- snapshot create

to=$((leader % 3 + 1))
export QUORUMFS_NODE=$T/base/n$leader
json $to to -- leader move $to
json true ok -- status --wait
for i in $(seq 100); do
	[ "$(quorumfs status -w json --node "$T/base/n$to" | "$get" leader)" = $to ] && break
	sleep 0.1
done
say "leadership moved to $to"

# A node of another cluster at an address of ours.
victim=$leader
address=$(quorumfs status -w json --node "$T/base/n$to" | "$get" members $((victim - 1)) address)
kill -TERM "${PID[$victim]}"
for i in $(seq 100); do kill -0 "${PID[$victim]}" 2>/dev/null || break; sleep 0.1; done
unset "PID[$victim]"
quorumfsd "$T/two" --listen="$address" >"$T/two.log" 2>&1 &
PID[9]=$!
export QUORUMFS_NODE=$T/base/n$to
for i in $(seq 100); do
	quorumfs status -w json >"$T/out"
	"$get" members $((victim - 1)) last_error <"$T/out" | grep -q "another cluster" && break
	sleep 0.1
done
quorumfs status >"$T/out"
[ $? = 7 ] || fail "a missing node is not told by the exit code"
awk -v v="$victim" '$1 == v { getline; print }' "$T/out" | grep -q "belongs to another cluster" ||
	fail "the table does not say why node $victim is missing: $(cat "$T/out")"
say "ok: $(grep "another cluster" "$T/out")"
kill -TERM "${PID[9]}"
wait "${PID[9]}"
unset "PID[9]"

json 2 stopped -- cluster stop "$T/base"
PID=()
