#!/bin/bash
# Every sabotage still fits the code it harms, says which rule it breaks, and there are at least thirty.
cd "$(dirname "$0")/../.." || exit 1
command -v patch >/dev/null || { echo "SKIP: needs patch"; exit 77; }
bad=0 count=0
for p in tests/sabotage/*.patch; do
	count=$((count + 1))
	head -1 "$p" | grep -q '^Rule: .' || { echo "FAIL: $p names no rule in its first line"; bad=1; }
	patch --dry-run -s -p1 <"$p" >/dev/null || { echo "FAIL: $p does not apply"; bad=1; }
done
[ "$count" -ge 30 ] || { echo "FAIL: only $count sabotages"; bad=1; }
[ $bad = 0 ] && echo "$count sabotages apply"
exit $bad
