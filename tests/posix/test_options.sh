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

say "how long the kernel may believe: a change by another mount, seen by one that asks each time and by others"
late() { # OPTIONS FILE COMMAND...: what the command says of it before and after a change by mount 1
	local options=$1
	shift
	other "$options"
	"$@" >/dev/null 2>&1
	"$change"
	"$@" 2>&1
	umount "$T/m2"
}
grow() { echo more >>"$T/m1/dir/file"; }
size() { stat -c %s "$T/m2/dir/file"; }
change=grow
for o in noac actimeo=30,noac attr_timeout=0 rw; do
	before=$(stat -c %s "$T/m1/dir/file")
	[ "$(late $o size)" = $((before + 5)) ] || fail "$o: the size is old"
done
for o in actimeo=30 attr_timeout=30,entry_timeout=30 attribute-timeout=30,entry-timeout=30; do
	before=$(stat -c %s "$T/m1/dir/file")
	[ "$(late $o size)" = "$before" ] || fail "$o: the kernel asked at once"
done
move() { mv "$T/m1/dir/here" "$T/m1/dir/there" 2>/dev/null || mv "$T/m1/dir/there" "$T/m1/dir/here"; }
look() { if [ -e "$T/m2/dir/here" ]; then echo yes; else echo no; fi; }
change=move
# seen OPTIONS NOW WANTED: "here" is there (yes) or not before; after the move the mount says WANTED
seen() {
	rm -f "$T/m1/dir/here" "$T/m1/dir/there"
	if [ "$2" = yes ]; then touch "$T/m1/dir/here"; else touch "$T/m1/dir/there"; fi
	[ "$(late "$1" look)" = "$3" ] || fail "$1: a name that was there '$2' seems to be there '$(look)' after it moved"
}
seen rw yes no
seen rw no yes
seen entry_timeout=30,negative_timeout=30,attr_timeout=30 yes yes
seen entry_timeout=30,negative_timeout=30,attr_timeout=30 no no
seen entry_timeout=30,negative_timeout=30,attr_timeout=30,lookupcache=positive yes yes
seen entry_timeout=30,negative_timeout=30,attr_timeout=30,lookupcache=positive no yes
seen actimeo=30 no no
seen actimeo=30,noac no yes
seen entry-timeout=30,negative-timeout=30,attr_timeout=30,lookupcache=none yes no
seen entry-timeout=30,negative-timeout=30,attr_timeout=30,lookupcache=none no yes

say "allow_root, noallow_other: who may enter"
other noallow_other
as 9 9 ls "$T/m2" >/dev/null 2>&1 && fail "another user entered in spite of noallow_other"
ls "$T/m2" >/dev/null || fail "root may not enter his own mount"
unmount 2
other allow_root
as 9 9 ls "$T/m2" >/dev/null 2>&1 && fail "another user entered in spite of allow_root"
ls "$T/m2" >/dev/null || fail "root may not enter"
unmount 2
other rw
as 9 9 ls "$T/m2" >/dev/null || fail "others may not enter root's mount"
unmount 2

say "nolock: two mounts hold one lock; lock and local_lock=none: they do not"
for o in nolock lock; do
	other $o
	mount_at "$T/n1/node.sock" "$T/m3" 3 $o || fail "mount with $o"
	exec 8<"$T/m2/dir/file"
	flock -xn 8 || fail "flock on a free file"
	flock -xn "$T/m3/dir/file" true
	[ $? = $([ $o = nolock ]; echo $?) ] || fail "$o: the second mount's lock"
	exec 8<&-
	unmount 2
	unmount 3
done

say "what is refused by its name, also with -s"
for o in nowsync writeback_cache read_from_replica=stale secretfile=/etc/hosts snapdirname=.snap metrics rbytes modules=subdir; do
	for sloppy in "" -s; do
		# shellcheck disable=SC2086
		mount.quorumfs $sloppy "$T/n1/node.sock" "$T/m2" -o $o 2>"$T/err"
		[ $? = 1 ] || fail "$o is not exit 1 $sloppy"
		grep -q "option '${o%%=*}' is refused: " "$T/err" || fail "$o: no reason: $(cat "$T/err")"
		grep -q '^  next: ' "$T/err" || fail "$o: no next step: $(cat "$T/err")"
	done
done

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
