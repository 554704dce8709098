# quorumfs - plain GNU make, one file, no configure step. `make help` lists the targets.
#
# Each folder becomes one archive; tests and programs are linked with the archives that their folder
# may include (docs/decisions.md). A target that checks something hands its programs to tests/run.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/bash

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
# mount(8) looks for its helpers in /sbin, whatever the prefix: by the type given, and for a remount by
# the type in the mount table.
SBINDIR_MOUNT ?= /sbin
ifeq ($(origin CC),default)
CC := gcc
endif
# Sanitizer flags, for compiling and linking; set by the check-asan family.
SAN ?=
OPTIMIZE ?= -O2
FUZZ_SECONDS ?= 20
FUZZ_RUNS ?=
FUZZ_FLAGS ?=
RUNS ?= 1000000
NODES ?= 1
JOBS ?= $(shell nproc)

# --- packages ------------------------------------------------------------------------------------

DEPS_BUILD := make gcc libc6-dev pkg-config libfuse3-dev fuse3 libsqlite3-dev libsodium-dev \
	libuv1-dev libxxhash-dev libzstd-dev libjson-c-dev
DEPS_CHECK := libcmocka-dev spin clang libclang-rt-dev clang-tidy clang-format cppcheck man-db attr \
	git rsync patch xz-utils dpkg-dev procps psmisc e2fsprogs mount util-linux iproute2 nftables
PKGS := fuse3 sqlite3 libsodium libuv libxxhash libzstd json-c
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
HAVE_PKGS := $(shell pkg-config --exists $(PKGS) 2>/dev/null && echo yes)

# --- flags ---------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wformat=2 -Wundef -Werror
WARNINGS_TESTS := $(filter-out -Wconversion,$(WARNINGS)) -Wno-unused-parameter
LANG_FLAGS := -std=c11 -D_GNU_SOURCE -DFUSE_USE_VERSION=312 -I. $(PKG_CFLAGS)
CFLAGS_ALL = $(LANG_FLAGS) $(OPTIMIZE) -g -fno-omit-frame-pointer -pthread $(SAN) $(CFLAGS)
LIBS = -Wl,--as-needed $(PKG_LIBS) -lm

# --- sources and archives ------------------------------------------------------------------------

FOLDERS := base raft store net fs node ctl mount-helper
SUBFOLDERS_fs := fs/ops fs/fuse
MAINS := node/main.c ctl/main.c mount-helper/main.c

# What a test or program of a folder is linked with, users before what they use. These are the
# arrows of tests/lint/arrows.sh, closed under "and what that one uses".
NEEDS_base := base
NEEDS_raft := raft base
NEEDS_store := store raft base
NEEDS_net := net raft base
NEEDS_fs := fs store raft base
NEEDS_node := node fs net store raft base
NEEDS_ctl := ctl $(NEEDS_node)
NEEDS_mount-helper := mount-helper $(NEEDS_node)
NEEDS_all := mount-helper ctl $(NEEDS_node)

sources_of = $(filter-out $(MAINS),$(wildcard $(1)/*.c $(addsuffix /*.c,$(SUBFOLDERS_$(1)))))
objects_of = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
archives = $(foreach f,$(NEEDS_$(1)),$(BUILD)/lib/lib$(f).a)

SOURCES := $(foreach f,$(FOLDERS),$(call sources_of,$(f))) $(wildcard $(MAINS))
TESTLIB_SOURCES := $(wildcard tests/lib/*.c)
UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c)
FAULT_SOURCES := $(wildcard tests/fault/test_*.c)
SIM_SOURCES := $(wildcard tests/sim/test_*.c)
# tests/sim: simulated disks and threads, which its tests share; the rest is the simulator.
SIM_DISK_SOURCES := $(wildcard tests/sim/sim_*.c) tests/sim/coro.c tests/sim/threads.c
SIM_CLUSTER_SOURCES := $(filter-out $(SIM_SOURCES) $(SIM_DISK_SOURCES),$(wildcard tests/sim/*.c))
ORACLE_SOURCES := $(wildcard tests/oracle/test_*.c)
# Programs that test scripts call; they find them in $$BUILD/tests/<kind>/.
HELPER_SOURCES := $(wildcard tests/posix/*.c tests/cluster/*.c tests/chaos/*.c tests/bad-input/*.c \
	bench/*.c)
# bench/work: a program of several files; bench/etcd shares its way of running threads.
BENCH_WORK_SOURCES := $(wildcard bench/work_*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
SEED_SOURCES := tests/fuzz/make_seeds.c
TEST_SOURCES := $(sort $(TESTLIB_SOURCES) $(UNIT_SOURCES) $(FAULT_SOURCES) $(SIM_SOURCES) \
	$(wildcard tests/sim/*.c tests/fault/*.c tests/oracle/*.c tests/unit/*/*.c) $(HELPER_SOURCES) \
	$(FUZZ_SOURCES) $(SEED_SOURCES))
# Histories and their checkers: a library for the simulator, programs for the scripts, and their tests.
HISTORY_MAINS := $(wildcard tests/history/check_history.c tests/history/load.c)
HISTORY_TESTS := $(wildcard tests/history/test_*.c)
HISTORY_SOURCES := $(filter-out $(HISTORY_MAINS) $(HISTORY_TESTS),$(wildcard tests/history/*.c))
TEST_SOURCES += $(wildcard tests/history/*.c)
# Cases that look through three mounts: one program.
MULTI_SOURCES := $(wildcard tests/posix/multi/*.c)
TEST_SOURCES += $(MULTI_SOURCES)

PROGRAMS := $(if $(wildcard node/main.c),$(BUILD)/bin/quorumfsd) \
	$(if $(wildcard ctl/main.c),$(BUILD)/bin/quorumfs) \
	$(if $(wildcard mount-helper/main.c),$(BUILD)/bin/mount.quorumfs)
ARCHIVES := $(foreach f,$(FOLDERS),$(BUILD)/lib/lib$(f).a)
TESTLIB := $(BUILD)/lib/libtestlib.a
HISTORY_LIB := $(BUILD)/lib/libhistory.a
programs_of = $(patsubst %.c,$(BUILD)/%,$(1))
UNIT_PROGRAMS := $(call programs_of,$(UNIT_SOURCES))
FAULT_PROGRAMS := $(call programs_of,$(FAULT_SOURCES))
SIM_PROGRAMS := $(call programs_of,$(SIM_SOURCES))
ORACLE_PROGRAMS := $(call programs_of,$(ORACLE_SOURCES))
HELPER_PROGRAMS := $(call programs_of,$(filter-out bench/work_%.c,$(HELPER_SOURCES))) $(BUILD)/tests/posix/multi/multi
FUZZ_PROGRAMS := $(call programs_of,$(FUZZ_SOURCES))
HISTORY_PROGRAMS := $(call programs_of,$(HISTORY_MAINS))
HISTORY_TEST_PROGRAMS := $(call programs_of,$(HISTORY_TESTS))

comma := ,

# --- build ---------------------------------------------------------------------------------------

.PHONY: all
all: $(ARCHIVES) $(PROGRAMS) ## build the programs (into $(BUILD)/bin)

.PHONY: $(FOLDERS)
$(FOLDERS): %: $(BUILD)/lib/lib%.a

# Rewritten only when compiler or flags change, so that objects follow them.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_ALL) $(WARNINGS)' | cmp -s - $@ || \
		echo '$(CC) $(CFLAGS_ALL) $(WARNINGS)' >$@

.PHONY: FORCE need-deps
FORCE:
need-deps:
ifneq ($(HAVE_PKGS),yes)
	@echo "quorumfs: libraries are missing ($(PKGS)); next: make deps, as root" >&2; exit 1
endif

$(BUILD)/obj/tests/fuzz/%.o: private EXTRA := -Wno-missing-prototypes
$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/flags Makefile | need-deps
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) $(WARNINGS_TESTS) $(EXTRA) -MMD -MP -c $< -o $@

$(BUILD)/obj/bench/%.o: bench/%.c $(BUILD)/flags Makefile | need-deps
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) $(WARNINGS_TESTS) -MMD -MP -c $< -o $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags Makefile | need-deps
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) $(WARNINGS) -MMD -MP -c $< -o $@

# $(1): archive name, $(2): objects. A folder without sources gives an empty archive.
define archive_rule
$(BUILD)/lib/lib$(1).a: $(2) $(BUILD)/flags Makefile
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcsD $$@ $(2)
endef
$(foreach f,$(FOLDERS),$(eval $(call archive_rule,$(f),$(call objects_of,$(call sources_of,$(f))))))
$(eval $(call archive_rule,testlib,$(call objects_of,$(TESTLIB_SOURCES))))
$(eval $(call archive_rule,history,$(call objects_of,$(HISTORY_SOURCES))))

# $(1): objects and archives, $(2): libraries before the common ones. The group resolves what
# the archives of tests/lib and of the folders need from each other.
link = @mkdir -p $(@D); echo "  LINK  $@"; \
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(1) $(LIBS)

$(BUILD)/bin/quorumfsd: $(BUILD)/obj/node/main.o $(call archives,node)
	$(call link)
$(BUILD)/bin/quorumfs: $(BUILD)/obj/ctl/main.o $(call archives,ctl)
	$(call link)
$(BUILD)/bin/mount.quorumfs: $(BUILD)/obj/mount-helper/main.o $(call archives,mount-helper)
	$(call link)

# Files in a test folder not named test_*.c are shared by the programs there.
shared_objects = $(call objects_of,$(filter-out tests/$(1)/test_%,$(wildcard tests/$(1)/*.c)))

define unit_rule
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/obj/tests/unit/$(1)/%.o $(call shared_objects,unit/$(1)) \
		$(TESTLIB) $(call archives,$(1))
	$$(call link,-lcmocka)
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rule,$(f))))

# The core alone: nothing else may take part in what the oracle judges.
$(ORACLE_PROGRAMS): $(BUILD)/tests/oracle/%: $(BUILD)/obj/tests/oracle/%.o \
		$(call shared_objects,oracle) $(call archives,raft)
	$(call link)

$(BUILD)/tests/fuzz/make_seeds: $(BUILD)/obj/tests/fuzz/make_seeds.o $(TESTLIB) $(call archives,all)
	$(call link)
# A fuzz target brings no main(); the fuzzer's run time does.
$(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(TESTLIB) $(call archives,all)
	$(call link,-fsanitize=fuzzer)
$(BUILD)/tests/history/%: $(BUILD)/obj/tests/history/%.o $(HISTORY_LIB) $(TESTLIB) \
		$(call archives,fs)
	$(call link,-lcmocka)
# Calls that reach the simulated disks (tests/sim/sim_calls.c) in everything linked with them.
SIM_WRAPPED := access close closedir dirfd faccessat fallocate fdatasync fdopendir flock fstat fstatat \
	fstatvfs fsync ftruncate getpid getrandom link linkat lseek lstat mkdir mkdirat open openat \
	opendir pread preadv pwrite pwritev read readdir rename renameat rmdir stat statvfs \
	unlink unlinkat write
# What would be threads in the store are coroutines (tests/sim/threads.c).
SIM_THREADS := pthread_create pthread_join pthread_cond_wait pthread_cond_broadcast
SIM_FLAGS := $(addprefix -Wl$(comma)--wrap=,$(SIM_WRAPPED) $(SIM_THREADS))
$(BUILD)/tests/sim/sim: $(call objects_of,$(SIM_CLUSTER_SOURCES) $(SIM_DISK_SOURCES)) \
		$(HISTORY_LIB) $(TESTLIB) $(call archives,all)
	$(call link,$(SIM_FLAGS))
$(BUILD)/tests/sim/%: $(BUILD)/obj/tests/sim/%.o $(call objects_of,$(SIM_DISK_SOURCES)) $(TESTLIB) \
		$(call archives,all)
	$(call link,$(SIM_FLAGS) -lcmocka)
# Reads histories, which are in the terms of fs.
$(BUILD)/tests/chaos/%: $(BUILD)/obj/tests/chaos/%.o $(HISTORY_LIB) $(TESTLIB) $(call archives,node)
	$(call link)
$(BUILD)/tests/fault/%: $(BUILD)/obj/tests/fault/%.o $(call shared_objects,fault) $(TESTLIB) \
		$(call archives,all)
	$(call link,-lcmocka)
$(BUILD)/tests/posix/multi/multi: $(call objects_of,$(MULTI_SOURCES)) $(BUILD)/lib/libbase.a
	$(call link)
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TESTLIB) $(call archives,all)
	$(call link)
$(BUILD)/bench/work $(BUILD)/bench/etcd: $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o \
		$(call objects_of,$(BENCH_WORK_SOURCES)) $(BUILD)/lib/libbase.a
	$(call link)
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(call archives,all)
	$(call link)

.SECONDARY:
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(SOURCES) $(TEST_SOURCES))

# --- packages, installation, trying --------------------------------------------------------------

# $(1): packages. Quick and silent when all are there.
define install_packages
@missing=$$(for p in $(1); do \
	dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; \
	done | xargs); \
[ -z "$$missing" ] && exit 0; \
if [ $$(id -u) != 0 ]; then \
	echo "quorumfs: packages are missing; next, as root: apt-get install -y $$missing" >&2; exit 1; \
fi; \
echo "installing $$missing"; \
export DEBIAN_FRONTEND=noninteractive; \
log=$$(mktemp); \
{ apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; } \
	</dev/null >$$log 2>&1; ret=$$?; \
[ $$ret = 0 ] || { cat $$log >&2; echo "quorumfs: cannot install packages" >&2; }; \
rm -f $$log; exit $$ret
endef

.PHONY: deps deps-build install uninstall try try-stop clean
deps: ## install the packages that building and testing need (apt-get, as root)
	$(call install_packages,$(DEPS_BUILD) $(DEPS_CHECK))
deps-build: ## ... only those that building and running need
	$(call install_packages,$(DEPS_BUILD))

BINDIR := $(DESTDIR)$(PREFIX)/bin
MANDIR := $(DESTDIR)$(PREFIX)/share/man
MOUNTDIR := $(DESTDIR)$(SBINDIR_MOUNT)
MAN7 := $(wildcard man/*.7)
MAN8 := $(wildcard man/*.8)

install: all ## install programs and man pages (PREFIX, DESTDIR; mount.quorumfs to SBINDIR_MOUNT)
	install -d $(BINDIR) $(MOUNTDIR) $(MANDIR)/man7 $(MANDIR)/man8
	install -m 755 $(filter-out %/mount.quorumfs,$(PROGRAMS)) $(BINDIR)
	install -m 755 $(BUILD)/bin/mount.quorumfs $(MOUNTDIR)
	ln -sf mount.quorumfs $(MOUNTDIR)/mount.fuse.quorumfs
	$(if $(MAN7),install -m 644 $(MAN7) $(MANDIR)/man7)
	$(if $(MAN8),install -m 644 $(MAN8) $(MANDIR)/man8)

uninstall: ## remove what install put there; stores and their data stay
	rm -f $(BINDIR)/quorumfs $(BINDIR)/quorumfsd $(MOUNTDIR)/mount.quorumfs \
		$(MOUNTDIR)/mount.fuse.quorumfs \
		$(addprefix $(MANDIR)/man7/,$(notdir $(MAN7))) \
		$(addprefix $(MANDIR)/man8/,$(notdir $(MAN8)))

# The real work is done by a second make, which can see what deps has just installed.
try: ## mount a new file system below ./try (as root; NODES=3: three nodes, three mounts)
	@$(MAKE) deps-build
	@$(MAKE) $(PARALLEL) all
	@NODES=$(NODES) BUILD=$(abspath $(BUILD)) tests/lib/try.sh start
try-stop: ## unmount and stop what try started
	@BUILD=$(abspath $(BUILD)) tests/lib/try.sh stop

clean: ## remove everything that was built
	rm -rf $(BUILD) $(foreach s,asan tsan ubsan clang fuzz,$(BUILD)-$(s))

# --- checks --------------------------------------------------------------------------------------

# `make check` sets RESULTS, so that its parts add to one file and only it prints the closing line.
RESULTS ?=
SUITE ?=
export RESULTS SUITE SHORT SEED
# One job for each core, unless make was told a number.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))
RUN = BUILD=$(abspath $(BUILD)) tests/run
scripts_in = $(wildcard tests/$(1)/test_*.sh tests/$(1)/*/test_*.sh)

.PHONY: sim
sim: $(BUILD)/tests/sim/sim ## the simulator (build/tests/sim/sim --help)

.PHONY: unit-programs helper-programs fuzz-programs sim-programs oracle-programs
unit-programs: $(UNIT_PROGRAMS) $(HISTORY_TEST_PROGRAMS) $(HISTORY_PROGRAMS)
helper-programs: $(PROGRAMS) $(HELPER_PROGRAMS) $(HISTORY_PROGRAMS)
fuzz-programs: $(FUZZ_PROGRAMS) $(BUILD)/tests/fuzz/make_seeds
oracle-programs: $(ORACLE_PROGRAMS)
sim-programs: sim $(SIM_PROGRAMS) $(FAULT_PROGRAMS)

.PHONY: check-unit check-oracle check-fault check-sim check-asan check-tsan check-ubsan check-fuzz
# With -k, one test that does not compile hides no other: the runner counts it as failed.
check-unit: ## build and run the unit tests
	@$(MAKE) $(PARALLEL) -k unit-programs || :
	@$(RUN) $(UNIT_PROGRAMS) $(HISTORY_TEST_PROGRAMS) $(call scripts_in,history)
check-oracle: ## the core against etcd's recorded behaviour (ORACLE_DIR=dir; skipped where it is absent)
	@$(MAKE) $(PARALLEL) -k oracle-programs || :
	@$(RUN) $(ORACLE_PROGRAMS); ret=$$?; \
		grep -rhE --include=test_oracle.log '^(PASS|FAIL) |^  [a-z]+ +[0-9e]' $(BUILD)/logs; \
		exit $$ret
check-fault: ## each disk call fails in turn
	@$(MAKE) $(PARALLEL) -k sim-programs || :
	@$(RUN) $(FAULT_PROGRAMS)
check-sim: ## clusters in one process under faults (SEED=n replays one run)
	@$(MAKE) $(PARALLEL) -k sim-programs || :
	@$(RUN) $(SIM_PROGRAMS) $(call scripts_in,sim)
.PHONY: check-sabotage
check-sabotage: ## breaks one rule at a time: how many seeds until the simulator sees it? (SEEDS=8000 PATCHES=)
	@BUILD=$(abspath $(BUILD)) tests/sabotage/run.sh --seeds=$(or $(SEEDS),8000) $(PATCHES)
check-asan: ## unit tests with AddressSanitizer (finds leaks too)
	@$(MAKE) BUILD=$(BUILD)-asan SUITE=asan/ SAN="-fsanitize=address" OPTIMIZE=-O1 check-unit
check-ubsan: ## unit tests with UndefinedBehaviorSanitizer
	@$(MAKE) BUILD=$(BUILD)-ubsan SUITE=ubsan/ OPTIMIZE=-O1 \
		SAN="-fsanitize=undefined -fno-sanitize-recover=all" check-unit
# Its run time knows only few address layouts; without randomisation it always starts.
check-tsan: ## unit tests with ThreadSanitizer
	@$(if $(shell setarch -R true 2>/dev/null && echo yes),setarch -R) \
		$(MAKE) BUILD=$(BUILD)-tsan SUITE=tsan/ SAN="-fsanitize=thread" OPTIMIZE=-O1 check-unit
FUZZ_BUILD := CC=clang OPTIMIZE=-O2 \
	SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all $(FUZZ_FLAGS)"
check-fuzz: ## each decoder under libFuzzer for FUZZ_SECONDS, or FUZZ_RUNS if that is less
	@$(MAKE) $(PARALLEL) -k BUILD=$(BUILD)-fuzz $(FUZZ_BUILD) fuzz-programs || :
	@BUILD=$(abspath $(BUILD))-fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_RUNS=$(FUZZ_RUNS) tests/run --fuzz \
		$(patsubst $(BUILD)/%,$(BUILD)-fuzz/%,$(BUILD)/tests/fuzz/make_seeds $(FUZZ_PROGRAMS))

.PHONY: fuzz fuzz-keep
fuzz: ## a campaign: RUNS=10000000 executions of each target (TARGETS="log tree": only these)
	@$(MAKE) $(PARALLEL) BUILD=$(BUILD)-fuzz $(FUZZ_BUILD) fuzz-programs
	@BUILD=$(abspath $(BUILD))-fuzz tests/fuzz/campaign.sh $(RUNS) $(TARGETS)
fuzz-keep: ## renew tests/fuzz/corpus from seeds and campaigns
	@$(MAKE) $(PARALLEL) BUILD=$(BUILD)-fuzz $(FUZZ_BUILD) fuzz-programs
	@BUILD=$(abspath $(BUILD))-fuzz tests/fuzz/keep.sh $(TARGETS)

.PHONY: check-models
check-models: ## models of the protocol, every state of them (SHORT=1: within a minute); a table
	@$(RUN) tests/models/run.sh; ret=$$?; \
		grep -rh --include=run.log . $(BUILD)/logs/models 2>/dev/null; exit $$ret

.PHONY: check-posix check-cluster check-bad-input check-man
check-posix check-cluster check-bad-input check-man: check-%:
	@$(MAKE) $(PARALLEL) -k helper-programs || :
	@$(RUN) $(call scripts_in,$*)
check-posix: ## real programs on a real mount (as root)
check-cluster: ## nodes killed, stopped, filled up (as root)
check-bad-input: ## what users mistype and machines lack: messages and exit codes (as root)
check-man: ## man pages against the programs' option tables

# Suites of others, whose code stays outside: skipped where they are not named. ONLY: some tests, see the scripts.
.PHONY: check-pjdfstest check-ltp check-fsstress check-fsx
check-pjdfstest check-ltp check-fsstress: check-%:
	@$(MAKE) $(PARALLEL) -k helper-programs || :
	@PJDFSTEST_DIR=$(PJDFSTEST_DIR) LTP_DIR=$(LTP_DIR) $(RUN) tests/posix/$*.sh; ret=$$?; \
		grep -hE '^---| checks, | passed, |^  not run' $(BUILD)/logs/$(SUITE)posix/$*.log; exit $$ret
check-pjdfstest: ## pjdfstest on one node and three (PJDFSTEST_DIR=dir; ON=dir: there instead; as root)
check-ltp: ## LTP's tests of files on one node and three (LTP_DIR=dir; ON=dir: there instead; as root)
check-fsstress: ## LTP's fsstress and fsx-linux, one process and three mounts (LTP_DIR=dir DURATION=120; as root)
check-fsx: ## our fsx for long, half on one mount, half on three (DURATION=1200 SEED=; as root)
	@$(MAKE) $(PARALLEL) -k helper-programs || :
	@BUILD=$(abspath $(BUILD)) DURATION=$$(($(or $(DURATION),1200) / 2)) tests/posix/test_fsx.sh

.PHONY: check-programs
check-programs: ## SQLite for 20 minutes, PostgreSQL, tar, rsync, dpkg, git, umoci, npm on mounts (as root)
	@$(MAKE) $(PARALLEL) -k helper-programs || :
	@$(RUN) tests/posix/test_programs.sh tests/posix/test_sqlite_wal.sh tests/cluster/postgres.sh \
		tests/cluster/test_sqlite.sh; ret=$$?; for t in posix/test_programs posix/test_sqlite_wal \
		cluster/postgres cluster/test_sqlite; do grep -h '^--- ' $(BUILD)/logs/$$t.log; done; exit $$ret

# Short, it is one test among others; long, it prints what it does.
.PHONY: check-chaos
check-chaos: ## real nodes under faults: NODES=3|5 DURATION=300 SEED= RATE=30 FAULTS= (as root)
	@$(MAKE) $(PARALLEL) -k helper-programs || :
ifeq ($(SHORT),1)
	@$(RUN) $(call scripts_in,chaos)
else
	@BUILD=$(abspath $(BUILD)) NODES=$(if $(filter 1,$(NODES)),3,$(NODES)) \
		DURATION=$(or $(DURATION),300) $(foreach v,SEED RATE ROUND FAULTS LOAD_RATE,\
		$(if $($(v)),$(v)="$($(v))")) tests/chaos/run.sh
endif

.PHONY: bench
bench: ## three nodes beside local disk, passthrough and peers (as root; ARGS="--help"): rates and ratios
	@$(MAKE) $(PARALLEL) helper-programs
	@BUILD=$(abspath $(BUILD)) bench/compare $(ARGS)

.PHONY: check check-installed build-gcc build-clang
build-gcc:
	@$(MAKE) $(PARALLEL) -k CC=gcc all
build-clang:
	@$(MAKE) $(PARALLEL) -k CC=clang BUILD=$(BUILD)-clang all unit-programs
check: ## all that CI runs, in short forms; installs packages first (as root)
	@$(MAKE) deps
	@$(MAKE) check-installed

# Goes on after failures; the last line alone decides. Short forms: SHORT=1, few seconds of fuzzing.
CHECK_RESULTS := $(abspath $(BUILD))/results
check-installed: export RESULTS := $(CHECK_RESULTS)
check-installed: export SHORT := 1
check-installed:
	@mkdir -p $(BUILD); rm -f $(CHECK_RESULTS)
	@MAKE='$(MAKE)' $(RUN) --targets build-gcc build-clang || :
	@$(MAKE) check-unit || :
	@$(MAKE) check-oracle || :
	@$(MAKE) check-asan || :
	@$(MAKE) check-fault || :
	@$(MAKE) check-sim || :
	@$(MAKE) check-models || :
	@$(MAKE) check-fuzz FUZZ_RUNS=20000 FUZZ_SECONDS=5 || :
	@$(MAKE) check-man || :
	@$(MAKE) check-posix || :
	@$(MAKE) check-cluster || :
	@$(MAKE) check-chaos || :
	@$(MAKE) check-bad-input || :
	@$(MAKE) lint || :
	@tests/run --summary $(CHECK_RESULTS)

# --- style and static analysis -------------------------------------------------------------------

.PHONY: format format-check lint lint-arrows lint-tidy lint-cppcheck
C_FILES := $(foreach d,$(FOLDERS) fs/ops fs/fuse,$(wildcard $(d)/*.[ch]))
format: ## clang-format in place, product and tests
	clang-format -i $(C_FILES) $(wildcard tests/*/*.[ch] tests/*/*/*.[ch] tests/*/*/*/*.[ch])
format-check: ## files that clang-format would change
	clang-format --dry-run $(C_FILES)

lint: ## include arrows, names of marks, clang-tidy, cppcheck
	@MAKE='$(MAKE)' $(RUN) --targets lint-arrows lint-tidy lint-cppcheck
lint-arrows:
	@tests/lint/arrows.sh
	@tests/lint/marks.sh
lint-tidy:
	@printf '%s\n' $(SOURCES) | xargs -P$(JOBS) -n4 bash -c 'clang-tidy --quiet "$$@" -- \
		$(LANG_FLAGS) $(filter-out -Werror,$(WARNINGS)) 2>&1 | \
		grep -v "^[0-9]* warnings\? generated\|^Suppressed\|^Use -header-filter" ; \
		exit $${PIPESTATUS[0]}' tidy
# The last four misread sizeof(p->x), loops that fill an array, and assertions with a text.
CPPCHECK_NOISE := missingInclude unknownMacro nullPointerArithmetic uninitvar ctunullpointer \
	literalWithCharPtrCompare arrayIndexOutOfBoundsCond
lint-cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	@cppcheck --quiet --enable=warning,portability,performance --inline-suppr --std=c11 \
		--error-exitcode=1 -j$(JOBS) --cppcheck-build-dir=$(BUILD)/cppcheck \
		$(addprefix --suppress=,$(CPPCHECK_NOISE)) \
		--max-configs=2 -D_GNU_SOURCE -I. $(SOURCES)

.PHONY: help
help: ## this list
	@echo "quorumfs: make [TARGET] [BUILD=build] [CC=gcc] [PREFIX=/usr/local] [DESTDIR=]"
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
