#!/bin/bash
# The man pages against the programs' own tables (--print-options): every verb and option has an entry with
# its value's name and its default, no page tells of one that is not there; groff finds no fault.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$top/build}
man=${MAN:-$top/man}
command -v groff >/dev/null || { echo "SKIP: needs groff"; exit 77; }
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
bad=0

complain() {
	echo "FAIL: $*"
	bad=1
}

# Prints SECTION<TAB>TAG<TAB>TEXT for each tagged paragraph of a page, without markup.
entries() { # PAGE
	awk '
	function plain(s) {
		gsub(/\\f[A-Z]/, "", s); gsub(/\\-/, "-", s); gsub(/\\&/, "", s); gsub(/\\\(aq/, "\047", s)
		return s
	}
	# The arguments of a macro: joined by spaces for one font, by nothing for two.
	function macro(line,    out, word, sep, quoted, i, c) {
		sep = line ~ /^\.[BI] / ? " " : ""
		line = substr(line, index(line, " ") + 1)
		out = ""
		quoted = 0
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			if (c == "\"") quoted = !quoted
			else if (c == " " && !quoted) out = out sep
			else out = out c
		}
		return out
	}
	function text(line) {
		if (line ~ /^\.(B|I|BI|BR|IR|RB|RI|IB) /) return plain(macro(line))
		return line ~ /^[.\047]/ ? "" : plain(line)
	}
	function flush() {
		if (tag != "") { gsub(/[ \t]+/, " ", body); print section "\t" tag "\t" body }
		tag = body = ""
	}
	/^\.SH/ { flush(); section = substr($0, 5) }
	/^\.(SS|PP)/ { flush() }
	/^\.TP/ { flush(); want = 1; next }
	want { tag = text($0); want = 0; next }
	{ body = body " " text($0) }
	END { flush() }' "$1"
}

# has_default BODY DEFAULT
has_default() {
	[[ "$1 " == *"Default: $2. "* ]]
}

# check_option PAGE WHERE NAME VALUE DEFAULT: one entry --NAME or --NAME=VALUE among the entries on stdin.
check_option() {
	local page=$1 where=$2 name=$3 value=$4 def=$5 section tag body found=
	while IFS=$'\t' read -r section tag body; do
		[[ ", $tag" == *", --$name${value:+=$value}" ]] || continue
		found=yes
		[ -z "$def" ] || has_default "$body" "$def" || continue
		return 0
	done
	if [ -n "$found" ]; then
		complain "$page: $where --$name: the page does not say 'Default: $def.'"
	else
		complain "$page: $where --$name${value:+=$value} has no entry"
	fi
}

# Every --option tag of a page must be in the names on stdin.
no_stale_options() { # PAGE
	local names
	names=" $(tr '\n' ' ')"
	entries "$man/$1" | cut -f2 | grep -o -- '--[a-z][a-z-]*' | sort -u | while read -r name; do
		[[ "$names" == *" ${name#--} "* ]] || echo "FAIL: $1: $name is in the page, not in the program"
	done >"$T/stale"
	[ -s "$T/stale" ] && { cat "$T/stale"; bad=1; }
}

check_program() { # PROGRAM PAGE: a plain table of --options
	local name value def
	entries "$man/$2" >"$T/entries"
	while IFS=$'\037' read -r name value def; do
		check_option "$2" "" "$name" "$value" "$def" <"$T/entries"
	done < <(tr '\t' '\037' <"$1")
	cut -f1 "$1" | no_stale_options "$2"
}

# quorumfsd
"$BUILD/bin/quorumfsd" --print-options >"$T/quorumfsd" || complain "quorumfsd --print-options"
check_program "$T/quorumfsd" quorumfsd.8

# quorumfs: lines "verb<TAB>NAME" before each verb's options
"$BUILD/bin/quorumfs" --print-options >"$T/quorumfs" || complain "quorumfs --print-options"
entries "$man/quorumfs.8" >"$T/entries"
verb=
while IFS=$'\037' read -r name value def; do
	if [ "$name" = verb ]; then
		verb=$value
		cut -f2 "$T/entries" | grep -qE "^$verb( |\$)" || complain "quorumfs.8: the verb '$verb' has no entry"
	else
		check_option quorumfs.8 "$verb" "$name" "$value" "$def" <"$T/entries"
	fi
done < <(tr '\t' '\037' <"$T/quorumfs")
grep -v "^verb	" "$T/quorumfs" | cut -f1 | no_stale_options quorumfs.8
grep "^VERBS	" "$T/entries" | cut -f2 | grep '^[a-z]' >"$T/told"
while read -r told; do
	known=
	while read -r verb; do [[ "$told " == "$verb "* ]] && known=yes; done < <(sed -n 's/^verb	//p' "$T/quorumfs")
	[ -n "$known" ] || complain "quorumfs.8: the verb '$told' is in the page, not in the program"
done <"$T/told"

# mount.quorumfs: its command line, then a line "mount options", then those
"$BUILD/bin/mount.quorumfs" --print-options >"$T/mount" || complain "mount.quorumfs --print-options"
sed '/^mount options$/,$d' "$T/mount" >"$T/mount-argv"
sed '1,/^mount options$/d' "$T/mount" >"$T/mount-o"
check_program "$T/mount-argv" mount.quorumfs.8
grep "^MOUNT OPTIONS	" "$T/entries" | cut -f2- >"$T/o-entries"
while IFS=$'\037' read -r name value def; do
	body=$(awk -F '\t' -v tag="$name${value:+=$value}" '$1 == tag { print $2 }' "$T/o-entries")
	[ -n "$body" ] || { complain "mount.quorumfs.8: '$name${value:+=$value}' has no entry"; continue; }
	[ "$(wc -l <<<"$body")" = 1 ] || complain "mount.quorumfs.8: '$name' has two entries"
	[ -z "$def" ] || has_default "$body" "$def" ||
		complain "mount.quorumfs.8: $name: the page does not say 'Default: $def.'"
done < <(tr '\t' '\037' <"$T/mount-o")
cut -f1 "$T/o-entries" | sed 's/=.*//' | while read -r name; do
	cut -f1 "$T/mount-o" | grep -qx -- "$name" ||
		echo "FAIL: mount.quorumfs.8: '$name' is in the page, not in the program"
done >"$T/stale"
[ -s "$T/stale" ] && { cat "$T/stale"; bad=1; }

# An empty table would compare well with anything.
[ "$(wc -l <"$T/quorumfsd")" -ge 5 ] && [ "$(grep -c '^verb' "$T/quorumfs")" -ge 5 ] &&
	[ "$(wc -l <"$T/mount-o")" -ge 20 ] || complain "a table is too short to be true"

for page in "$man"/*.[1-8]; do
	groff -t -man -ww -z -Tutf8 "$page" >"$T/out" 2>&1
	[ -s "$T/out" ] && complain "${page##*/}: $(cat "$T/out")"
	for section in NAME DESCRIPTION "SEE ALSO"; do
		grep -q "^\.SH \"\{0,1\}$section" "$page" || complain "${page##*/} has no section $section"
	done
	case $page in *.8)
		for section in SYNOPSIS "EXIT STATUS" EXAMPLES DIAGNOSTICS; do
			grep -q "^\.SH \"\{0,1\}$section" "$page" || complain "${page##*/} has no section $section"
		done ;;
	esac
done
[ $bad = 0 ] && echo "$(cat "$T/quorumfsd" "$T/quorumfs" "$T/mount" | wc -l) options and verbs, $(ls "$man" | wc -l) pages"
exit $bad
