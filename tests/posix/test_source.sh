#!/bin/bash
# Where a mount gets its files from: a directory of the file system, one of several nodes, a node that is not
# there yet.
. "$(dirname "$0")/../lib/cluster.sh"
R=$T/m1 S=$T/m2

# refused EXIT TEXT SOURCE OPTIONS: with four parts
refused() {
	mount.quorumfs "$3" "$S" -o "$4" 2>"$T/err"
	local code=$?
	[ $code = "$1" ] || fail "exit $code instead of $1 for '$3' with '$4': $(cat "$T/err")"
	grep -q -- "$2" "$T/err" || fail "it does not say '$2': $(cat "$T/err")"
	grep -q '^  still works: ' "$T/err" && grep -q '^  next: ' "$T/err" || fail "not in four parts: $(cat "$T/err")"
	mountpoint -q "$S" && fail "mounted nevertheless"
}

cluster_init 3
nodes_start
wait_leader
mount_node 1
mkdir -p "$R/home/anna/deep" "$R/other" "$S"
echo hers >"$R/home/anna/file"
echo text >"$R/home/plain"
ln -s anna "$R/home/link"
sock=$T/n2/node.sock

say "subdir= and a path in the source: the directory is the root of the mount"
for how in "$sock subdir=home/anna" "$sock subdir=/home//anna/" "$sock:/home/anna rw" "unix:$sock:/home/anna rw"; do
	# shellcheck disable=SC2086
	set -- $how
	mount_at "$1" "$S" 2 "$2" || fail "mount of $how"
	[ "$(cat "$S/file")" = hers ] || fail "$how: not the directory"
	[ "$(stat -c %i "$S")" = "$(stat -c %i "$R/home/anna")" ] || fail "$how: another inode"
	[ "$(ls -a "$S" | tr '\n' ' ')" = ". .. deep file " ] || fail "$how: $(ls -a "$S")"
	umount "$S"
done
mount_at "$sock:/home/anna" "$S" 2 || fail "mount of a directory"
findmnt -n -o SOURCE "$S" | grep -q ':/home/anna$' || fail "findmnt shows $(findmnt -n -o SOURCE "$S")"

say "everything that can be done with a root is done with this one, and seen by the other mount"
mkdir "$S/a" && touch "$S/b" && ln "$S/b" "$S/c" && ln -s c "$S/d" && mknod "$S/e" p || fail "names in the root"
mv "$S/b" "$S/deep/b" && mv "$S/deep/b" "$S/b2" && mv "$S/a" "$S/a2" && rmdir "$S/a2" || fail "renames of the root's names"
mv "$S/deep" "$S/deeper" && mkdir "$S/deeper/x" && mv "$S/deeper/x" "$S/x" || fail "directories to and from the root"
chmod 750 "$S" && touch "$S" && setfattr -n user.a -v 1 "$S" || fail "attributes of the root"
/usr/bin/python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)
os.write(fd, b"x")
os.link(f"/proc/self/fd/{fd}", sys.argv[1] + "/tmp", src_dir_fd=fd, follow_symlinks=True)' "$S" || fail "O_TMPFILE in the root"
[ "$(cd "$S" && find . | sort | tr '\n' ' ')" = "$(cd "$R/home/anna" && find . | sort | tr '\n' ' ')" ] || fail "not the same names"
[ "$(cd "$S" && find . | wc -l)" = 9 ] || fail "not nine names: $(cd "$S" && find .)"
[ "$(stat -c %a "$R/home/anna")" = 750 ] || fail "mode of the root"
(cd "$S/x" && cd .. && [ "$(pwd -P)" = "$S" ]) || fail "the parent of a directory in the root"
df "$S" >/dev/null || fail "df"

say "the directory lives while it is mounted, like an open one"
mkdir "$R/other/gone"
mount_at "$T/n3/node.sock:/other/gone" "$T/m3" 3 || fail "mount of a directory"
rmdir "$R/other/gone"
sleep 3
[ "$(stat -c %h "$T/m3")" = 0 ] || fail "links of the removed root: $(stat -c %h "$T/m3" 2>&1)"
touch "$T/m3/x" 2>/dev/null && fail "a name in a removed directory"
unmount 3
unmount 2

say "what cannot be mounted"
refused 32 "mkdir -p home/nobody" "$sock" subdir=home/nobody
refused 32 "Not a directory" "$sock" subdir=home/plain
refused 32 "Not a directory" "$sock" subdir=home/link
refused 32 "leads out" "$sock" subdir=home/../other
refused 32 "named twice" "$sock:/home" subdir=other
refused 32 "delay_connect" "$sock:/home" delay_connect

say "further nodes: behind hosts that are gone, in all three spellings"
IFS=, read -r -a at <<<"$MEMBERS"
gone=127.0.0.1:$(free_port)
live=${at[1]}
for how in "$gone,$live fg" "$gone backup-volfile-servers=$gone:$live" "$gone mon_addr=$gone/$live" "$live:/home/anna fg"; do
	# shellcheck disable=SC2086
	set -- $how
	mount_at "$1" "$S" 2 "$2,mount_timeout=10" || fail "mount of $how"
	[ -e "$S/home/anna/file" ] || [ -e "$S/file" ] || fail "$how: not the file system"
	umount "$S"
done
refused 32 "not a host" "$sock" "backup-volfile-servers=$live"
refused 32 "not a host" "$T/n1" "mon_addr=$live"

say "bg: goes on trying, exit 0, and is there once a node is"
node_kill 2
refused 32 "no node can be reached" "$sock" mount_timeout=1
start=$(date +%s%N)
mount_at "$sock" "$S" 2 bg,mount_timeout=1 2>"$T/err" || fail "bg is no success: $(cat "$T/err")"
grep -q 'in the background' "$T/err" || fail "it does not say that it goes on: $(cat "$T/err")"
[ $((($(date +%s%N) - start) / 1000000)) -lt 4000 ] || fail "bg came back late"
mountpoint -q "$S" && fail "mounted without a node"
node_start 2
for i in $(seq 100); do mountpoint -q "$S" && break; sleep 0.1; done
[ -e "$S/home/anna/file" ] || fail "bg did not mount within ten seconds"
unmount 2

say "delay_connect: mounted at once, the first call waits for a node"
node_kill 2
mount_at "$sock" "$S" 2 delay_connect || fail "mount with delay_connect"
grep -q " $S fuse.quorumfs " /proc/mounts || fail "delay_connect has not mounted"
stat "$S/home/anna/file" >"$T/stat.txt" 2>&1 &
waiting=$!
sleep 1
[ -s "$T/stat.txt" ] && fail "somebody answered: $(cat "$T/stat.txt")"
node_start 2
wait $waiting || fail "the first call: $(cat "$T/stat.txt")"
unmount 2

say "a node inside the mount has directories, too"
mount_at "$T/solo" "$T/m3" 3 create || fail "mount of a new store"
mkdir -p "$T/m3/part/of"
unmount 3
mount_at "$T/solo:/part" "$T/m3" 3 || fail "mount of a store's directory"
[ "$(ls "$T/m3")" = of ] || fail "not the directory of the store"
unmount 3
unmount 1
