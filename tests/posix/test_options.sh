#!/bin/bash
# Mount options that change what a mount shows or allows, seen on one mount with the option and on one without.
. "$(dirname "$0")/../lib/cluster.sh"
command -v setpriv >/dev/null || { echo "SKIP: needs setpriv"; exit 77; }

as() { # UID GID COMMAND...
	local uid=$1 gid=$2
	shift 2
	setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"
}

# expect WANTED COMMAND...: what it prints
expect() {
	local wanted=$1 got
	shift
	got=$("$@" 2>&1)
	[ "$got" = "$wanted" ] || fail "$*: '$got' instead of '$wanted'"
}

# plain: mount 1. other: mount 2 of the same node, with the options given.
other() { # OPTIONS
	mount_at "$T/n1/node.sock" "$T/m2" 2 "$1" || fail "mount with '$1'"
}

cluster_init 1
nodes_start
wait_leader
mount_node 1
chmod 755 "$T" "$T/m1"
mkdir -m 700 "$T/m1/dir"
echo text >"$T/m1/dir/file"
chmod 4640 "$T/m1/dir/file"
chown 11:12 "$T/m1/dir" "$T/m1/dir/file"

say "uid=, gid=, umask=, fmask=, dmask="
other uid=2001,gid=2002,umask=027
expect "700 11 12" stat -c '%a %u %g' "$T/m1/dir"
expect "750 2001 2002" stat -c '%a %u %g' "$T/m2/dir"
expect "750 2001 2002" stat -c '%a %u %g' "$T/m2/dir/file"
expect "text" as 2001 9 cat "$T/m2/dir/file"
expect "text" as 9 2002 cat "$T/m2/dir/file"
as 9 9 cat "$T/m2/dir/file" 2>/dev/null && fail "read without permission"
as 9 2002 sh -c "echo more >>'$T/m2/dir/file'" 2>/dev/null && fail "written without permission"
as 2001 9 sh -c "echo more >>'$T/m2/dir/file'; echo new >'$T/m2/dir/new'" || fail "the shown owner cannot write"
expect "750 2001 2002" stat -c '%a %u %g' "$T/m2/dir/new"
expect "644 2001 9" stat -c '%a %u %g' "$T/m1/dir/new"
unmount 2
other dmask=077,fmask=177
expect "700 11 12" stat -c '%a %u %g' "$T/m2/dir"
expect "600 11 12" stat -c '%a %u %g' "$T/m2/dir/file"
expect "600 drwx------" bash -c "echo \$(stat -c %a '$T/m2/dir/new') \$(stat -c %A '$T/m2/dir')"
unmount 2

say "what is mistyped"
mount.quorumfs "$T/n1/node.sock" "$T/m2" -o attr_timout=1 2>"$T/err"
[ $? = 1 ] || fail "a mistyped option is not exit 1"
grep -q "did you mean 'attr_timeout'" "$T/err" || fail "no suggestion: $(cat "$T/err")"
mount.quorumfs "$T/n1/node.sock" "$T/m2" -o umask=9 2>"$T/err"
[ $? = 1 ] || fail "umask=9 is not exit 1"
grep -q octal "$T/err" || fail "it does not say octal: $(cat "$T/err")"
mount.quorumfs -s "$T/n1/node.sock" "$T/m2" -o "log-file=$T/mount2.log,attr_timout=1" || fail "-s is not sloppy"
umount "$T/m2"
unmount 1
node_stop 1
