#!/bin/bash
# mount(8)'s contract: from the shell and from fstab, options for others, remount, exit codes, umount.
. "$(dirname "$0")/../lib/cluster.sh"

helpers_in_sbin
mkdir "$T/mnt"
quorumfs init "$T/store" >/dev/null || fail init
mount -t quorumfs "$T/store" "$T/mnt" -o noatime,_netdev,nofail || fail "mount -t quorumfs"
echo usable >"$T/mnt/file" || fail "not usable at once"
findmnt -n -t fuse.quorumfs "$T/mnt" | grep -q "$T/store" || fail "findmnt does not show it"
# suid and dev as for ext4 and NFS, unless asked otherwise.
findmnt -n -o OPTIONS "$T/mnt" | grep -Eq 'nosuid|nodev' && fail "nosuid or nodev without being asked"
mount -o remount,ro "$T/mnt" || fail "remount,ro"
touch "$T/mnt/x" 2>"$T/err" && fail "written to a read-only mount"
grep -qi 'read-only' "$T/err" || fail "not EROFS: $(cat "$T/err")"
mount -o remount,rw "$T/mnt" || fail "remount,rw"
touch "$T/mnt/x" || fail "not writable after remount,rw"
umount "$T/mnt" || fail umount
wait_no_helper() {
	local pid
	for i in $(seq 50); do
		pid=
		for pid in $(pgrep -f "mount.quorumfs $T/"); do process_gone "$pid" && pid= || break; done
		[ -z "$pid" ] && return 0
		sleep 0.1
	done
	fail "process $pid outlived its mount by 5 s: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
}
wait_no_helper

# From fstab, in a mount namespace of its own, so that the machine's file stays as it is.
cat >"$T/fstab" <<E
$T/store $T/mnt quorumfs defaults,_netdev,nofail,x-systemd.requires=network-online.target,comment=hello,nodev 0 0
E
unshare -m bash -ec "mount --bind '$T/fstab' /etc/fstab; mount '$T/mnt'; cat '$T/mnt/file'
	findmnt -n -o OPTIONS '$T/mnt' | grep -q nodev; umount '$T/mnt'" >"$T/out" || fail "from fstab: $(cat "$T/out")"
grep -qx usable "$T/out" || fail "fstab mount lost the file"
say "fstab line works"
mount -f -t quorumfs "$T/store" "$T/mnt" || fail "mount -f"
mountpoint -q "$T/mnt" && fail "mount -f mounted"
wait_no_helper

# Unmounted, the node inside ended cleanly: no recovery at the next start.
mount_embedded "$T/store" log-level=info
unmount 1
grep -q 'opened.*store' "$T/mount1.log" || fail "no line about the store in the log"
grep -q 'after a crash' "$T/mount1.log" && fail "a clean umount left an unclean store: $(cat "$T/mount1.log")"
say "clean after umount"

# Several -o, of pairs the last; a busy mount point; remount asked of the helper itself.
mount.quorumfs -o ro -v "$T/store" "$T/mnt" -o rw,nosuid -nso "log-file=$T/joined.log,what-is-this" >"$T/out" ||
	fail "several -o"
grep -q "mounted $T/store on $T/mnt" "$T/out" || fail "-v says nothing"
[ -s "$T/joined.log" ] || fail "the last -o was lost"
findmnt -n -o OPTIONS "$T/mnt" | grep -q nosuid || fail "the second -o was lost"
touch "$T/mnt/x" || fail "ro,rw is not rw"
mount.quorumfs "$T/store" "$T/mnt" 2>"$T/err" && fail "mounted twice"
grep -q 'already mounted there' "$T/err" || fail "busy: $(cat "$T/err")"
mount.quorumfs "$T/store" "$T/mnt" -o remount,ro || fail "the helper's own remount"
findmnt -n -o OPTIONS "$T/mnt" | grep -q 'ro,.*nosuid' || fail "remount lost nosuid: $(findmnt -n -o OPTIONS "$T/mnt")"
umount "$T/mnt" || fail umount
mount.quorumfs "$T/store" "$T/mnt" -o remount,ro 2>/dev/null
[ $? = 32 ] || fail "remount of what is not mounted"
wait_no_helper
say "several -o, remount"

# A relative socket; a socket that is not there yet is waited for, and the wait says so.
(cd "$T" && exec mount.quorumfs ./store/node.sock mnt -o log-file=waits.log) 2>"$T/err" &
helper=$!
sleep 3
grep -q 'waiting for a node that answers' "$T/err" || fail "no progress after 3 s: $(cat "$T/err")"
quorumfsd "$T/store" >"$T/late.log" 2>&1 &
PID[late]=$!
wait $helper || fail "the mount did not wait for its node: $(cat "$T/err")"
[ "$(cat "$T/mnt/file")" = usable ] || fail "the late node's mount lost the file"
umount "$T/mnt"
wait_no_helper
kill "${PID[late]}" && wait "${PID[late]}"
say "waits for a node"

# Whoever asked is gone before the mount was there: nothing may be mounted later.
mount.quorumfs "$T/store/node.sock" "$T/mnt" 2>/dev/null &
helper=$!
sleep 0.5
kill -KILL $helper
wait $helper 2>/dev/null
wait_no_helper
quorumfsd "$T/store" >>"$T/late.log" 2>&1 &
PID[late]=$!
sleep 1
mountpoint -q "$T/mnt" && fail "mounted although nobody waited any more"
kill "${PID[late]}" && wait "${PID[late]}"
unset 'PID[late]'
say "given up is given up"

# -o create: a missing and an empty directory, which keeps its mode; the foreground process.
mkdir -m 751 "$T/empty"
mount.quorumfs "$T/empty" "$T/mnt" -o create || fail "create in an empty directory"
[ "$(stat -c %a "$T/empty")" = 751 ] || fail "create changed the mode of the directory to $(stat -c %a "$T/empty")"
umount "$T/mnt"
wait_no_helper
(cd "$T" && mount.quorumfs new mnt -o create) || fail "create in a missing directory, by a relative name"
[ -e "$T/new/group-0/superblock" ] || fail "the new store is elsewhere"
umount "$T/mnt"
wait_no_helper
mount.quorumfs "$T/new" "$T/mnt" -o foreground >"$T/fg.log" 2>&1 &
helper=$!
for i in $(seq 50); do mountpoint -q "$T/mnt" && break; sleep 0.1; done
echo foreground >"$T/mnt/fg" || fail "foreground: $(cat "$T/fg.log")"
kill $helper
wait $helper || fail "the foreground process failed after SIGTERM: $(cat "$T/fg.log")"
mountpoint -q "$T/mnt" && fail "SIGTERM left the mount"
say "create, foreground"
exit 0
