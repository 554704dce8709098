#!/bin/bash
# Checks that includes follow the arrows between folders (docs/decisions.md, "Arrows").
#
# Folder x shows the world x.h and x_*.h; its other headers are private; all of base/ is public.
# raft and fs/ops are pure: no clock, thread, socket or library that performs I/O.
set -u
cd "$(dirname "$0")/../.." || exit 1

# folder: what it may include of other folders, as extended regular expressions on the path
allowed() {
	local store_kv='store/store_kv(_[a-z]+)?\.h'
	case $1 in
	base) echo '-' ;;
	raft) echo 'base/.*' ;;
	store) echo 'base/.*|raft/raft(_[a-z]+)?\.h' ;;
	net) echo 'base/.*|raft/raft(_[a-z]+)?\.h' ;;
	fs) echo "base/.*|$store_kv" ;;
	node) echo 'base/.*|(raft/raft|store/store|net/net|fs/fs)(_[a-z_]+)?\.h' ;;
	ctl | mount-helper) echo 'base/.*|(net/net|fs/fs|store/store)(_[a-z_]+)?\.h|node/node\.h' ;;
	esac
}

pure='^(pthread|threads|unistd|time|poll|signal|uv|sqlite3|fuse.*|sodium.*|sys/(socket|epoll|mman|uio|time))\.h$'
pure_base='^base/(clock|io|queue|log)\.h$'

bad=0
complain() {
	echo "$1"
	bad=1
}

for folder in base raft store net fs node ctl mount-helper; do
	rule=$(allowed $folder)
	while IFS=: read -r file line text; do
		[ -n "$file" ] || continue
		kind=$(sed -E 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"]).*/\1/' <<<"$text")
		path=$(sed -E 's/^[^<"]*[<"]([^>"]*)[>"].*/\1/' <<<"$text")
		if [[ $file == raft/* || $file == fs/ops/* ]]; then
			if [ "$kind" = '<' ] && [[ $path =~ $pure ]]; then
				complain "$file:$line: <$path> in a folder that has no clock, thread or I/O"
			elif [[ $path =~ $pure_base ]]; then
				complain "$file:$line: $path in a folder that has no clock, thread or I/O"
			fi
		fi
		[ "$kind" = '"' ] || continue
		if [[ $path != */* ]]; then
			complain "$file:$line: \"$path\": write the folder, as in \"$folder/$path\""
		elif [[ $file == fs/ops/* && $path == fs/fuse/* ]] ||
			[[ $file == fs/fuse/* && $path == fs/ops/* ]]; then
			complain "$file:$line: $path: fs/ops and fs/fuse meet only in fs/*.h"
		elif [[ $path == $folder/* ]]; then
			:
		elif ! [[ $path =~ ^($rule)$ ]]; then
			complain "$file:$line: $folder may not include $path (allowed: $rule)"
		fi
	done < <(find $folder -name '*.[ch]' -exec grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' {} +)
done
exit $bad
