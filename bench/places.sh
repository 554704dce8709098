# places.sh - sourced by bench/compare: where works are measured. place_NAME sets DIR[NAME] to a directory, or fails.
# What it starts ends with the script (cleanup in tests/lib/cluster.sh): processes by pid, mounts, namespaces.

declare -A DIR
NS=qfsbench$$ # its network namespaces: $NS-1 to $NS-3, and $NS-s, which has the bridge between them

end_pid() { # PID: asked, then made to
	local i
	kill "$1" 2>/dev/null
	for i in $(seq 20); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
	kill -KILL "$1" 2>/dev/null
}

end_all_in() { # NAMESPACE...: processes that were started in it, whoever their parent is now
	local n p
	for n in "$@"; do for p in $(ip netns pids "$n" 2>/dev/null); do end_pid "$p"; done; done
}

networks() { # three namespaces that see one another as 10.77.0.1 to .3
	local n
	[ -n "${NETWORKS:-}" ] && return
	NETWORKS=1
	CLEANUP+=("for n in 1 2 3 s; do end_all_in $NS-\$n; ip netns del $NS-\$n; done 2>/dev/null")
	ip netns add $NS-s && ip -n $NS-s link add name br0 type bridge && ip -n $NS-s link set br0 up || return
	for n in 1 2 3; do
		ip netns add $NS-$n && ip -n $NS-$n link set lo up || return
		ip -n $NS-s link add p$n type veth peer name eth0 netns $NS-$n || return
		ip -n $NS-s link set p$n master br0 up
		ip -n $NS-$n addr add 10.77.0.$n/24 dev eth0 && ip -n $NS-$n link set eth0 up || return
	done
}

in_net() { # N COMMAND...: only its network; mounts appear here
	local n=$1
	shift
	nsenter --net=/run/netns/$NS-$n "$@"
}

wait_for() { # SECONDS COMMAND...
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.2
	done
}

# ---- local ---------------------------------------------------------------------------------------------------

place_ext4() {
	mkdir -p "$T/ext4"
	chattr +T "$T/ext4" 2>/dev/null # directories far from one another: what was deleted lately slows creates near it
	DIR[ext4]=$T/ext4
}

place_passthrough() {
	local source=/usr/share/doc/libfuse3-dev/examples
	mkdir -p "$T/under" "$T/passthrough"
	chattr +T "$T/under" 2>/dev/null
	# shellcheck disable=SC2046
	cc -O2 -I$source -o "$T/passthrough_ll" $source/passthrough_ll.c $(pkg-config --cflags --libs fuse3) \
		2>"$T/passthrough.log" || return
	(ulimit -n "$(ulimit -Hn)"; exec "$T/passthrough_ll" -f -o "source=$T/under,timeout=1,cache=auto" "$T/passthrough") \
		>>"$T/passthrough.log" 2>&1 &
	wait_for 5 mountpoint -q "$T/passthrough" || return
	DIR[passthrough]=$T/passthrough
}

# ---- quorumfs --------------------------------------------------------------------------------------------------

three_nodes() {
	[ -n "${THREE:-}" ] && return
	THREE=1
	cluster_init 3
	nodes_start
	wait_leader
	LEADER=$(leader)
	FOLLOWER=$(follower)
	mount_node "$LEADER"
	mount_node "$FOLLOWER"
}

place_leader() { three_nodes && DIR[leader]=$T/m$LEADER; }
place_follower() { three_nodes && DIR[follower]=$T/m$FOLLOWER; }

place_embedded() {
	mkdir -p "$T/one"
	mount_at "$T/store" "$T/one" embedded create || return
	DIR[embedded]=$T/one
}

# ---- peers ------------------------------------------------------------------------------------------------------

gluster() { nsenter --target="${GLUSTERD[1]}" --mount --net gluster --mode=script "$@"; }

place_gluster() {
	local n
	declare -ga GLUSTERD
	networks || return
	for n in 1 2 3; do
		mkdir -p "$T/gluster$n"/{lib,run,log,brick}
		nsenter --net=/run/netns/$NS-$n unshare --mount --propagation=private sh -c "
			mount --bind $T/gluster$n/lib /var/lib/glusterd && mount --bind $T/gluster$n/log /var/log/glusterfs &&
			mount -t tmpfs none /run && mkdir -p /run/gluster && exec glusterd -N" >"$T/glusterd$n.log" 2>&1 &
		GLUSTERD[n]=$!
	done
	wait_for 20 gluster pool list || return
	for n in 2 3; do wait_for 20 gluster peer probe 10.77.0.$n || return; done
	sleep 2
	wait_for 20 gluster volume create vol replica 3 "10.77.0.1:$T/gluster1/brick" "10.77.0.2:$T/gluster2/brick" \
		"10.77.0.3:$T/gluster3/brick" force || return
	gluster volume start vol >/dev/null || return
	sleep 2
	mkdir -p "$T/gluster"
	in_net 1 glusterfs --volfile-server=10.77.0.1 --volfile-id=vol --log-file="$T/gluster-client.log" "$T/gluster" || return
	wait_for 10 touch "$T/gluster/ready" || return
	DIR[gluster]=$T/gluster
}

place_moosefs() {
	local n d=$T/moosefs-etc
	networks || return
	mkdir -p "$d" "$T/moosefs-master" "$T/moosefs"
	cp /var/lib/mfs/metadata.mfs.empty "$T/moosefs-master/metadata.mfs" || return
	echo "* / rw,alldirs,admin,maproot=0:0" >"$d/exports.cfg"
	: >"$d/topology.cfg"
	cat >"$d/master.cfg" <<-END
		WORKING_USER = root
		WORKING_GROUP = root
		DATA_PATH = $T/moosefs-master
		EXPORTS_FILENAME = $d/exports.cfg
		TOPOLOGY_FILENAME = $d/topology.cfg
	END
	in_net 1 mfsmaster -f -c "$d/master.cfg" start >"$T/mfsmaster.log" 2>&1 &
	for n in 1 2 3; do
		mkdir -p "$T/moosefs$n"/{data,chunks}
		echo "$T/moosefs$n/chunks" >"$d/hdd$n.cfg"
		cat >"$d/chunk$n.cfg" <<-END
			WORKING_USER = root
			WORKING_GROUP = root
			DATA_PATH = $T/moosefs$n/data
			HDD_CONF_FILENAME = $d/hdd$n.cfg
			MASTER_HOST = 10.77.0.1
			LABELS = A
		END
		sleep 1
		in_net $n mfschunkserver -f -c "$d/chunk$n.cfg" start >"$T/mfschunk$n.log" 2>&1 &
	done
	wait_for 20 in_net 1 mfsmount "$T/moosefs" -H 10.77.0.1 -o nonempty || return
	wait_for 10 in_net 1 mfssetgoal -r 3 "$T/moosefs" || return
	wait_for 60 dd if=/dev/zero of="$T/moosefs/ready" bs=4096 count=1 conv=fsync || return
	DIR[moosefs]=$T/moosefs
}

# Not a directory: the address of a member that serves clients.
place_etcd() {
	local n base peers=
	base=$(free_port)
	for n in 0 1 2; do peers+=${peers:+,}m$n=http://127.0.0.1:$((base + 10 + n)); done
	for n in 0 1 2; do
		etcd --name m$n --data-dir "$T/etcd$n" --listen-client-urls "http://127.0.0.1:$((base + n))" \
			--advertise-client-urls "http://127.0.0.1:$((base + n))" \
			--listen-peer-urls "http://127.0.0.1:$((base + 10 + n))" \
			--initial-advertise-peer-urls "http://127.0.0.1:$((base + 10 + n))" \
			--initial-cluster "$peers" --initial-cluster-state new --log-level error >"$T/etcd$n.log" 2>&1 &
	done
	wait_for 20 env ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$base" put ready yes || return
	DIR[etcd]=127.0.0.1:$base
}
