#!/bin/bash
# Random reads, writes, truncates, fallocate, copy_file_range, mappings and O_DIRECT on one file: through one
# mount, then through three at once, each call by any of them (tests/posix/fsx.c). Then the two things that
# random calls do not meet: sizes of many entries, and what is refused.
#
# SEED, CALLS (default 2000 for each form; 300 when SHORT=1). DURATION: seconds for each form instead.
. "$(dirname "$0")/../lib/cluster.sh"
FSX=$BUILD/tests/posix/fsx
CALLS=${CALLS:-$([ "$SHORT" = 1 ] && echo 300 || echo 2000)}
SEED=${SEED:-1}
LENGTH=(-n "$CALLS")
[ -n "${DURATION:-}" ] && LENGTH=(-t "$DURATION")

cluster_init 3
nodes_start
wait_leader
chmod 755 "$T"
for n in 1 2 3; do mount_node $n; done
"$FSX" -s "$SEED" "${LENGTH[@]}" "$T/m1/one" || fail "one mount, SEED=$SEED"
"$FSX" -s "$SEED" "${LENGTH[@]}" "$T"/m{1,2,3}/three || fail "three mounts, SEED=$SEED"
[ "$(stat -f -c %T "$T")" = ext2/ext3 ] && { "$FSX" -s "$SEED" -n 300 "$T/plain" || fail "ext4 itself"; }
digests_equal

blocks() { stat -c %b "$1"; }
indexes() { # COMMAND...: how many entries it took
	local before after
	wait_equal
	before=$(status_of 1 last_index)
	"$@" || fail "failed: $*"
	wait_equal
	after=$(status_of 1 last_index)
	echo $((after - before))
}

# 100 MiB are more rows than one entry makes or drops.
fallocate -l 100M "$T/m1/big" || fail "fallocate of 100 MiB"
[ "$(stat -c '%s %b' "$T/m2/big")" = "104857600 204800" ] || fail "allocated: $(stat -c '%s %b' "$T/m2/big")"
printf x | dd of="$T/m2/big" bs=1 seek=70000000 conv=notrunc status=none
fallocate -p -o 0 -l 60M "$T/m3/big" || fail "punch of 60 MiB"
[ "$(stat -c '%s %b' "$T/m1/big")" = "104857600 81920" ] || fail "punched: $(stat -c '%s %b' "$T/m1/big")"
fallocate -z -o 1000 -l 90M "$T/m1/big" || fail "zero range of 90 MiB"
cmp -n 104857600 "$T/m2/big" /dev/zero || fail "zero range left bytes"
fallocate -n -l 200M "$T/m1/big" && [ "$(stat -c %s "$T/m2/big")" = 104857600 ] || fail "keep size"
truncate -s 0 "$T/m2/big" && [ "$(blocks "$T/m1/big")" = 0 ] || fail "truncated: $(blocks "$T/m1/big") blocks"
truncate -s 1T "$T/m1/big" && [ "$(blocks "$T/m2/big")" = 0 ] || fail "a file of holes has blocks"
say "many rows"

# Copies: the bytes stay where the nodes are, holes stay holes.
truncate -s 40M "$T/m1/src"
head -c 5000000 /dev/urandom | dd of="$T/m1/src" bs=1M seek=20 conv=notrunc iflag=fullblock status=none
took=$(indexes "$BUILD/tests/posix/calls" copy "$T/m1/src" "$T/m1/dst")
took=${took##*$'\n'}
[ "$took" -le 12 ] || fail "a copy of 5 MB took $took entries: its bytes came through the mount"
cmp "$T/m2/src" "$T/m3/dst" || fail "the copy differs"
[ "$(blocks "$T/m3/dst")" -le "$(($(blocks "$T/m2/src") + 64))" ] || fail "the copy's holes: $(blocks "$T/m3/dst") blocks"
head -c 5000000 /dev/urandom >"$T/m1/dense"
wide=$(indexes cp "$T/m1/dense" "$T/m1/dense2")
[ "$wide" -le 10 ] && cmp "$T/m2/dense" "$T/m3/dense2" || fail "cp of 5 MB took $wide entries"
cp --reflink=always "$T/m1/src" "$T/m1/no" 2>"$T/err" && fail "FICLONE succeeded"
grep -q "Operation not supported" "$T/err" || fail "FICLONE: $(cat "$T/err")"
rm -f "$T/m1/no"
say "copies of 5 MB took $took entries (in a file of 40 MiB) and $wide (by cp)"

# What is refused, and with what.
refused() { # WANT COMMAND...
	local want=$1
	shift
	"$@" 2>"$T/err" && fail "succeeded: $*"
	grep -q "$want" "$T/err" || fail "$*: $(cat "$T/err"), should be: $want"
}
echo text >"$T/m1/f"
refused "not supported" fallocate -c -o 0 -l 4096 "$T/m1/f"
refused "not supported" fallocate -i -o 0 -l 4096 "$T/m1/f"
refused "File too large" fallocate -o $((1 << 60)) -l 4096 "$T/m1/f"
refused "File too large" dd if=/dev/zero of="$T/m1/f" bs=1 count=1 seek=$((1 << 42)) conv=notrunc status=none
[ "$(cat "$T/m2/f")" = text ] || fail "a refused call changed the file"
# Privileges go with the data, whoever asks for it.
cp /bin/true "$T/m1/suid"
for how in "fallocate -l 200000" "fallocate -p -o 0 -l 4096" "fallocate -z -o 0 -l 4096"; do
	chown 1001 "$T/m1/suid" && chmod 6755 "$T/m1/suid"
	setpriv --reuid 1001 --regid 1001 --clear-groups -- $how "$T/m2/suid" || fail "$how"
	[ "$(stat -c %a "$T/m3/suid")" = 755 ] || fail "$how left $(stat -c %a "$T/m3/suid")"
done
digests_equal
for n in 1 2 3; do unmount $n; done
