#!/bin/bash
# time-limit: 1800
# What cp, tar, rsync, dpkg, git, umoci and npm make on a mount is what they make on a local directory: contents,
# modes, owners, times, links, device nodes, attributes, ACLs. The short form takes fewer files, and cp, tar, rsync
# and dpkg-deb alone. What is not installed is named and left out, and npm where its registry does not answer.
. "$(dirname "$0")/../lib/cluster.sh"
. "$(dirname "$0")/../lib/source.sh"

for c in setfacl getfattr rsync git dpkg-deb; do
	command -v $c >/dev/null || { echo "SKIP: no $c"; exit 77; }
done
FILES=$((SHORT == 1 ? 25 : 300))
SPARSE=$((SHORT == 1 ? 4 : 40)) # MiB
L=$T/local
M=$T/m1
LEFT_OUT=
mkdir "$L"
setfacl -m u:1:r "$L" && setfattr -n trusted.t -v t "$L" || { echo "SKIP: no ACLs or attributes in $T"; exit 77; }
setfacl -b "$L"
mount_embedded "$T/store" create

# All that tells two trees apart, but for what belongs to the file system: inode numbers, sizes of directories.
describe() { # DIR [notimes|filetimes]
	local time='%T@' dirtime='%T@'
	[ "${2:-}" = notimes ] && time=
	[ -n "${2:-}" ] && dirtime=
	(cd "$1" && find . -mindepth 1 \( -type d -printf "%p %y %m %U %G $dirtime %n\n" -o \
		-printf "%p %y %m %U %G %s $time %n %l\n" \) | sort
	find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | sort
	find . -mindepth 1 -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex | grep -av '^$'
	find . -type f -links +1 -printf '%i %p\n' | sort -k2 | awk '!($1 in g) { g[$1] = ++n } { $1 = g[$1] } 1'
	find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}

same() { # WHAT LOCAL MOUNT [notimes|filetimes]
	describe "$2" "${4:-}" >"$T/dump.local"
	describe "$3" "${4:-}" >"$T/dump.mount"
	[ -s "$T/dump.local" ] || fail "$1: nothing to compare"
	diff "$T/dump.local" "$T/dump.mount" >"$T/dump.diff" || { head -n 20 "$T/dump.diff" | cut -c 1-200; fail "$1: trees differ"; }
	say "$1: equal, $(wc -l <"$T/dump.local") lines"
}

# Everything that an archive may hold.
odd_tree() { # DIR
	local d=$1 i long
	long=$(printf 'n%.0s' $(seq 255))
	mkdir -p "$d/deep/$long/$long" "$d/empty" "$d/many"
	head -c 300000 /dev/urandom >"$d/data"
	: >"$d/zero"
	truncate -s "${SPARSE}M" "$d/sparse" && echo end >>"$d/sparse" && printf mid | dd of="$d/sparse" bs=1M seek=$((SPARSE / 2)) conv=notrunc 2>/dev/null
	echo x >"$d/deep/$long/$long/$long"
	echo x >"$d/$(printf 'new\nline')"
	echo x >"$d/ leading, back\\slash, \"quotes\", *"
	echo x >"$d/$(printf 'not utf-8 \377\200')"
	echo x >"$d/-rf"
	ln "$d/data" "$d/deep/hard" && ln "$d/data" "$d/many/hard"
	ln -s ../gone "$d/dangling" && ln -s "$(printf 'x/%.0s' $(seq 2000))" "$d/long" && ln -s / "$d/root"
	ln "$d/dangling" "$d/deep/hard-symlink"
	mkfifo "$d/fifo"
	mknod "$d/null" c 1 3 && mknod "$d/disk" b 4095 1048575
	perl -e 'use Socket; chdir $ARGV[0]; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un("socket")) or die' "$d"
	for i in $(seq "$FILES"); do echo "$i $RANDOM" >"$d/many/$i"; done
	install -m 4755 /bin/true "$d/suid" && install -m 2755 /bin/true "$d/sgid" && install -m 0 /dev/null "$d/none"
	install -d -m 3777 "$d/sticky" && install -d -m 2750 -g 7 "$d/setgid"
	chown 4294967294:4294967294 "$d/zero"
	chown -h 1000:1000 "$d/dangling" "$d/fifo" "$d/null" "$d/socket"
	setfattr -n user.text -v "$(printf 'v%.0s' $(seq 3000))" "$d/data"
	setfattr -n trusted.t -v 0x00ff00 "$d/empty"
	setfattr -h -n trusted.link -v on "$d/dangling"
	setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 "$d/sgid"
	setfacl -m u:1000:rw,g:7:-,m::rw "$d/data"
	setfacl -d -m u:1000:rwx,g:7:r-x "$d/setgid"
	echo x >"$d/setgid/inherits"
	touch -d '1970-01-01 00:00:00.000000001 UTC' "$d/zero"
	touch -d '1931-02-03 04:05:06.5 UTC' "$d/suid"
	touch -d '2105-06-07 08:09:10.123456789 UTC' "$d/none"
	touch -h -d '2001-01-01 UTC' "$d/dangling"
	touch -d '2002-02-02 02:02:02.020202020 UTC' "$d/empty" "$d/sticky" "$d"
}

# ---- cp, tar, rsync --------------------------------------------------------------------------------------------

copies() {
	local d
	local tar=(tar --xattrs "--xattrs-include=*" --acls -S -p --numeric-owner)
	local rsync=(rsync -aHAXS --numeric-ids --modify-window=-1)

	step "cp -a" cp -a "$L/tree" "$M/cp"
	same "cp -a" "$L/tree" "$M/cp"
	step "cp -a on the mount" cp -a "$M/cp" "$M/cp2"
	same "cp -a on the mount" "$L/tree" "$M/cp2"
	[ "$(du -sk --apparent-size "$M/cp/sparse" | cut -f1)" -ge $((SPARSE * 1024)) ] &&
		[ "$(du -sk "$M/cp/sparse" | cut -f1)" -lt 1024 ] || fail "the sparse file is $(du -sk "$M/cp/sparse")"

	step "tar -c" "${tar[@]}" -C "$M/cp" -cf "$L/mount.tar" .
	for d in "$L" "$M"; do
		mkdir "$d/tar"
		step "tar -x" "${tar[@]}" -C "$d/tar" -xf "$L/mount.tar"
	done
	same "tar" "$L/tar" "$M/tar"

	step "rsync" "${rsync[@]}" "$L/tree/" "$M/rsync/"
	same "rsync" "$L/tree" "$M/rsync"
	step "rsync back" "${rsync[@]}" "$M/rsync/" "$L/back/"
	same "rsync back" "$L/back" "$M/rsync"
	"${rsync[@]}" -ni --delete "$L/tree/" "$M/rsync/" >"$T/step.out" 2>&1
	[ ! -s "$T/step.out" ] || fail "rsync would copy again: $(cat "$T/step.out")"
	echo more >>"$L/tree/many/1"
	for d in "$L" "$M"; do step "rsync --link-dest" "${rsync[@]}" --delete --link-dest="$d/tar" "$L/tree/" "$d/linked/"; done
	[ "$(stat -c %h "$M/linked/many/2")" = 2 ] && [ "$(stat -c %h "$M/linked/many/1")" = 1 ] ||
		fail "rsync --link-dest did not link what is equal, or more"
}

# ---- dpkg --------------------------------------------------------------------------------------------------------

package_tree() { # DIR VERSION
	local share=$1/usr/share/quorumfs-try
	mkdir -p "$1/DEBIAN" "$share" "$1/etc/quorumfs-try" "$1/var/quorumfs-try"
	cp -a "$L/tree/many" "$L/tree/suid" "$L/tree/sgid" "$L/tree/data" "$share/"
	ln -s data "$share/link"
	echo setting >"$1/etc/quorumfs-try/conf"
	printf '/etc/quorumfs-try/conf\n' >"$1/DEBIAN/conffiles"
	printf '%s\n' "Package: quorumfs-try" "Version: $2" "Architecture: all" \
		"Maintainer: nobody <nobody@example.org>" "Description: a try" >"$1/DEBIAN/control"
	chown 1000:7 "$1/var/quorumfs-try" && chmod 2775 "$1/var/quorumfs-try" && chmod 755 "$1" "$1/DEBIAN"
	find "$1" -newermt '2020-01-01' -exec touch -h -d '2020-01-01 UTC' {} +
}

packages() {
	local d
	export SOURCE_DATE_EPOCH=1577836800
	for d in "$L" "$M"; do
		package_tree "$d/package" 1
		step "dpkg-deb -b" dpkg-deb -b "$d/package" "$d/1.deb"
		step "dpkg-deb -R" dpkg-deb -R "$d/1.deb" "$d/raw"
		step "dpkg-deb -x" dpkg-deb -x "$d/1.deb" "$d/extracted"
	done
	cmp "$L/1.deb" "$M/1.deb" || fail "dpkg-deb built another package"
	# dpkg-deb puts symlinks last, so making them moves the time of their directory.
	same "dpkg-deb -R" "$L/raw" "$M/raw" filetimes
	same "dpkg-deb -x" "$L/extracted" "$M/extracted" filetimes
}

dpkg_in() { # ROOT ARGUMENT...
	local root=$1
	shift
	dpkg --root="$root" --log=/dev/null --force-not-root --force-script-chrootless "$@"
}

installation() {
	local d
	for d in "$L" "$M"; do
		package_tree "$d/package2" 2
		rm "$d/package2/usr/share/quorumfs-try/many/1"
		dpkg-deb -b "$d/package2" "$d/2.deb" >"$T/step.out" || fail "dpkg-deb -b"
		mkdir -p "$d"/root/var/lib/dpkg/{updates,info,triggers}
		: >"$d/root/var/lib/dpkg/status"
		step "dpkg -i" dpkg_in "$d/root" -i "$d/1.deb"
		step "dpkg -i, upgrade" dpkg_in "$d/root" -i "$d/2.deb"
		dpkg_in "$d/root" -V quorumfs-try >"$T/step.out" 2>&1
		[ ! -s "$T/step.out" ] || fail "dpkg -V: $(cat "$T/step.out")"
	done
	same "dpkg -i" "$L/root/usr" "$M/root/usr" filetimes
	same "dpkg's own files" "$L/root/var" "$M/root/var" notimes
	for d in "$L" "$M"; do step "dpkg -P" dpkg_in "$d/root" -P quorumfs-try; done
	[ ! -e "$M/root/usr/share/quorumfs-try" ] && [ ! -e "$M/root/etc/quorumfs-try" ] || fail "dpkg -P left files"
}

# ---- git ------------------------------------------------------------------------------------------------------------

git_life() ( # DIR: prints what it made
	set -e
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
	export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' HOME=$T
	git init -q -b main "$1"
	cd "$1"
	cp -a "$SRC/docs" "$SRC/base" "$L/tree/many" "$L/tree/dangling" "$L/tree/suid" .
	git add -A
	git commit -q -m one
	git checkout -q -b side
	git mv many moved
	git commit -q -m two
	git checkout -q main
	rm -r base
	git commit -q -a -m three
	git merge -q -m four side
	git worktree add -q ../git-worktree side~1
	echo stashed >>docs/decisions.md
	git stash -q
	git stash pop -q
	git checkout -q docs
	git rebase -q --onto side~1 main~1 main
	git gc -q --prune=now
	git fsck --full --strict
	git clone -q . ../git-clone
	[ -z "$(git status --short)" ]
	git rev-parse HEAD side "HEAD^{tree}"
	git -C ../git-worktree rev-parse "HEAD^{tree}"
)

versions() {
	local d
	for d in "$L" "$M"; do
		step "git, ${d##*/}" git_life "$d/git"
		grep -Ex '[0-9a-f]{40}' "$T/step.out" >"$T/git.${d##*/}"
		rm -rf "$d/git/.git" "$d/git-worktree/.git" "$d/git-clone/.git"
	done
	[ "$(wc -l <"$T/git.m1")" = 4 ] || fail "git made $(cat "$T/git.m1")"
	cmp "$T/git.local" "$T/git.m1" || fail "git made something else: $(cat "$T/git.local" "$T/git.m1")"
	for d in git git-clone git-worktree; do same "$d" "$L/$d" "$M/$d" notimes; done
}

# ---- a container image --------------------------------------------------------------------------------------------

# Two layers: the second removes, replaces and adds.
image_make() { # LAYOUT
	local root=$L/bundle/rootfs
	umoci init --layout "$1" && umoci new --image "$1:base" &&
		umoci unpack --image "$1:base" "$L/bundle" && cp -a "$L/tree/." "$root/" && rm "$root/socket" &&
		umoci repack --image "$1:one" "$L/bundle" && rm -r "$L/bundle" &&
		umoci unpack --image "$1:one" "$L/bundle" && rm -r "$root/deep" "$root/null" &&
		mkdir "$root/null" && echo y >"$root/null/y" && chmod 4711 "$root/suid" &&
		umoci repack --image "$1:two" "$L/bundle"
}

image() {
	local d v
	command -v umoci >/dev/null || { LEFT_OUT+=" umoci"; return; }
	step "umoci, an image of two layers" image_make "$L/image"
	cp -a "$L/image" "$M/image"
	for d in "$L" "$M"; do
		for v in one two; do step "umoci unpack" umoci unpack --image "$d/image:$v" "$d/unpacked-$v"; done
	done
	for v in one two; do same "umoci unpack, image $v" "$L/unpacked-$v/rootfs" "$M/unpacked-$v/rootfs"; done
	[ -e "$M/unpacked-one/rootfs/deep" ] && [ ! -e "$M/unpacked-two/rootfs/deep" ] || fail "a whiteout is lost"
	rm -r "$M/unpacked-two/rootfs/many"
	step "umoci repack" umoci repack --image "$M/image:three" "$M/unpacked-two"
	step "umoci unpack" umoci unpack --image "$M/image:three" "$L/unpacked-three"
	same "umoci repack" "$L/unpacked-three/rootfs" "$M/unpacked-two/rootfs"
}

# ---- npm --------------------------------------------------------------------------------------------------------------

NPM=(npm --cache "$T/npm-cache" --prefer-offline --no-audit --no-fund --loglevel=error)

npm_in() { # DIR COMMAND...: the cache is filled by the first
	local dir=$1
	shift
	mkdir -p "$dir" && (cd "$dir" && "${NPM[@]}" "$@")
}

node_modules() {
	local d
	command -v npm >/dev/null && timeout 300 npm ping >"$T/npm.out" 2>&1 || { LEFT_OUT+=" npm"; return; }
	for d in "$L" "$M"; do
		mkdir "$d/npm" && echo '{"name":"try","version":"1.0.0"}' >"$d/npm/package.json"
		step "npm install eslint, ${d##*/}" npm_in "$d/npm" install eslint@8.57.1
	done
	[ "$(find "$M/npm/node_modules" -type f | wc -l)" -gt 500 ] || fail "npm installed next to nothing"
	same "npm install" "$L/npm" "$M/npm" notimes
	echo 'var a = 1' >"$T/f.js"
	(cd "$M/npm" && node_modules/.bin/eslint --no-eslintrc --no-ignore --rule 'semi: error' "$T/f.js") >"$T/step.out" 2>&1
	grep -q 'Missing semicolon' "$T/step.out" || fail "what npm installed does not run: $(cat "$T/step.out")"
	for d in "$L" "$M"; do step "npm ci, ${d##*/}" npm_in "$d/npm" ci; done
	same "npm ci" "$L/npm" "$M/npm" notimes
}

# ---- all of them ----------------------------------------------------------------------------------------------------------

odd_tree "$L/tree" || fail "making the tree"
odd_tree "$M/odd" || fail "making the tree on the mount"
for d in "$L/tree" "$M/odd"; do (cd "$d" && find . -printf '%p %y %m %U %G %n %l\n' | sort) >"$T/made.${d##*/}"; done
diff "$T/made.tree" "$T/made.odd" || fail "the same commands made different trees"
copies
packages
if [ "$SHORT" != 1 ]; then
	installation
	versions
	image
	node_modules
fi
kept=$M
[ "$SHORT" = 1 ] && kept=$M/rsync
describe "$kept" >"$T/before"
unmount 1
mount_embedded "$T/store"
describe "$kept" >"$T/after"
cmp "$T/before" "$T/after" || fail "the tree changed over umount and mount"
say "umount, mount: $(wc -l <"$T/after") lines equal"
find "$M" -mindepth 1 -delete && [ -z "$(ls -A "$M")" ] || fail "it cannot all be deleted"
unmount 1
[ -z "$LEFT_OUT" ] || say "LEFT OUT:$LEFT_OUT"
