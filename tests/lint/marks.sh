#!/bin/bash
# Checks the names of coverage marks (base/mark.h): folder.subject.what-happened, the folder's own first.
set -u
cd "$(dirname "$0")/../.." || exit 1

bad=0
while IFS=: read -r file line text; do
	[ -n "$file" ] || continue
	folder=${file%%/*}
	[ "$file" = base/mark.h ] && continue
	name=$(sed -nE 's/.*\<MARK\("([^"]*)"\).*/\1/p' <<<"$text")
	if ! [[ $name =~ ^$folder\.[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$ ]]; then
		echo "$file:$line: mark '$name' is not $folder.subject.what-happened"
		bad=1
	fi
done < <(grep -rnE '\<MARK\(' --include='*.[ch]' base raft store net fs node ctl mount-helper)
exit $bad
