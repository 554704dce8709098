# table.awk - the lines "round place name value unit [p50 p99]" as a table: median and spread of each place, and how
# many times as fast quorumfs is as the best of gluster, moosefs and etcd, and as the passthrough.
function add(key, x) { count[key]++; value[key, count[key]] = x }
function sorted(key,   i, j, t) {
	for (i = 2; i <= count[key]; i++)
		for (j = i; j > 1 && value[key, j - 1] > value[key, j]; j--) {
			t = value[key, j]; value[key, j] = value[key, j - 1]; value[key, j - 1] = t
		}
}
function median(key) { return value[key, int((count[key] + 1) / 2)] }
function has(name, place) { return ((name SUBSEP place) in count) }
function round_(x) { return x >= 100 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x) }
function ratio(name, ours, theirs) { return unit[name] == "s" ? theirs / ours : ours / theirs }
function versus(name, us, them) {
	if (them == "" || !has(name, us) || !has(name, them)) return "-"
	return sprintf("%.2f (%s)", ratio(name, median(name SUBSEP us), median(name SUBSEP them)), them)
}
{
	if (!($3 in unit)) order[++names] = $3
	unit[$3] = $5
	add($3 SUBSEP $2, $4 + 0)
}
END {
	n = split(places, place, ",")
	printf "%-16s %-6s", "", "unit"
	for (p = 1; p <= n; p++) printf " %22s", place[p]
	print ""
	for (i = 1; i <= names; i++) {
		name = order[i]
		printf "%-16s %-6s", name, unit[name]
		for (p = 1; p <= n; p++) {
			key = name SUBSEP place[p]
			if (!(key in count)) { printf " %22s", "-"; continue }
			sorted(key)
			printf " %22s", round_(median(key)) " (" round_(value[key, 1]) "-" round_(value[key, count[key]]) ")"
		}
		print ""
	}
	print "\nratios (above 1: quorumfs is faster)"
	printf "%-16s %28s %28s %28s\n", "", "leader / best peer", "follower / best peer", "embedded / passthrough"
	for (i = 1; i <= names; i++) {
		name = order[i]; best = ""
		for (p = 1; p <= n; p++)
			if (place[p] ~ /^(gluster|moosefs|etcd)$/ && has(name, place[p]) &&
			    (best == "" || ratio(name, median(name SUBSEP place[p]), median(name SUBSEP best)) > 1)) best = place[p]
		line = ""
		for (k = 1; k <= 2; k++) {
			us = k == 1 ? "leader" : "follower"
			line = line sprintf(" %28s", versus(name, us, best))
		}
		line = line sprintf(" %28s", versus(name, "embedded", "passthrough"))
		if (line ~ /[0-9]/) printf "%-16s%s\n", name, line
	}
}
