# json.awk - the lines "round place name value unit [p50 p99]" as JSON.
BEGIN { printf "{\"kernel\":\"%s\",\"cores\":%d,\"version\":\"%s\",\"values\":[", kernel, cores, version }
{
	printf "%s\n{\"round\":%d,\"place\":\"%s\",\"work\":\"%s\",\"value\":%s,\"unit\":\"%s\"", (NR > 1 ? "," : ""), $1, $2, $3, $4, $5
	if (NF >= 7) printf ",\"p50_ms\":%s,\"p99_ms\":%s", $6, $7
	printf "}"
}
END { print "\n]}" }
