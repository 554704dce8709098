#!/bin/bash
# -o remount: what can change does, at once and for what waits already; the rest is refused, and nothing changes.
. "$(dirname "$0")/../lib/cluster.sh"
helpers_in_sbin

ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
flags() { findmnt -n -o OPTIONS "$T/m2"; }

cluster_init 1
nodes_start
wait_leader
mount_node 1
echo text >"$T/m1/f"

say "a mount that was made read only becomes writable, and back"
mount_at "$T/n1/node.sock" "$T/m2" 2 ro,noexec || fail "mount with ro"
touch "$T/m2/g" 2>/dev/null && fail "written to a read-only mount"
mount -o remount,rw "$T/m2" || fail "remount,rw"
touch "$T/m2/g" || fail "not writable after remount,rw"
flags | grep -q noexec || fail "remount lost noexec: $(flags)"
exec 8>>"$T/m2/g"
mount -o remount,ro "$T/m2" 2>"$T/err" && fail "read only, and a file is open for writing"
grep -qi busy "$T/err" || fail "not busy: $(cat "$T/err")"
exec 8>&-
mount -o remount,ro,exec,nodev "$T/m2" || fail "remount,ro"
touch "$T/m2/g" 2>/dev/null && fail "written after remount,ro"
flags | grep -q noexec && fail "remount,exec kept noexec: $(flags)"
flags | grep -q nodev || fail "remount,nodev is lost: $(flags)"

say "log-level"
grep -q ' debug ' "$T/mount2.log" && fail "debug lines before they were asked for"
mount.quorumfs "$T/n1/node.sock" "$T/m2" -o remount,log-level=debug || fail "remount,log-level"
grep -q 'changed mountpoint=.*log-level=debug' "$T/mount2.log" || fail "the log does not tell of the change"
mount.quorumfs "$T/n1/node.sock" "$T/m2" -o remount,log-level=error || fail "remount,log-level=error"
told=$(grep -c 'changed mountpoint' "$T/mount2.log")
mount.quorumfs "$T/n1/node.sock" "$T/m2" -o remount,timeo=301 || fail "remount,timeo"
[ "$(grep -c 'changed mountpoint' "$T/mount2.log")" = "$told" ] || fail "log-level=error did not silence it: $(cat "$T/mount2.log")"

say "what the kernel may believe"
size() { stat -c %s "$T/m2/f"; }
mount -o remount,actimeo=5 "$T/m2" || fail "remount,actimeo"
size >/dev/null
old=$(size)
echo more >>"$T/m1/f"
[ "$(size)" = "$old" ] || fail "actimeo=5 has no effect"
mount -o remount,noac "$T/m2" || fail "remount,noac"
for i in $(seq 100); do [ "$(size)" != "$old" ] && break; sleep 0.1; done
[ "$(size)" != "$old" ] || fail "what was believed before is believed for longer than 5 s"
echo more >>"$T/m1/f"
[ "$(size)" = $((old + 10)) ] || fail "noac has no effect"

say "how long calls wait, and with what they end: also those that wait already"
mount_at "$T/n1/node.sock" "$T/m3" 3 hard || fail "mount with hard"
exec 7<"$T/m3"
node_kill 1
cat "$T/m3/f" >"$T/cat.txt" 2>&1 &
waiting=$!
sleep 1
kill -0 $waiting || fail "hard did not wait"
# The root's attributes cannot be asked for now: whoever remounts has a working mount, or an open directory of it.
/usr/bin/python3 - "$T" <<'PY' || fail "the ioctl"
import array, fcntl, os, sys
text = b"remount,soft,timeo=5"
change = array.array('B', text + bytes(2048 - len(text)) + bytes(1028))
fcntl.ioctl(7, 3 << 30 | len(change) << 16 | ord('q') << 8 | 0x51, change, True)
sys.exit(int.from_bytes(change[2048:2052].tobytes(), 'little'))
PY
from=$(ms)
wait $waiting && fail "read without a node"
[ $(($(ms) - from)) -lt 3000 ] || fail "timeo=5 ended what waited only after $(($(ms) - from)) ms"
grep -qi 'input/output' "$T/cat.txt" || fail "soft is not EIO: $(cat "$T/cat.txt")"
exec 7<&-
node_start 1
wait_leader

say "what is refused: with four parts, and nothing changes"
refused() { # TEXT OPTIONS
	mount.quorumfs "$T/n1/node.sock" "$T/m2" -o "remount,$2" 2>"$T/err"
	[ $? = 1 ] || fail "remount,$2 is not exit 1: $(cat "$T/err")"
	grep -q -- "$1" "$T/err" || fail "remount,$2: not '$1': $(cat "$T/err")"
	grep -q '^  still works: ' "$T/err" && grep -q '^  next: ' "$T/err" || fail "not in four parts: $(cat "$T/err")"
	flags | grep -q '^ro,' || fail "a refused remount changed something: $(flags)"
}
refused "'uid' cannot change" rw,uid=5
refused "'root_squash' cannot change" root_squash,rw
refused "'max_threads' cannot change" max_threads=9,rw
refused "'subdir' cannot change" subdir=x,rw
refused "unknown option" rw,log-levl=debug
refused "unknown log level" rw,log-level=loud
refused "exclude each other" rw,hard,soft
mount -o remount,max_threads=16,rw "$T/m2" || fail "an option that stays as it is was refused"
setpriv --reuid 9 --regid 9 --clear-groups -- "$BUILD/bin/mount.quorumfs" x "$T/m2" -o remount,log-level=debug 2>"$T/err" &&
	fail "another user changed the mount"
unmount 3
unmount 2
unmount 1
