#!/bin/bash
# An ordinary user mounts and unmounts by fusermount3: alone and with allow_other, by fstab, from a store of its
# own; what is forced on it, who else may enter or unmount, and what it is told when something is missing.
[ "${1:-}" = inside ] || exec unshare -m --propagation private bash "$0" inside # fuse.conf, fstab, /dev are ours here
. "$(dirname "$0")/../lib/cluster.sh"
command -v fusermount3 >/dev/null || { echo "SKIP: needs fusermount3"; exit 77; }
command -v setpriv >/dev/null || { echo "SKIP: needs setpriv"; exit 77; }

ME=65534 OTHER=65533
as() { # UID COMMAND...
	local uid=$1
	shift
	setpriv --reuid="$uid" --regid="$uid" --clear-groups env -i PATH="$T/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@"
}
me() { as $ME "$@"; }

# Where the user can read it, and mount(8) finds it.
chmod 755 "$T"
mkdir -m 755 "$T/bin" "$T/me"
cp "$BUILD/bin/mount.quorumfs" "$BUILD/bin/quorumfs" "$T/bin/"
chmod 755 "$T"/bin/*
mkdir "$T/me/mnt"
chown -R $ME:$ME "$T/me"
M=$T/me/mnt
LOG=$T/me/mount.log

# Of the machine's files only what this namespace sees is changed.
conf() { # LINE...
	printf '%s\n' "$@" >"$T/fuse.conf"
}
conf '# nothing allowed'
[ -e /etc/fuse.conf ] || { echo "SKIP: needs /etc/fuse.conf"; exit 77; }
mount --bind "$T/fuse.conf" /etc/fuse.conf || fail "bind fuse.conf"
mknod -m 666 "$T/fuse" c 10 229 && mount --bind "$T/fuse" /dev/fuse || fail "bind /dev/fuse"
(: <>/dev/fuse) 2>/dev/null || { echo "SKIP: device nodes do not work below $T"; exit 77; }

cluster_init 1
nodes_start
wait_leader
SOCK=$T/n1/node.sock
TCP=$MEMBERS # the first and only address

mounted() { grep -q " $M fuse.quorumfs " /proc/mounts; } # mountpoint(1) may not look inside
options_of() { findmnt -n -o OPTIONS "$M"; }
try_mount() { # SOURCE OPTIONS
	me timeout 30 mount.quorumfs "$1" "$M" -o "log-file=$LOG${2:+,$2}" 2>"$T/err"
}
must_mount() { try_mount "$@" || fail "mount $*: $(cat "$T/err")"; }
wait_gone() {
	local i
	for i in $(seq 50); do
		mounted || ours_running || return 0
		sleep 0.1
	done
	fail "five seconds after the unmount: $(pgrep -u $ME -a -f mount.quorumfs)"
}
ours_running() {
	local p
	for p in $(pgrep -u $ME -f "mount.quorumfs .* $M"); do process_gone "$p" || return 0; done
	return 1
}
four_parts() { # WHAT PATTERN...: the last error has them, and a reason that matches
	local what=$1 p
	shift
	for p in '^mount.quorumfs: cannot .*: ' '^  still works: ' '^  next: ' "$@"; do
		grep -Eq -- "$p" "$T/err" || fail "$what: no '$p' in: $(cat "$T/err")"
	done
}

# The node's socket is its owner's: whoever talks to it names the user it acts for.
try_mount "$SOCK" && fail "mounted through root's socket"
four_parts "root's socket" "socket '$SOCK': Permission denied"
[ $SECONDS -lt 60 ] || fail "waited for permission"
mounted && fail "mounted nevertheless"

# By the node's address: the user alone, never with suid or devices.
must_mount "$TCP" suid,dev
options_of | grep -q nosuid && options_of | grep -q nodev || fail "nosuid, nodev are not forced: $(options_of)"
options_of | grep -q "user_id=$ME" || fail "not the user's: $(options_of)"
options_of | grep -q default_permissions || fail "no default_permissions: $(options_of)"
options_of | grep -q allow_other && fail "allow_other without being asked"
options_of | grep -q noatime || fail "not noatime: $(options_of)"
# The root of a new file system is root's.
me touch "$M/x" 2>"$T/err" && fail "made a file in root's directory"
grep -q 'Permission denied' "$T/err" || fail "not EACCES: $(cat "$T/err")"
ls "$M" 2>"$T/err" && fail "root entered the user's mount"
grep -q 'Permission denied' "$T/err" || fail "root got another error: $(cat "$T/err")"
as $OTHER ls "$M" 2>/dev/null && fail "another user entered"
as $OTHER fusermount3 -u "$M" 2>"$T/err" && fail "another user unmounted"
mounted || fail "refused, but unmounted"
me fusermount3 -u "$M" || fail "the owner's fusermount3 -u"
wait_gone
say "mounted, alone, unmounted"

# Root makes a directory for the user.
mount_node 1
mkdir -m 700 "$T/m1/home"
chown $ME:$ME "$T/m1/home"
echo secret >"$T/m1/secret" && chmod 600 "$T/m1/secret"
cp /bin/true "$T/m1/suid" && chmod 4755 "$T/m1/suid"
must_mount "$TCP"
me sh -c "echo mine >'$M/home/file' && mkdir '$M/home/d' && mv '$M/home/file' '$M/home/d/'" || fail "in its own directory"
[ "$(cat "$T/m1/home/d/file")" = mine ] || fail "another mount does not see it"
[ "$(stat -c %u:%g "$T/m1/home/d/file")" = $ME:$ME ] || fail "made by $(stat -c %u:%g "$T/m1/home/d/file")"
me cat "$M/secret" 2>/dev/null && fail "read root's secret"
me chown $OTHER "$M/home/d/file" 2>/dev/null && fail "gave a file away"
me chmod 777 "$M/secret" 2>/dev/null && fail "chmod of root's file"
# umount(8), too, knows the owner by user_id=; busy is busy, and stays usable.
exec 7<"$T/m1/secret"
me sh -c "exec 8>>'$M/home/d/file'; umount '$M' && exit 1; fusermount3 -u '$M' && exit 2; echo more >&8" 2>"$T/err"
code=$?
exec 7<&-
[ $code = 0 ] || fail "busy: $code, $(cat "$T/err")"
grep -qi busy "$T/err" || fail "busy is not said: $(cat "$T/err")"
[ "$(me sed -n 2p "$M/home/d/file")" = more ] || fail "after EBUSY it is not usable"
me umount "$M" || fail "the owner's umount"
wait_gone
# With ACLs the kernel checks permissions by itself, without them because it is told to.
must_mount "$TCP" noacl
options_of | grep -q default_permissions || fail "no default_permissions with noacl: $(options_of)"
me cat "$M/secret" 2>/dev/null && fail "read root's secret with noacl"
me umount "$M" || fail "umount"
wait_gone
say "permissions, busy, umount"

# allow_other is for fuse.conf to allow.
try_mount "$TCP" allow_other && fail "allow_other without user_allow_other"
four_parts "allow_other" user_allow_other
wait_gone
conf user_allow_other
must_mount "$TCP" allow_other
options_of | grep -q allow_other || fail "no allow_other: $(options_of)"
ls "$M" >/dev/null || fail "root cannot enter with allow_other"
as $OTHER ls "$M" >/dev/null || fail "another user cannot enter with allow_other"
as $OTHER ls "$M/home" 2>/dev/null && fail "another user reads a directory of mode 700"
as $OTHER cat "$M/secret" 2>/dev/null && fail "another user reads root's file"
as $OTHER umount "$M" 2>/dev/null && fail "another user unmounted by umount"
umount "$M" || fail "root unmounts a user's mount"
wait_gone
must_mount "$TCP" allow_root
ls "$M" >/dev/null || fail "root cannot enter with allow_root"
as $OTHER ls "$M" 2>/dev/null && fail "another user entered with allow_root"
me fusermount3 -u "$M" || fail "fusermount3 -u"
wait_gone
conf '# nothing allowed'
say "allow_other, allow_root"

# From fstab: a line with user is for anybody, but not for more than user mounts may.
helpers_in_sbin "$T/bin"
echo "$TCP $M quorumfs user,noauto,noexec,nofail,_netdev,log-file=$LOG 0 0" >"$T/fstab"
mount --bind "$T/fstab" /etc/fstab || fail "bind fstab"
me mount "$M" 2>"$T/err" || fail "mount of a fstab line with user: $(cat "$T/err")"
options_of | grep -q nosuid && options_of | grep -q noexec || fail "user does not imply nosuid,noexec: $(options_of)"
me sh -c "echo fstab >'$M/home/fstab'" || fail "not usable"
as $OTHER umount "$M" 2>/dev/null && fail "another user unmounted the fstab line"
me umount "$M" || fail "umount of the fstab line"
wait_gone
echo "$TCP $M quorumfs noauto 0 0" >"$T/fstab"
# Without user some versions of mount(8) refuse, others give up their privileges: then it is like the command.
if me mount "$M" 2>/dev/null; then
	options_of | grep -q "nosuid.*user_id=$ME" || fail "a line without user: $(options_of)"
	me fusermount3 -u "$M"
	wait_gone
fi
umount /etc/fstab
say "fstab"

# SIGTERM to the process that stays unmounts by fusermount3.
must_mount "$TCP" ro
me touch "$M/home/x" 2>"$T/err" && fail "written to ro"
grep -qi 'read-only' "$T/err" || fail "not EROFS: $(cat "$T/err")"
me pkill -TERM -u $ME -f "mount.quorumfs $TCP $M" || fail "no process to end"
wait_gone
say "ro, SIGTERM"

# A store of the user's own; its node runs as the user and makes files in it alone.
me mount.quorumfs "$T/me/store" "$M" -o "create,log-file=$LOG" || fail "a store of its own"
me sh -c "echo own >'$M/own'" || { me ls -ld "$M"; fail "the maker of a store cannot write to its root"; }
[ -z "$(find "$T/me/store" ! -user $ME)" ] || fail "not all of the store is the user's"
[ "$(stat -c %a "$T/me/store/node.sock")" = 600 ] || fail "the socket is not its owner's alone"
as $OTHER timeout 20 mount.quorumfs "$T/me/store/node.sock" "$T/bin" 2>"$T/err" && fail "another user's socket"
four_parts "another user's socket" 'Permission denied'
me mount.quorumfs x "$M" -o remount,log-level=debug || fail "who mounted may not change log-level"
me mount.quorumfs x "$M" -o remount,ro 2>"$T/err" && fail "a user's remount,ro"
four_parts "a user's remount,ro" 'only root'
# Mounted again at once: the node inside may still be closing its store.
me chmod 750 "$M" && me fusermount3 -u "$M" || fail "fusermount3 -u"
must_mount "$T/me/store"
me sh -c "[ \$(cat '$M/own') = own ] && [ \$(stat -c %a:%u '$M') = 750:$ME ]" || fail "mounted again: $(me ls -la "$M")"
me fusermount3 -u "$M"
wait_gone
say "a store of its own"

# What is missing is said: device, fusermount3, a mount point that is one's own.
chmod 600 "$T/fuse" # fusermount3 opens it as the user
try_mount "$TCP" && fail "mounted with a /dev/fuse that is root's alone"
four_parts "/dev/fuse of mode 600" '/dev/fuse: Permission denied' 'next: ls -l /dev/fuse'
chmod 666 "$T/fuse"
mount --bind /dev/null /dev/fuse
try_mount "$TCP" && fail "mounted without /dev/fuse"
four_parts "no /dev/fuse" 'cannot mount on .*fusermount3: .'
umount /dev/fuse
mount --bind "$T/bin/quorumfs" "$(command -v fusermount3)" # not suid, and not what it is taken for
try_mount "$TCP" && fail "mounted without fusermount3"
four_parts "no fusermount3" 'cannot mount on'
umount "$(command -v fusermount3)"
setpriv --reuid=$ME --regid=$ME --clear-groups env -i PATH="$T/bin" "$T/bin/mount.quorumfs" "$TCP" "$M" 2>"$T/err" &&
	fail "mounted without fusermount3 in the path"
four_parts "fusermount3 not in the path" 'fusermount3 is not installed' 'next: apt-get install fuse3'
chown 0:0 "$M"
try_mount "$TCP" && fail "mounted on root's directory"
four_parts "root's mount point" 'fusermount3: .*(write access|not owned|permission)'
wait_gone
unmount 1
say "what is missing is said"
exit 0
