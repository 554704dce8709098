#!/bin/bash
# root_squash and all_squash: who acts as somebody else may do what that one may, by modes and ACLs, and no more.
. "$(dirname "$0")/../lib/cluster.sh"
PYTHON=/usr/bin/python3 # another one may be in a home that nobody else may enter
for tool in setpriv setfacl $PYTHON; do
	command -v $tool >/dev/null || { echo "SKIP: needs $tool"; exit 77; }
done

as() { # UID GID COMMAND...
	local uid=$1 gid=$2
	shift 2
	setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"
}

expect() { # WANTED COMMAND...: what it prints
	local wanted=$1 got
	shift
	got=$("$@" 2>&1)
	[ "$got" = "$wanted" ] || fail "$*: '$got' instead of '$wanted'"
}

may() { "$@" 2>"$T/err" || fail "refused: $*: $(cat "$T/err")"; }

may_not() { # ERROR COMMAND...: fails with this text
	local error=$1
	shift
	"$@" >/dev/null 2>"$T/err" && fail "permitted: $*"
	grep -q "$error" "$T/err" || fail "$*: not '$error': $(cat "$T/err")"
}

call() { $PYTHON -c "import os, stat, sys; $1" "${@:2}"; } # one system call, so that no tool checks by itself

D="Permission denied" P="not permitted"
cluster_init 1
nodes_start
wait_leader
mount_node 1
chmod 755 "$T" "$T/m1"
R=$T/m1 S=$T/m2

mkdir -m 700 "$R/secret"
echo text >"$R/secret/file"
mkdir -m 755 "$R/readable"
echo text >"$R/readable/private"
chmod 600 "$R/readable/private"
echo text >"$R/readable/public"
mkdir -m 777 "$R/open"
mkdir -m 1777 "$R/sticky"
echo theirs >"$R/sticky/theirs"
mkdir -m 770 "$R/team"
chgrp 55 "$R/team"
printf '#!/bin/sh\necho ran\n' >"$R/readable/program"
chmod 711 "$R/readable/program"

say "root_squash: root is 65534, everybody else is himself"
mount_at "$T/n1/node.sock" "$S" 2 root_squash || fail "mount with root_squash"
may_not "$D" cat "$S/secret/file"
may_not "$D" ls "$S/secret"
may_not "$D" stat "$S/secret/file"
may_not "$D" cat "$S/readable/private"
expect text cat "$S/readable/public"
may_not "$D" call 'os.open(sys.argv[1], os.O_WRONLY)' "$S/readable/public"
may_not "$D" call 'os.open(sys.argv[1], os.O_RDONLY | os.O_TRUNC)' "$S/readable/public"
may_not "$D" call 'os.truncate(sys.argv[1], 0)' "$S/readable/public"
may_not "$D" touch "$S/readable/new"
may_not "$D" mkdir "$S/readable/dir"
may_not "$D" ln -s x "$S/readable/link"
may_not "$D" rm "$S/readable/public"
may_not "$D" mv "$S/readable/public" "$S/open/public"
may_not "$D" ln "$S/readable/public" "$S/readable/second"
may_not "$P" chmod 777 "$S/readable/public"
may_not "$P" chown 65534 "$S/readable/public"
may_not "$P" call 'os.utime(sys.argv[1], (1, 1))' "$S/readable/public"
may_not "$D" call 'os.utime(sys.argv[1])' "$S/readable/public"
may_not "$P" setfacl -m u:65534:rwx "$S/readable/private"
may_not "$P" setfattr -n trusted.x -v 1 "$S/readable/public"
may_not "$D" setfattr -n user.x -v 1 "$S/readable/public"
may_not "$P" mknod "$S/open/zero" c 1 5
may_not "$P" rm -f "$S/sticky/theirs"
may touch "$S/open/mine"
expect "65534 65534" stat -c '%u %g' "$R/open/mine"
may bash -c "echo more >>'$S/open/mine' && chmod 640 '$S/open/mine' && touch -d 2001-01-01 '$S/open/mine'"
may_not "$P" chown 0 "$S/open/mine"
may mknod "$S/open/pipe" p
may mv "$S/open/mine" "$S/open/renamed"
may_not "Permission denied\|not permitted" bash -c "exec '$S/readable/private'"
expect text as 0 0 cat "$R/secret/file"
may as 77 77 touch "$S/open/by77"
expect "77 77" stat -c '%u %g' "$S/open/by77"
may_not "$D" as 77 77 cat "$S/readable/private"
chmod 755 "$R/readable/program"
expect ran "$S/readable/program"
rm "$R/open"/*

say "a directory that moves to another parent must be writable"
mkdir -m 777 "$R/open/a" "$R/open/b"
mkdir -m 755 "$R/open/a/fixed"
may_not "$D" mv -T "$S/open/a/fixed" "$S/open/b/fixed"
may mv -T "$S/open/a/fixed" "$S/open/a/fixed2"
rm -r "$R/open/a" "$R/open/b"

say "setgid is for members: neither made nor set for another group"
mkdir -m 2777 "$R/open/of55"
chgrp 55 "$R/open/of55"
chmod 2777 "$R/open/of55"
call 'os.umask(0); os.close(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o2775))' "$S/open/of55/program"
expect "775 65534 55" stat -c '%a %u %g' "$R/open/of55/program"
may chmod 2755 "$S/open/of55/program"
expect "755" stat -c %a "$R/open/of55/program"
rm -r "$R/open/of55"

say "what was opened before stays open: a handle is not asked again"
exec 7<>"$S/open/handle"
chown 0:0 "$R/open/handle"
chmod 600 "$R/open/handle"
echo written >&7 || fail "a handle was refused"
call 'os.ftruncate(7, 3)' || fail "ftruncate of a handle was refused"
expect 3 stat -c %s "$R/open/handle"
exec 7>&-

say "ACLs count for squashed callers"
setfacl -m u:65534:r "$R/readable/private"
expect text cat "$S/readable/private"
may_not "$D" call 'os.open(sys.argv[1], os.O_RDWR)' "$S/readable/private"
setfacl -m u:65534:rw,m:r "$R/readable/private"
may_not "$D" call 'os.open(sys.argv[1], os.O_RDWR)' "$S/readable/private"
setfacl -b -m g:65534:rw "$R/readable/private"
may call 'os.open(sys.argv[1], os.O_RDWR)' "$S/readable/private"
setfacl -b "$R/readable/private"
umount "$S"

say "root-squash=0:55: the group alone"
mount_at "$T/n1/node.sock" "$S" 2 root-squash=1234:55 || fail "mount with root-squash="
may touch "$S/team/shared"
expect "1234 55" stat -c '%u %g' "$R/team/shared"
umount "$S"

say "all-squash=1000:55: everybody is 1000, whoever he is, and access(2) knows"
mount_at "$T/n1/node.sock" "$S" 2 all-squash=1000:55 || fail "mount with all-squash"
may as 77 77 touch "$S/team/by77"
expect "1000 55" stat -c '%u %g' "$R/team/by77"
may as 78 78 bash -c "echo 78 >>'$S/team/by77'; chmod 600 '$S/team/by77'"
expect 78 as 79 79 cat "$S/team/by77"
may_not "$D" as 79 79 cat "$S/readable/private"
may_not "$D" cat "$S/readable/private"
may_not "$D" as 79 79 bash -c "cd '$S/secret'"
may as 79 79 test -w "$S/team/by77"
as 79 79 test -r "$S/readable/private" && fail "access(2) says that the private file is readable"
chmod 700 "$R/readable/program"
may_not "$D" "$S/readable/program"
chown 1000 "$R/readable/program"
expect ran as 79 79 "$S/readable/program"
may_not "not supported" setfacl -m u:1:r "$S/team/by77"
umount "$S"

say "random modes and ACLs: all_squash permits what a local directory permits to the same user"
mkdir "$T/local"
chmod 755 "$T/local"
cat >"$T/draw.py" <<'PY'
import os, random, struct, sys
draw = random.Random(int(sys.argv[1]))
for i in range(300):
    mode, uid, gid = draw.randrange(0o1000), draw.choice([0, 1000, 1001]), draw.choice([0, 55, 56])
    entries = [(1, mode >> 6, 0xffffffff)]
    if draw.random() < 0.6:
        entries += [(2, draw.randrange(8), u) for u in (1000, 1001) if draw.random() < 0.5]
        entries += [(4, draw.randrange(8), 0xffffffff)]
        entries += [(8, draw.randrange(8), g) for g in (55, 56) if draw.random() < 0.5]
        entries += [(16, mode >> 3 & 7, 0xffffffff)]
    else:
        entries += [(4, mode >> 3 & 7, 0xffffffff)]
    entries += [(32, mode & 7, 0xffffffff)]
    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in entries)
    for top in sys.argv[2:]:
        path = f'{top}/{i}'
        os.mkdir(path) if i % 2 else os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.chown(path, uid, gid)
        os.chmod(path, mode)
        os.setxattr(path, 'system.posix_acl_access', acl)
PY
cat >"$T/look.py" <<'PY'
import os, sys
os.chdir(sys.argv[1])
for i in range(300):
    print(i, [os.access(str(i), want) for want in range(1, 8)])
PY
mkdir -m 755 "$R/random"
$PYTHON "$T/draw.py" $RANDOM "$R/random" "$T/local" || fail "drawing files"
for who in 1000:55 1001:56 1002:55 1002:57; do
	mount_at "$T/n1/node.sock" "$S" 2 all-squash=$who || fail "mount with all-squash"
	as "${who%:*}" "${who#*:}" $PYTHON "$T/look.py" "$T/local" >"$T/local.txt"
	as 77 77 $PYTHON "$T/look.py" "$S/random" >"$T/squashed.txt"
	grep -q True "$T/local.txt" || fail "nothing is permitted"
	diff "$T/local.txt" "$T/squashed.txt" || fail "all-squash=$who and $who itself may different things"
	umount "$S"
done

say "no_root_squash behind it is the last word; values that are none are refused"
mount_at "$T/n1/node.sock" "$S" 2 root_squash,no_root_squash || fail "mount with no_root_squash"
expect text cat "$S/secret/file"
umount "$S"
for bad in root-squash=1 root-squash=1: all-squash=a:b all-squash=4294967295:1 root-squash=1:2:3; do
	mount.quorumfs "$T/n1/node.sock" "$S" -o $bad 2>"$T/err"
	[ $? = 1 ] || fail "$bad is not exit 1"
	grep -q 'UID:GID' "$T/err" || fail "$bad: it does not say what is wanted: $(cat "$T/err")"
done
unmount 1
node_stop 1
