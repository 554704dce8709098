#!/bin/bash
# Access times: none by default; with relatime and strictatime as mount(8) says, at once on this mount and
# within ten seconds on the others; the end of a mount writes what is left.
. "$(dirname "$0")/../lib/cluster.sh"

atime() { stat -c %x "$1"; }
old="2001-02-03 04:05:06.000000000 +0000"
export TZ=UTC

# aged FILE...: its times are long ago, the access time last
aged() { touch -d "2001-02-03 04:05:06" "$@"; }

moved() { [ "$(atime "$1")" != "$2" ]; }

await_moved() { # FILE: within 15 s
	local i
	for i in $(seq 150); do
		moved "$1" "$old" && return 0
		sleep 0.1
	done
	fail "the access time of $1 was not written"
}

cluster_init 1
nodes_start
wait_leader
mount_node 1
R=$T/m1 S=$T/m2
mkdir "$R/dir"
for f in read mapped ls link noatime later twice strict early; do echo text >"$R/$f"; done
ln -s read "$R/symlink"

say "noatime, the default"
aged "$R/read"
cat "$R/read" >/dev/null
expect_old() { moved "$1" "$old" && fail "the access time of $1 moved: $(atime "$1")"; }
expect_old "$R/read"
findmnt -n -o OPTIONS "$R" | grep -q noatime || fail "findmnt does not show noatime"

say "relatime: what tells something"
aged "$R/read" "$R/mapped" "$R/noatime" "$R/dir" "$R/twice"
touch -h -d "2001-02-03 04:05:06" "$R/symlink"
mount_at "$T/n1/node.sock" "$S" 2 relatime || fail "mount with relatime"
findmnt -n -o OPTIONS "$S" | grep -q relatime || fail "findmnt does not show relatime"
ctime=$(stat -c %z "$R/read") mtime=$(stat -c %y "$R/read")
cat "$S/read" >/dev/null
ls "$S/dir" >/dev/null
readlink "$S/symlink" >/dev/null
/usr/bin/python3 -c 'import os, sys; os.read(os.open(sys.argv[1], os.O_RDONLY | os.O_NOATIME), 9)' "$S/noatime"
for f in read dir symlink; do moved "$S/$f" "$old" || fail "relatime: $f did not move on its own mount"; done
expect_old "$S/noatime"
expect_old "$R/read"
for f in read dir symlink; do await_moved "$R/$f"; done
expect_old "$R/noatime"
[ "$(stat -c '%y %z' "$R/read")" = "$mtime $ctime" ] || fail "reading moved another time"
seen=$(atime "$R/read")
cat "$S/read" >/dev/null
[ "$(atime "$S/read")" = "$seen" ] || fail "relatime wrote a read that tells nothing"
echo more >>"$R/read"
cat "$S/read" >/dev/null
moved "$S/read" "$seen" || fail "a read after a change did not count"

say "a time that is set is set, whatever was read before; elsewhere, too"
aged "$R/early" "$R/later"
cat "$S/early" "$S/later" >/dev/null
aged "$S/early"
aged "$R/later"
expect_old "$S/early"
expect_old "$S/later"

say "the end of the mount writes what is left; a mount that is read only writes nothing"
aged "$R/twice"
cat "$S/twice" >/dev/null
expect_old "$R/twice"
unmount 2
moved "$R/twice" "$old" || fail "umount did not write the access time"
expect_old "$R/early"
expect_old "$R/later"
aged "$R/twice"
mount_at "$T/n1/node.sock" "$S" 2 relatime,ro || fail "mount with relatime,ro"
cat "$S/twice" >/dev/null
unmount 2
expect_old "$R/twice"

say "strictatime, nodiratime"
mount_at "$T/n1/node.sock" "$S" 2 noatime,strictatime,nodiratime || fail "mount with strictatime"
findmnt -n -o OPTIONS "$S" | grep -q 'noatime\|relatime' && fail "findmnt shows $(findmnt -n -o OPTIONS "$S")"
aged "$R/dir"
cat "$S/strict" >/dev/null
first=$(atime "$S/strict")
cat "$S/strict" >/dev/null
moved "$S/strict" "$first" || fail "strictatime: the second read did not count"
second=$(atime "$S/strict")
ls "$S/dir" >/dev/null
unmount 2
[ "$(atime "$R/strict")" = "$second" ] || fail "umount wrote $(atime "$R/strict") instead of $second"
expect_old "$R/dir"

say "without a node the end of a mount does not wait for it"
mount_at "$T/n1/node.sock" "$S" 2 relatime,hard || fail "mount with relatime,hard"
aged "$R/twice"
cat "$S/twice" >/dev/null
node_kill 1
start=$(date +%s)
umount -l "$S" || fail "umount -l without a node" # without -l, umount(8) asks for the root first
for i in $(seq 100); do process_gone "${MOUNT_PID[2]}" && break; sleep 0.1; done
process_gone "${MOUNT_PID[2]}" || fail "the process of the mount is still there"
[ $(($(date +%s) - start)) -le 8 ] || fail "umount took $(($(date +%s) - start)) s"
node_start 1
wait_leader
unmount 1
node_stop 1
