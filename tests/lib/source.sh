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

# The whole life of a source tree in directory $1. With SHORT the package's own tests are a part.
work_on_tree() {
	local d=$1/work local=$T/local
	mkdir -p "$d" "$local"
	step "unpack" tar -xf "$SOURCE_TAR" -C "$d" --strip-components=1
	[ "$(find "$d" -type f | wc -l)" -ge 2000 ] || fail "fewer than 2,000 files"
	mkdir -p "$local/ref"
	tar -xf "$SOURCE_TAR" -C "$local/ref" --strip-components=1
	step "diff after unpacking" diff -r --no-dereference "$local/ref" "$d"
	step "configure" bash -c "cd $d && ./configure --disable-mpfr --disable-extensions --without-readline"
	step "make -j2" make -C "$d" -j2
	if [ "$SHORT" = 1 ]; then
		step "own tests, basic" make -C "$d/test" basic AWK=../gawk
	else
		step "own tests" make -C "$d/test" check AWK=../gawk
	fi
	step "git init, add, commit, fsck" bash -c "cd $d && git init -q && git add -A -f &&
		git -c user.name=t -c user.email=t@example.org commit -q -m all && git fsck --full --strict && git status --short | (! grep .)"
	ln "$d/gawk" "$d/gawk-link" && ln -s gawk "$d/gawk-symlink"
	step "rsync to a local disk" rsync -aHAX "$d/" "$local/out/"
	step "rsync back" rsync -aHAX "$local/out/" "$1/back/"
	step "diff -r" bash -c "diff -r --no-dereference $d $local/out && diff -r --no-dereference $d $1/back"
	for p in "$d" "$local/out" "$1/back"; do
		(cd "$p" && find . -printf '%p %y %m %U %G %T@ %n %l\n' | sort) >"$T/list.${p##*/}"
	done
	cmp "$T/list.work" "$T/list.out" && cmp "$T/list.work" "$T/list.back" ||
		fail "modes, times, symlinks or hard links differ"
	[ "$(stat -c %i "$1/back/gawk")" = "$(stat -c %i "$1/back/gawk-link")" ] || fail "hard link lost"
}
