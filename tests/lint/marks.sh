#!/bin/bash
# Checks the names of coverage marks (base/mark.h): folder.subject.what-happened, the file's own folder.
set -u
cd "$(dirname "$0")/../.." || exit 1

find base raft store net fs node ctl mount-helper -name '*.[ch]' ! -path base/mark.h -print0 | sort -z |
	xargs -0 perl -e '
my $bad = 0;
for my $file (@ARGV) {
	open(my $in, "<", $file) or die "$file: $!\n";
	local $/;
	my $text = <$in>;
	my ($folder) = split("/", $file);
	# The name is the last argument, and MARK_IF() may spread over lines.
	while ($text =~ /\bMARK(?:_IF)?\s*\(([^;]*)\);/g) {
		my ($argument, $line) = ($1, 1 + (substr($text, 0, $-[0]) =~ tr/\n//));
		my ($name) = $argument =~ /"([^"]*)"\s*$/;
		$name //= "";
		next if $name =~ /^\Q$folder\E\.[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$/;
		print "$file:$line: mark \"$name\" is not $folder.subject.what-happened\n";
		$bad = 1;
	}
}
exit $bad;'
