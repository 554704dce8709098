#!/bin/bash
# What users mistype and machines lack: a clear error in four parts, the right exit code, nothing lost.
. "$(dirname "$0")/../lib/cluster.sh"

# expect CODE TEXT COMMAND...: exit code, a text in the first line, "still works" and "next".
expect() {
	local code=$1 text=$2 got
	shift 2
	timeout 60 "$@" >"$T/out" 2>&1
	got=$?
	[ $got = "$code" ] || fail "exit $got instead of $code: $* -> $(cat "$T/out")"
	grep -q -- "$text" "$T/out" || fail "'$text' is not in: $(cat "$T/out")"
	grep -q '^  still works: ' "$T/out" || fail "no third part: $(cat "$T/out")"
	grep -q '^  next: ' "$T/out" || fail "no fourth part: $(cat "$T/out")"
	say "ok: $text"
}

mkdir "$T/mnt" "$T/empty" "$T/other" "$T/notastore"
echo data >"$T/notastore/file"
quorumfs init "$T/store" >/dev/null || fail init

expect 1 "did you mean 'attr_timeout'" mount.quorumfs "$T/store" "$T/mnt" -o attr_timout=1
expect 1 "'timeo'" mount.quorumfs "$T/store" "$T/mnt" -o timeo=soon
expect 32 "No such file" mount.quorumfs "$T/store" "$T/missing"
expect 32 "not a directory" mount.quorumfs "$T/store" /dev/null
expect 32 "notastore" mount.quorumfs "$T/notastore" "$T/mnt"
expect 32 "No such file" mount.quorumfs "$T/nothing" "$T/mnt"
grep -q 'next: quorumfs init' "$T/out" || fail "the error does not name quorumfs init"
expect 32 "empty" mount.quorumfs "$T/empty" "$T/mnt"
grep -q 'next: quorumfs init' "$T/out" || fail "the error does not name quorumfs init"
expect 32 "notastore" mount.quorumfs "$T/notastore" "$T/mnt" -o create
[ "$(cat "$T/notastore/file")" = data ] || fail "data of a directory that is no store was touched"
expect 32 "below its own mount point" mount.quorumfs "$T/store" "$T"
expect 32 "below its own mount point" mount.quorumfs "$T/mnt/new" "$T/mnt" -o create
[ -e "$T/mnt/new" ] && fail "a store was made that its own mount would have hidden"
expect 1 "port" mount.quorumfs "localhost:notaport" "$T/mnt"
expect 32 "no node can be reached" mount.quorumfs "127.0.0.1:1" "$T/mnt" -o mount_timeout=2
expect 1 "two\|operands" mount.quorumfs "$T/store"
expect 1 "needs a value" mount.quorumfs "$T/store" "$T/mnt" -o
expect 1 "exclude each other" mount.quorumfs "$T/store" "$T/mnt" -o hard,softerr
expect 1 "unknown log level" mount.quorumfs "$T/store" "$T/mnt" -o log-level=loud
expect 32 "cannot open the log file" mount.quorumfs "$T/store" "$T/mnt" -o log-file="$T/missing/log"
expect 32 "neither a store's directory nor a node's socket" mount.quorumfs "$T/notastore/file" "$T/mnt"
expect 32 "no node can be reached" mount.quorumfs "$T/store/node.sock" "$T/mnt" -o mount_timeout=1
grep -q "next: quorumfsd $T/store" "$T/out" || fail "the error does not say how to start the node: $(cat "$T/out")"

mount_embedded "$T/store"
echo kept >"$T/m1/kept"
quorumfs init "$T/store2" >/dev/null
expect 32 "already mounted" mount.quorumfs "$T/store2" "$T/m1"
expect 32 "has it open" mount.quorumfs "$T/store" "$T/mnt"
grep -q "next: mount -t quorumfs $T/store/node.sock $T/mnt" "$T/out" || fail "the error does not name the socket"
expect 1 "has it open" quorumfsd "$T/store"
[ "$(cat "$T/m1/kept")" = kept ] || fail "the running mount was disturbed"
unmount 1

expect 1 "not a store\|no superblock\|empty\|No such" quorumfsd "$T/other"
expect 2 "unknown option" quorumfsd --lissten=1 "$T/store"
expect 2 "unknown verb" quorumfs stauts
expect 3 "" quorumfs status --node "$T/store"
expect 2 "must be at most 7" quorumfs init "$T/x" --id=9 --members=127.0.0.1:1,127.0.0.1:2
expect 2 "not one of 1 to 2" quorumfs init "$T/x" --id=3 --members=127.0.0.1:1,127.0.0.1:2
expect 1 "store\|empty" quorumfs init "$T/store"

expect 2 "no stores" quorumfs cluster start "$T/nodes"
mkdir -p "$T/lost"
quorumfs init "$T/lost/n1" --members=127.0.0.1:1,127.0.0.1:2,127.0.0.1:3 >/dev/null || fail init
expect 1 "some lost" quorumfs cluster start "$T/lost" 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3
[ -e "$T/lost/n2" ] && fail "a store that may have voted was made anew"
expect 1 "did not start" quorumfs cluster start "$T/taken" 203.0.113.1:7901
expect 3 "no such socket\|cannot connect" quorumfs kv get missing --node "$T/store"

# Ports, clusters, garbage.
cluster_init 3
nodes_start
wait_leader
mount_node 1
echo kept >"$T/m1/kept"
port=${MEMBERS%%,*}
quorumfs init "$T/o1" --members="$MEMBERS" --cluster=00112233445566778899aabbccddeeff >/dev/null
expect 1 "${port##*:}" quorumfsd "$T/o1"
p2=$(free_port)
expect 1 "belongs to another cluster" quorumfsd "$T/o1" --listen="127.0.0.1:$p2" --log-level=none
head -c 100000 /dev/urandom >"/dev/tcp/${port%%:*}/${port##*:}" 2>/dev/null
printf 'GET / HTTP/1.0\r\n\r\n' >"/dev/tcp/${port%%:*}/${port##*:}" 2>/dev/null
for i in $(seq 20); do head -c $((RANDOM % 3000)) /dev/urandom >"/dev/tcp/${port%%:*}/${port##*:}"; done 2>/dev/null
[ "$(cat "$T/m1/kept")" = kept ] && echo more >"$T/m1/more" || fail "garbage on the port did harm"
say "ok: garbage on the port"

# A directory without permission: as another user.
if command -v setpriv >/dev/null; then
	chmod 700 "$T/store"
	chmod 755 "$T"
	expect 1 "ermission" setpriv --reuid=65534 --regid=65534 --clear-groups "$BUILD/bin/quorumfsd" "$T/store"
fi

# A full disk: ENOSPC, deletes work, writes work again afterwards; nothing acknowledged is lost.
truncate -s 256M "$T/disk.img"
mkfs.ext4 -q -F "$T/disk.img" || fail mkfs
mkdir "$T/disk"
mount -o loop "$T/disk.img" "$T/disk" || { echo "SKIP: no loop devices"; exit 77; }
unmount 1
quorumfs init "$T/disk/store" >/dev/null || fail "init on the small disk"
mount_embedded "$T/disk/store" snapshot-threshold=16M
full=
for i in $(seq 400); do
	if ! dd if=/dev/urandom of="$T/m1/big$i" bs=1M count=1 status=none 2>"$T/out"; then
		full=yes
		break
	fi
	sha256sum <"$T/m1/big$i" >"$T/sum$i"
done
[ -n "$full" ] || fail "256 MiB took 400 MiB"
grep -q "No space left" "$T/out" || fail "not ENOSPC: $(cat "$T/out")"
say "ENOSPC after $i MiB"
# Killed while the disk is full, it starts again and has everything.
kill -KILL "${MOUNT_PID[1]}"
umount "$T/m1" || fail "umount after the kill"
mount_embedded "$T/disk/store" snapshot-threshold=16M
for j in $(seq $((i - 1))); do
	sha256sum <"$T/m1/big$j" | cmp -s - "$T/sum$j" || fail "big$j is damaged"
done
rm "$T"/m1/big* || fail "deletes fail on a full disk"
for k in $(seq 90); do
	{ echo again >"$T/m1/again"; } 2>/dev/null && break
	sleep 1
done
[ "$(cat "$T/m1/again")" = again ] || fail "no writes after deletes within 90 s"
say "writes again after $k s"
unmount 1
mount_embedded "$T/disk/store"
[ "$(cat "$T/m1/again")" = again ] || fail "what was written after the deletes is lost"
[ -z "$(ls "$T"/m1/big* 2>/dev/null)" ] || fail "deleted files are back"
quorumfs check --tree --node "$T/disk/store" || fail "check after the full disk"
unmount 1
umount "$T/disk"
