#!/bin/bash
# A signal that a process handles interrupts no call on a file, as on a local disk: not while its node is gone, nor
# while there is no leader. A signal that ends the process does, at once.
. "$(dirname "$0")/../lib/cluster.sh"

cluster_init 3
nodes_start
wait_leader
mount_node 1
echo 0123456789 >"$T/m1/f"

# Every call there is, again and again, with a signal every 20 ms. Handled without SA_RESTART, as perl does.
cat >"$T/calls.pl" <<'PERL'
use Fcntl qw(:DEFAULT :seek :flock);
use POSIX ();
use Time::HiRes qw(setitimer ITIMER_REAL time);
my ($dir, $seconds) = @ARGV;
my ($signals, $rounds, $longest, %failed) = (0, 0, 0);
POSIX::sigaction(POSIX::SIGALRM(), POSIX::SigAction->new(sub { $signals++ }, POSIX::SigSet->new, 0));
setitimer(ITIMER_REAL, 0.02, 0.02);
sub try { my ($what, $ok) = @_; $failed{"$what: $!"}++ unless $ok; }
my $end = time + $seconds;
while (time < $end) {
	my $from = time;
	try("open", sysopen(my $f, "$dir/f", O_RDWR | O_CREAT));
	try("seek", sysseek($f, 0, SEEK_END));
	try("write", syswrite($f, "x") == 1);
	sysseek($f, 0, SEEK_SET);
	try("read", defined sysread($f, my $b, 10));
	try("fstat", my @s = stat($f));
	try("truncate", truncate($f, 10));
	try("close", close($f));
	try("stat", @s = stat("$dir/f"));
	try("mkdir", mkdir("$dir/d"));
	try("opendir", opendir(my $d, $dir));
	try("readdir", my @n = readdir($d));
	closedir($d);
	try("rename", rename("$dir/d", "$dir/e"));
	try("rmdir", rmdir("$dir/e"));
	$rounds++;
	$longest = time - $from if time - $from > $longest;
}
printf "%d rounds, %d signals, longest %.1f s\n", $rounds, $signals, $longest;
print map { "$failed{$_} times $_\n" } sort keys %failed;
exit(%failed ? 1 : 0);
PERL

calls() { # in the background
	perl "$T/calls.pl" "$T/m1" "$1" >"$T/calls.out" 2>&1 &
	caller=$!
}

calls_fine() { # WHEN
	wait $caller || fail "$1: $(cat "$T/calls.out")"
	say "$1: $(cat "$T/calls.out")"
}

# Afterwards, so that the first call has never left the mount; then while one is under way.
node_kill 1
calls 3
sleep 1
node_start 1
sleep 1
node_kill 1
sleep 0.5
node_start 1
calls_fine "its node was gone"

calls 3
sleep 0.5
node_kill 2
node_kill 3
sleep 1.5
node_start 2
node_start 3
calls_fine "there was no majority"

node_kill 1
for what in "stat -c %n $T/m1/f" "mkdir $T/m1/d"; do
	$what >/dev/null 2>&1 &
	caller=$!
	sleep 0.3
	process_gone $caller && fail "'$what' ended while the node was gone"
	kill -INT $caller 2>/dev/null
	kill -TERM $caller
	for i in $(seq 20); do process_gone $caller && break; sleep 0.1; done
	process_gone $caller || fail "'$what' cannot be ended by SIGTERM"
	wait $caller 2>/dev/null
done
node_start 1
wait_leader
unmount 1
digests_equal
