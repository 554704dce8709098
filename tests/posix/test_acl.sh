#!/bin/bash
# POSIX ACLs: the same commands on a mount and on tmpfs give the same output, line by line; then what a second
# node's mount sees, and what a mount with noacl says.
. "$(dirname "$0")/../lib/cluster.sh"
for tool in setfacl getfacl setpriv; do
	command -v $tool >/dev/null || { echo "SKIP: needs $tool"; exit 77; }
done

as() { # UID GID[,GROUP...] COMMAND...: no capabilities, as that user
	local uid=$1 gids=$2
	shift 2
	setpriv --reuid "$uid" --regid "${gids%%,*}" --groups "$gids" -- "$@"
}

look() { # NAME...: everything an ACL shows in
	stat -c '%n %A %u %g' "$@"
	getfacl -nc "$@"
}

try() { # a command whose outcome belongs to the output
	local out
	out=$("$@" 2>&1) && echo "ok: $*" || echo "failed: $*: ${out##*: }"
	[ -z "$out" ] || echo "$out" | sed 's/.*: //'
}

commands() {
	umask 022
	# The mask is the mode's group class, both ways.
	echo text >f
	setfacl -m u:1001:rw,g:1002:r f && look f
	chmod 640 f && look f
	chmod 671 f && look f
	setfacl -m m::r f && look f
	try as 1001 1001 sh -c 'cat f; echo more >>f'
	setfacl -m m::rw f && try as 1001 1001 sh -c 'echo more >>f'
	try as 1003 1003,1002 cat f
	try as 1003 1003,1002 sh -c 'echo x >>f'
	try as 1004 1004 cat f
	chmod o= f && try as 1004 1004 cat f
	# An ACL that says no more than the mode is none.
	setfacl -b f && look f && getfattr -dm - f
	setfacl -m u:1001:r f && getfattr -m - --absolute-names f && setfacl -x u:1001,m f && look f
	setfacl --set u::rw,g::r,o::- f && getfattr -m - f && look f
	# Inheritance, with and without umask.
	mkdir d && setfacl -m d:u:1001:rwx,d:g::rx,d:o::- d && look d
	(umask 077 && echo x >d/file && mkdir d/sub && mkfifo d/pipe && ln -s nowhere d/link)
	look d/file d/sub d/pipe
	(umask 000 && mkdir -m 711 d/sub/narrow && touch d/sub/wide && install -m 400 /dev/null d/sub/least)
	look d/sub/narrow d/sub/wide d/sub/least
	stat -c %A d/link
	setfacl -k d && echo x >d/plain && look d d/plain
	mkdir e && setfacl --set d:u::rwx,d:g::r,d:o::- e && (umask 077 && touch e/f && mkdir e/s) && look e e/f e/s
	# Umask where there is no default ACL.
	(umask 027 && mkdir g && touch g/f && mkfifo g/p) && stat -c '%n %A' g g/f g/p
	(umask 000 && mkdir -m 1777 h && touch h/f) && stat -c '%n %A' h h/f
	# Setgid directories, and the setgid bit of files whose owner is not of the group.
	mkdir s && chgrp 1002 s && chmod 2775 s && setfacl -m d:u:1001:rwx s && mkdir s/in && touch s/in/f
	look s s/in s/in/f
	touch k && chown 1005:1002 k && chmod 2755 k
	as 1005 1005 setfacl -m u:1001:r k && look k
	chmod 2755 k && as 1005 1005,1002 setfacl -m u:1001:rw k && look k
	# Who may, and where.
	try as 1001 1001 setfacl -m u:1001:rwx k
	try setfacl -m d:u:1001:r k
	try as 1005 1005 setfacl -x u:1001 k
	look k
	# Many entries; attributes among others; copies.
	setfacl -m "$(seq -f 'u:%.0f:r' 2000 2300 | paste -sd,)" k && getfacl -nc k | wc -l
	setfattr -n user.x -v 1 k && setfattr -n trusted.y -v 2 k && getfattr -m - k && setfattr -x user.x k
	cp -a k k2 && getfacl -nc k2 | wc -l && mv k2 k3 && getfacl -nc k3 | wc -l && rm k3
	setfacl -b k && getfattr -m - k
	# Directories: search by name or not at all.
	mkdir -m 700 priv && echo secret >priv/x && try as 1001 1001 cat priv/x
	setfacl -m u:1001:x priv && try as 1001 1001 cat priv/x && try as 1001 1001 ls priv
	chmod g-x priv && look priv && try as 1001 1001 cat priv/x
	ls -l | sed 's/.* //; s/^total.*//' | sort
}

run_in() { # DIR
	mkdir -p "$1" && chmod 755 "$1" && (cd "$1" && commands) 2>&1
}

cluster_init 2
nodes_start
wait_leader
mount_node 1
mount_node 2
mkdir "$T/ram"
mount -t tmpfs none "$T/ram" || { echo "SKIP: no tmpfs to compare with"; exit 77; }
chmod 755 "$T"
run_in "$T/ram/t" >"$T/want"
run_in "$T/m1/t" >"$T/got"
diff -u "$T/want" "$T/got" >"$T/diff" || { cat "$T/diff"; fail "the mount differs from tmpfs"; }
[ "$(grep -c . "$T/want")" -gt 200 ] || fail "the commands did not run: $(cat "$T/want")"
say "as on tmpfs: $(grep -c . "$T/want") lines"

# What one mount set, another enforces at once, also after it had looked before.
echo text >"$T/m1/shared"
chmod 600 "$T/m1/shared"
for i in $(seq 20); do
	as 1001 1001 cat "$T/m2/shared" >/dev/null 2>&1 && fail "round $i: read without permission"
	setfacl -m u:1001:r "$T/m1/shared"
	as 1001 1001 cat "$T/m2/shared" >/dev/null || fail "round $i: permission given on m1 is not seen on m2"
	setfacl -b "$T/m2/shared"
	as 1001 1001 cat "$T/m1/shared" >/dev/null 2>&1 && fail "round $i: permission taken on m2 holds on m1"
done
say "20 rounds between two mounts"

setfacl -m u:1001:r "$T/m1/shared"
setfattr -n user.x -v 1 "$T/m1/shared"
unmount 2
mount_node 2 noacl
setfacl -m u:1002:r "$T/m2/shared" 2>"$T/err" && fail "noacl: an ACL was set"
grep -q "Operation not supported" "$T/err" || fail "noacl: $(cat "$T/err")"
[ "$(getfattr --absolute-names --only-values -n user.x "$T/m2/shared")" = 1 ] || fail "noacl: other attributes are gone"
getfattr --absolute-names -m - "$T/m2/shared" | grep -q posix_acl && fail "noacl: an ACL is listed"
(umask 027 && touch "$T/m2/masked") && [ "$(stat -c %a "$T/m2/masked")" = 640 ] || fail "noacl: umask"
unmount 2
mount_node 2 noacl,acl
getfacl -pnc "$T/m2/shared" | grep -q user:1001:r-- || fail "of noacl and acl the last one counts"
digests_equal
for n in 1 2; do unmount $n; done
