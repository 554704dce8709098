#!/bin/bash
# What the kernel took of our INIT reply, by what it does: sizes and limits, clones of the connection, writes
# of 1 MiB as one entry, suid files without a request more. Parallel lookups and the missing GETXATTRs of
# writes are timed and counted in fuse_local (init_flags).
. "$(dirname "$0")/../lib/cluster.sh"

cluster_init 1
nodes_start
wait_leader
chmod 755 "$T"
mount_node 1 nodelegations

entries() { # COMMAND...: log entries that it took
	local before=$(status_of 1 last_index)
	"$@" >/dev/null 2>&1 || fail "failed: $*"
	echo $(($(status_of 1 last_index) - before))
}

dev=$(awk -v m="$T/m1" '$5 == m { split($3, d, ":"); print d[2] }' /proc/self/mountinfo)
conn=/sys/fs/fuse/connections/$dev
mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null
if [ -r "$conn/max_background" ]; then
	[ "$(cat "$conn/max_background")" = 128 ] || fail "max_background is $(cat "$conn/max_background")"
	[ "$(cat "$conn/congestion_threshold")" = 96 ] || fail "threshold is $(cat "$conn/congestion_threshold")"
	say "max_background 128, congestion threshold 96"
else
	say "no fusectl: limits are not looked at"
fi
[ "$(cat "/sys/class/bdi/0:$dev/read_ahead_kb" 2>/dev/null || echo 1024)" = 1024 ] || fail "readahead"

# Enough callers at once, and more than one thread reads a descriptor of its own.
for i in $(seq 32); do (for j in $(seq 20); do stat "$T/m1/none-$i-$j"; done >/dev/null 2>&1) & walkers[i]=$!; done
wait "${walkers[@]}"
clones=$(find "/proc/${MOUNT_PID[1]}/fd" -lname '/dev/fuse' | wc -l)
[ "$clones" -gt 1 ] || fail "$clones descriptors of /dev/fuse: the connection is not cloned"
say "$clones descriptors of /dev/fuse"

head -c 8M /dev/urandom >"$T/data"
for bs in 1M 256K 64K; do
	rm -f "$T/m1/f"
	: >"$T/m1/f"
	took=$(entries dd if="$T/data" of="$T/m1/f" bs=$bs count=4 conv=notrunc)
	[ "$took" = 4 ] || fail "four writes of $bs took $took entries"
done
took=$(entries dd if="$T/data" of="$T/m1/f" bs=8M count=1 conv=notrunc oflag=direct)
[ "$took" -ge 8 ] && [ "$took" -le 9 ] || fail "a direct write of 8 MiB took $took entries"
say "1 MiB is one WRITE and one entry"

# HANDLE_KILLPRIV_V2: the write itself takes suid and sgid; no SETATTR comes before it.
took=$(: >"$T/m1/suid"; chown 1001:1001 "$T/m1/suid"; chmod 6755 "$T/m1/suid"
	entries setpriv --reuid 1001 --regid 1001 --clear-groups -- dd if="$T/data" of="$T/m1/suid" bs=4096 count=1 conv=notrunc)
[ "$took" = 1 ] || fail "a write to a suid file took $took entries"
[ "$(stat -c %a "$T/m1/suid")" = 755 ] || fail "mode after the write: $(stat -c %a "$T/m1/suid")"
chmod 6755 "$T/m1/suid"
took=$(entries setpriv --reuid 1001 --regid 1001 --clear-groups -- truncate -s 10 "$T/m1/suid")
[ "$took" = 1 ] && [ "$(stat -c %a "$T/m1/suid")" = 755 ] || fail "truncate: $took entries, mode $(stat -c %a "$T/m1/suid")"
chmod 6755 "$T/m1/suid"
took=$(entries setpriv --reuid 1001 --regid 1001 --clear-groups -- sh -c ": >'$T/m1/suid'")
[ "$took" = 1 ] && [ "$(stat -c %a "$T/m1/suid")" = 755 ] || fail "O_TRUNC: $took entries, mode $(stat -c %a "$T/m1/suid")"
if command -v setcap >/dev/null; then
	cp /bin/true "$T/m1/capable"
	setcap cap_net_raw+ep "$T/m1/capable" && [ -n "$(getcap "$T/m1/capable")" ] || fail "setcap"
	echo >>"$T/m1/capable"
	[ -z "$(getcap "$T/m1/capable")" ] || fail "a write left a capability"
fi
# POSIX_ACL and DONT_MASK: tests/posix/test_acl.sh. TMPFILE, which this libfuse does not know, comes as a CREATE;
# kernels before 6.2 do not send it.
said=$("$BUILD/tests/posix/calls" tmpfile "$T/m1")
newer=$(printf '%s\n' 6.2 "$(uname -r)" | sort -V | tail -1)
[ "$said" = ok ] || { [ "$said" = EOPNOTSUPP ] && [ "$newer" = 6.2 ]; } || fail "O_TMPFILE: $said"
unmount 1
