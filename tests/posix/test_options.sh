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

say "nouser_xattr"
setfattr -n user.colour -v green "$T/m1/dir/file"
setfattr -n trusted.taste -v sweet "$T/m1/dir/file"
other nouser_xattr
expect "trusted.taste" bash -c "getfattr -m - --absolute-names '$T/m2/dir/file' | sed -n 2p"
setfattr -n user.smell -v good "$T/m2/dir/file" 2>"$T/err" && fail "a user.* attribute was set"
grep -q 'not supported' "$T/err" || fail "not EOPNOTSUPP: $(cat "$T/err")"
unmount 2

say "direct_io, max_read=, rasize="
head -c 3000000 /dev/urandom >"$T/m1/big"
cached() { # FILE: KiB of it in the page cache after reading it
	cat "$1" >/dev/null
	fincore -bn -o RES "$1" | awk '{ print int($1 / 1024) }'
}
[ "$(cached "$T/m1/big")" -gt 2000 ] || fail "plain reads are not cached: $(cached "$T/m1/big")"
other direct_io,max_read=70000,rasize=256K
[ "$(cached "$T/m2/big")" = 0 ] || fail "direct_io reads are cached"
cmp "$T/m1/big" "$T/m2/big" || fail "direct_io reads something else"
findmnt -n -o OPTIONS "$T/m2" | grep -q max_read=69632 || fail "max_read is not set"
expect 256 cat "/sys/class/bdi/$(mountpoint -d "$T/m2")/read_ahead_kb"
unmount 2

say "softerr and soft: what a call says when no node answers"
other timeo=10
mount_at "$T/n1/node.sock" "$T/m3" 3 soft,timeo=10 || fail "mount with soft"
node_kill 1
cat "$T/m2/dir/file" 2>"$T/err" && fail "read without a node"
grep -qi 'timed out' "$T/err" || fail "softerr is not ETIMEDOUT: $(cat "$T/err")"
cat "$T/m3/dir/file" 2>"$T/err" && fail "read without a node"
grep -qi 'input/output' "$T/err" || fail "soft is not EIO: $(cat "$T/err")"
node_start 1
wait_leader
unmount 2
unmount 3

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
