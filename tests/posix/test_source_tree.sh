#!/bin/bash
# time-limit: 1500
# A real source tree on one embedded node: unpacked, configured, built, tested, committed, copied;
# then unmounted, mounted again, killed, mounted again: everything is there.
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/source.sh"

source_fetch
mount_embedded "$T/store" create
work_on_tree "$T/m1"
dump_tree "$T/m1" >"$T/before"
unmount 1
mount_embedded "$T/store"
dump_tree "$T/m1" >"$T/after"
cmp "$T/before" "$T/after" || fail "the tree changed over umount and mount"
say "umount, mount: $(wc -l <"$T/after") lines equal"
kill -KILL "${MOUNT_PID[1]}"
umount -l "$T/m1"
mount_embedded "$T/store"
dump_tree "$T/m1" >"$T/after"
cmp "$T/before" "$T/after" || fail "the tree changed over SIGKILL"
say "SIGKILL, mount: equal"
