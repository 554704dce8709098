# suite.sh - a suite of somebody else's on real mounts; sourced after cluster.sh.
#
#   suite_run NAME [OPTIONS]    run_on TITLE DIRECTORY..., which the script defines, on the directory that ON names, or on
#                               mounts of clusters of NODES (default "1 3") nodes: the first two nodes' of several.
#                               Then digests are compared. OPTIONS: of the mounts.

suite_run() { # NAME [OPTIONS]
	local count n dirs ok=yes
	if [ -n "${ON:-}" ]; then
		run_on "$(stat -f -c %T "$ON")" "$ON"
		return
	fi
	for count in ${NODES:-1 3}; do
		cluster_init "$count"
		nodes_start
		wait_leader
		dirs=()
		for n in $(seq $((count > 1 ? 2 : 1))); do
			mount_node "$n" "${2:-}"
			dirs+=("$T/m$n")
		done
		# Root's directory as any other: its mode, and what the tests of the sticky bit expect.
		chmod 755 "$T/m1"
		say "$count node(s), ${#dirs[@]} mount(s)"
		run_on "quorumfs, $count node(s), ${#dirs[@]} mount(s)" "${dirs[@]}" || ok=no
		digests_equal
		for n in $(seq ${#dirs[@]}); do unmount "$n"; done
		for n in $(seq "$count"); do
			node_stop "$n"
			rm -rf "$T/n$n"
		done
	done
	[ $ok = yes ] || fail "$1 found differences"
}
