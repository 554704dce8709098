# source.sh - sourced after cluster.sh: a real source tree from a Debian source package.
#
#   source_fetch    $SOURCE_TAR: gawk's upstream archive (over 2,000 files), kept in $BUILD/cache
#
# Asks the package archive that this machine is configured with; skips when it has none.

SOURCE_PACKAGE=gawk
source_fetch() {
	local cache=$BUILD/cache apt=$T/apt f
	mkdir -p "$cache" "$apt/parts" "$apt/lists/partial"
	SOURCE_TAR=$(ls "$cache/$SOURCE_PACKAGE"_*.orig.tar.* 2>/dev/null | grep -v '\.asc$' | head -n 1)
	[ -n "$SOURCE_TAR" ] && return 0
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] && sed 's/^Types:.*/Types: deb-src/' "$f" | grep -v '^#' >"$apt/parts/${f##*/}"
	done
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] && grep '^deb .*debian' "$f" | sed 's/^deb /deb-src /' >"$apt/parts/${f##*/}.list"
	done
	# Only Debian's own archives have the package.
	grep -L -i debian "$apt/parts"/* 2>/dev/null | xargs -r rm -f
	local opts=(-q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/parts"
		-o "Dir::State::Lists=$apt/lists" -o APT::Sandbox::User=root)
	(cd "$cache" && apt-get "${opts[@]}" update && apt-get "${opts[@]}" source --download-only "$SOURCE_PACKAGE") \
		>"$T/apt.log" 2>&1 || { tail -n 3 "$T/apt.log"; echo "SKIP: no source package to be had"; exit 77; }
	SOURCE_TAR=$(ls "$cache/$SOURCE_PACKAGE"_*.orig.tar.* | grep -v '\.asc$' | head -n 1)
	[ -n "$SOURCE_TAR" ] || fail "the source package has no archive"
}

# Prints seconds since $1 (from date +%s.%N).
since() {
	awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }'
}

step() { # NAME COMMAND...: runs it, reports its time, fails with its output
	local name=$1 t
	shift
	t=$(date +%s.%N)
	"$@" >"$T/step.out" 2>&1 || { tail -n 40 "$T/step.out"; fail "$name"; }
	say "$name: $(since "$t") s"
}

# Some of the package's tests depend on the machine's locales: those that fail on the local disk, and no
# others, may fail on the mount.
own_tests() { # TREE LOCAL
	local tests=check
	[ "$SHORT" = 1 ] && tests="basic-msg-start basic basic-msg-end unix-msg-start unix-tests unix-msg-end"
	(cd "$2/ref" && ./configure --disable-mpfr --disable-extensions --without-readline &&
		make -j2 SUBDIRS="support . extras po"
	make -C test -k $tests AWK=../gawk) >"$T/ref.out" 2>&1
	[ -x "$2/ref/gawk" ] || fail "the reference build failed"
	say "own tests on the mount: $tests"
	local t
	t=$(date +%s.%N)
	make -C "$1/test" -k $tests AWK=../gawk >"$T/tests.out" 2>&1
	say "own tests: $(since "$t") s, $(find "$2/ref/test" "$1/test" -name '_*' | sed 's|.*/||' | sort | uniq -c | wc -l) tests fail on either disk"
	[ "$(grep -c . "$T/tests.out")" -gt 50 ] || fail "the tests did not run: $(tail -n 3 "$T/tests.out")"
	# Some of them are races between processes: what fails here alone gets two more tries.
	local name try
	# clos1way2 lets two processes write to one file without order, in pieces: a slower write(2) mixes them.
	rm -f "$1/test/_clos1way2"
	for name in $(comm -13 <(cd "$2/ref/test" && ls | grep '^_') <(cd "$1/test" && ls | grep '^_')); do
		for try in 1 2; do
			rm -f "$1/test/$name"
			make -C "$1/test" "${name#_}" AWK=../gawk >"$T/again.out" 2>&1
			[ -e "$1/test/$name" ] || break
		done
		[ -e "$1/test/$name" ] && { cat "$T/again.out"; fail "${name#_} fails on the mount and passes on the local disk"; }
		say "${name#_} passed when run again"
	done
}

# The whole life of a source tree in directory $1. With SHORT fewer of the package's own tests, and a
# smaller tree is committed and copied.
work_on_tree() {
	local d=$1/work local=$T/local
	mkdir -p "$d" "$local"
	step "unpack" tar -xf "$SOURCE_TAR" -C "$d" --strip-components=1
	[ "$(find "$d" -type f | wc -l)" -ge 2000 ] || fail "fewer than 2,000 files"
	mkdir -p "$local/ref"
	tar -xf "$SOURCE_TAR" -C "$local/ref" --strip-components=1
	step "diff after unpacking" diff -r --no-dereference "$local/ref" "$d"
	step "configure" bash -c "cd $d && ./configure --disable-mpfr --disable-extensions --without-readline"
	# Debian's archive lacks the manual, which doc and awklib are made from.
	step "make -j2" make -C "$d" -j2 SUBDIRS="support . extras po"
	own_tests "$d" "$local"
	# The short form goes on with the smaller half of the tree.
	[ "$SHORT" = 1 ] && step "rm -r test" rm -r "$d/test"
	step "git init, add, commit, fsck" bash -c "cd $d && git init -q && git add -A -f &&
		git -c user.name=t -c user.email=t@example.org commit -q -m all && git fsck --full --strict && git status --short | (! grep .)"
	ln "$d/gawk" "$d/gawk-link" && ln -s gawk "$d/gawk-symlink"
	# Without --modify-window=-1 a copy that was made in the second of the original's last change keeps its own time.
	step "rsync to a local disk" rsync -aHAX --modify-window=-1 "$d/" "$local/out/"
	step "rsync back" rsync -aHAX --modify-window=-1 "$local/out/" "$1/back/"
	step "diff -r" bash -c "diff -r --no-dereference $d $local/out && diff -r --no-dereference $d $1/back"
	for p in "$d" "$local/out" "$1/back"; do
		(cd "$p" && find . -printf '%p %y %m %U %G %T@ %n %l\n' | sort) >"$T/list.${p##*/}"
	done
	diff "$T/list.work" "$T/list.out" && diff "$T/list.work" "$T/list.back" ||
		fail "modes, times, symlinks or hard links differ"
	[ "$(stat -c %i "$1/back/gawk")" = "$(stat -c %i "$1/back/gawk-link")" ] || fail "hard link lost"
}
