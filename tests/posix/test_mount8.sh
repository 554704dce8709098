#!/bin/bash
# mount(8)'s contract: from the shell and from fstab, options for others, remount, exit codes, umount.
. "$(dirname "$0")/../lib/cluster.sh"

# mount(8) looks in /sbin only; what is there already stays.
for name in mount.quorumfs mount.fuse.quorumfs; do
	[ -e /sbin/$name ] && continue
	CLEANUP+=("rm -f /sbin/$name")
	ln -s "$BUILD/bin/mount.quorumfs" /sbin/$name
done
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
for i in $(seq 50); do pgrep -f "mount.quorumfs $T/store" >/dev/null || break; sleep 0.1; done
pgrep -f "mount.quorumfs $T/store" >/dev/null && fail "the mount process outlived umount by 5 s"

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
exit 0
