# omnibus: build, test, measure. `make help` lists the targets.
#
# One pattern rule set, several variants of the same tree:
#   build/release/  what users run     build/asan/  address + undefined behaviour
#   build/tsan/     thread sanitizer   build/clang/ the second compiler
#   build/fuzz/     libFuzzer, with address + undefined behaviour
# A variant is chosen with VARIANT=...; everything it makes stays in build/<variant>/.
# The release variant's program and library are also linked as build/omnibus, build/libomnibus.a.

VARIANT ?= release
BUILD   := build/$(VARIANT)
VERSION := 0.1.0
RELEASED := November 23, 2026
PREFIX  ?= /usr/local

# --- what must be on the machine (Debian 12 names) ---------------------------------------------
DEPS := gcc libc6-dev make libblis-pthread-dev libhwloc-dev libjansson-dev libinih-dev libpcre2-dev \
        libutf8proc-dev gnuplot-nox systemtap-sdt-dev
TEST_DEPS := libcriterion-dev mandoc pkg-config

# --- compiler and variants ---------------------------------------------------------------------
CC_release := gcc
CC_clang   := clang
CC_asan    := gcc
CC_tsan    := gcc
CC_fuzz    := clang
CC         := $(or $(CC_$(VARIANT)),$(error unknown VARIANT '$(VARIANT)': release, clang, asan, tsan or fuzz))

OPT_release := -O2
OPT_clang   := -O2
OPT_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -DOMNI_GUARDED=1
OPT_tsan    := -O1 -fsanitize=thread
OPT_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

WARN   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
          $(if $(filter 1,$(WERROR)),-Werror)
CFLAGS := -std=c11 -D_GNU_SOURCE -g $(OPT_$(VARIANT)) -fno-omit-frame-pointer -ffp-contract=off -fPIC $(WARN) \
          -Iinclude -Isrc -pthread -DOMNI_VERSION='"$(VERSION)"'
# System headers are not ours to warn about.
SYS    := -isystem /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)/blis-pthread
LIBS   := -lblis -lhwloc -ljansson -linih -lpcre2-8 -lutf8proc -lm
LDFLAGS := -pthread $(filter -fsanitize%,$(OPT_$(VARIANT)))

# --- files -------------------------------------------------------------------------------------
LIB_SRC   := $(sort $(wildcard src/base/*.c src/config/*.c src/model/*.c src/weights/*.c src/kernel/*.c \
             src/plan/*.c src/topo/*.c src/rates/*.c src/array/*.c src/sync/*.c src/perf/*.c src/host/*.c \
             src/fabric/*.c src/pe/*.c src/text/*.c src/calibrate/*.c src/verify/*.c src/report/*.c \
             src/trace/*.c src/picture/*.c))
CLI_SRC   := $(sort $(wildcard src/cli/*.c))
TEST_SRC  := $(sort $(wildcard tests/test_*.c))
CASE_SRC  := $(sort $(wildcard tests/cases_*.c))
FUZZ_TARGETS := $(sort $(notdir $(wildcard tests/fuzz/corpus/*)))
BENCH_SRC := $(sort $(wildcard bench/bench_*.c))
PEER_SRC  := $(sort $(wildcard bench/peer_*.c))
BENCH_LIB := $(filter-out $(BENCH_SRC) $(PEER_SRC),$(sort $(wildcard bench/*.c)))
obj       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIB   := $(BUILD)/libomnibus.a
SONAME := libomnibus.so.0
SHARED := $(BUILD)/libomnibus.so.$(VERSION)
PROG  := $(BUILD)/omnibus
TESTS := $(BUILD)/omnibus-tests
# The concurrency and flow cases with a plain main: Criterion itself dies under ThreadSanitizer.
PLAIN := $(BUILD)/omnibus-cases
FUZZ  := $(addprefix $(BUILD)/fuzz-,$(FUZZ_TARGETS))
BENCH := $(patsubst bench/bench_%.c,$(BUILD)/bench-%,$(BENCH_SRC))

# Peers: what others offer for the same job. Each bench/peer_<name>.c is a program that runs ours and theirs; peer_mpi.c
# is built once for each MPI there is, and peer_fabric starts it. All optional: openmpi-bin libopenmpi-dev, mpich
# libmpich-dev, libck-dev.
MPIS  := $(foreach m,openmpi mpich,$(if $(shell command -v mpicc.$(m) && command -v mpiexec.$(m)),$(m)))
CK    := $(wildcard /usr/include/ck_barrier.h)
PEERS := $(patsubst bench/peer_%.c,$(BUILD)/peer-%,$(filter-out bench/peer_mpi.c,$(PEER_SRC)))

.PHONY: all deps deps-test demo test check-asan check-tsan stress fuzz bench bench-peers profile install uninstall stage dist \
        help clean programs
.DELETE_ON_ERROR:

# Recursive makes use all CPUs unless the user said otherwise.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(shell nproc))

all: deps  ## build the release program and library (installs missing packages first)
	@$(SUBMAKE) -q $(LIB) $(PROG) || echo "building $(PROG)"
	@$(SUBMAKE) programs

programs: $(LIB) $(PROG)
ifeq ($(VARIANT),release)
	@ln -sf release/omnibus build/omnibus
	@ln -sf release/libomnibus.a build/libomnibus.a
endif

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(SYS) -MMD -MP -c $< -o $@

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@ && ar rcs $@ $^

# The shared library shows what the public headers declare, and nothing else.
$(BUILD)/libomnibus.map: $(wildcard include/omnibus/*.h) Makefile
	@mkdir -p $(@D)
	@{ echo '{ global:'; grep -ohE 'omni_[a-z0-9_]+' $(filter %.h,$^) | sort -u | sed 's/$$/;/'; echo 'local: *; };'; } >$@

$(SHARED): $(call obj,$(LIB_SRC)) $(BUILD)/libomnibus.map
	@$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME),--version-script,$(BUILD)/libomnibus.map,-z,defs \
	  $(filter %.o,$^) $(LIBS) -o $@

$(BUILD)/obj/src/cli/manual.o: CFLAGS += -DOMNI_RELEASED='"$(RELEASED)"'

$(PROG): $(call obj,src/main.c $(CLI_SRC)) $(LIB)
	@$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

# Has vectors that the base instructions lack, in functions that are all inlined: no call passes one.
$(BUILD)/obj/tests/test_kernel_pairs.o: CFLAGS += -Wno-psabi
# Pointers in kernels are the address sanitizer's: checked twice, these take longer to compile than all the rest.
ifeq ($(VARIANT),asan)
$(BUILD)/obj/src/kernel/ops_%.o $(BUILD)/obj/tests/test_kernel_pairs.o: \
  CFLAGS += -fno-sanitize=null,alignment,object-size,pointer-overflow
endif

# A case counts the allocations that our code makes while it runs.
COUNT_ALLOC := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc

$(TESTS): $(call obj,$(TEST_SRC) $(CASE_SRC) tests/fuzz/targets.c $(CLI_SRC)) $(LIB)
	@$(CC) $(LDFLAGS) $(COUNT_ALLOC) $^ -lcriterion $(LIBS) -o $@

$(PLAIN): $(call obj,tests/plain_main.c $(CASE_SRC)) $(LIB)
	@$(CC) $(LDFLAGS) $(COUNT_ALLOC) $^ $(LIBS) -o $@

$(BUILD)/obj/tests/fuzz/driver-%.o: tests/fuzz/driver.c tests/fuzz/targets.h Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(SYS) -DFUZZ_TARGET='"$*"' -c $< -o $@

$(BUILD)/fuzz-%: $(BUILD)/obj/tests/fuzz/driver-%.o $(call obj,tests/fuzz/targets.c $(CLI_SRC)) $(LIB)
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer $^ $(LIBS) -o $@

$(BUILD)/bench-%: $(BUILD)/obj/bench/bench_%.o $(call obj,$(BENCH_LIB)) $(LIB)
	@$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/obj/bench/peer_fabric.o: CFLAGS += -fopenmp $(if $(CK),-DPEER_CK)
$(BUILD)/peer-fabric: LIBS += -fopenmp $(if $(CK),-lck)
$(PEERS): $(BUILD)/peer-%: $(BUILD)/obj/bench/peer_%.o $(call obj,$(BENCH_LIB)) $(LIB)
	@$(CC) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/peer-mpi-%: bench/peer_mpi.c Makefile
	@mkdir -p $(@D)
	@mpicc.$* -std=c11 -O2 -Wall -Wextra $< -o $@

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# --- packages ------------------------------------------------------------------------------------
deps:  ## install what is missing (Debian packages; says what, uses sudo unless root)
	@command -v dpkg-query >/dev/null || exit 0; missing=""; for p in $(DEPS); do \
	  [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  sudo=sudo; if [ "$$(id -u)" = 0 ]; then sudo=""; fi; \
	  if [ -n "$$sudo" ] && ! command -v sudo >/dev/null; then \
	    echo "omnibus: packages are missing, and so is sudo: as root, run apt-get install --no-install-recommends$$missing" >&2; \
	    exit 2; fi; \
	  echo "omnibus needs these packages and installs them now:$$missing"; \
	  said=$$({ $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing; } 2>&1 >/dev/null) || { echo "$$said" | tail -n 3 >&2; \
	    echo "omnibus: the packages could not be installed (expected a network, and rights for apt-get)" >&2; exit 2; }; fi

deps-test:
	@$(MAKE) --no-print-directory deps DEPS="$(DEPS) $(TEST_DEPS)"

# --- tests -----------------------------------------------------------------------------------------
test: deps-test  ## everything that must hold: layers, unit, flow and command line tests
	@$(SUBMAKE) programs $(TESTS) $(SHARED)
	@sh tests/check_layers.sh
	@sh tests/test_cli.sh $(PROG)
	@sh tests/test_synth.sh $(PROG)
	@$(TESTS) -j4 --short-filename $(TESTFLAGS)

# Criterion does not notice when a test's process ends with a leak, and now and then leaks a timeout of its own. So
# reports go to files, and one with a frame outside Criterion fails.
REPORTS := build/asan/report
check-asan: deps-test  ## all tests under address and undefined behaviour sanitizers
	@$(SUBMAKE) VARIANT=asan build/asan/omnibus-tests build/asan/omnibus
	@sh tests/test_cli.sh build/asan/omnibus
	@sh tests/test_synth.sh build/asan/omnibus
	@rm -f $(REPORTS).*; failed=0; \
	LSAN_OPTIONS=log_path=$(REPORTS):exitcode=0 build/asan/omnibus-tests -j3 --short-filename $(TESTFLAGS) || failed=1; \
	if cat $(REPORTS).* 2>/dev/null | grep '^ *#[1-9]' | grep -qv libcriterion; then failed=1; fi; \
	if [ $$failed = 1 ]; then cat $(REPORTS).* 2>/dev/null; exit 1; fi

# Without address randomization: gcc 12's runtime cannot place its shadow under every kernel's.
check-tsan: deps  ## concurrency and flow cases under the thread sanitizer, without suppressions
	@$(SUBMAKE) VARIANT=tsan build/tsan/omnibus-cases
	@TSAN_OPTIONS=halt_on_error=1 setarch -R build/tsan/omnibus-cases $(CASES)

stress: deps  ## the concurrency cases, many times over (STRESS=20)
	@$(SUBMAKE) $(PLAIN)
	@OMNIBUS_STRESS=$(or $(STRESS),20) $(PLAIN) sync
	@OMNIBUS_STRESS=$(or $(STRESS),20) $(PLAIN) fabric

# What is new goes to build/fuzz/corpus; what breaks a target is left as a file beside its committed corpus, where
# the tests find it from then on.
FUZZ_SECONDS ?= 20
fuzz:  ## fuzz every door for text from outside, FUZZ_SECONDS=20 each (clang's libFuzzer)
	@$(MAKE) --no-print-directory deps DEPS="$(DEPS) clang libclang-rt-14-dev"
	@$(SUBMAKE) VARIANT=fuzz $(addprefix build/fuzz/fuzz-,$(FUZZ_TARGETS))
	@for t in $(FUZZ_TARGETS); do mkdir -p build/fuzz/corpus/$$t; echo "== $$t"; \
	  build/fuzz/fuzz-$$t -max_total_time=$(FUZZ_SECONDS) -timeout=20 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=tests/fuzz/corpus/$$t/ build/fuzz/corpus/$$t tests/fuzz/corpus/$$t \
	    >build/fuzz/$$t.log 2>&1 || { tail -n 40 build/fuzz/$$t.log; exit 1; }; \
	  grep -E 'number_of_executed|average_exec' build/fuzz/$$t.log; done

# --- the main job -------------------------------------------------------------------------------------
demo: all  ## prove the demo models under several plans and PE counts, show the traffic, generate
	@sh configs/demo/demo.sh $(PROG)

# Everything that is installed, as it lies below PREFIX. The program prints its manual pages and its completion.
STAGE   := $(BUILD)/stage
CONFIGS := $(wildcard configs/arrays/*.ini configs/models/*.json configs/experiments/*.ini configs/demo/*/*)
MAN_OF   = $(shell COLUMNS=80 $(PROG) help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
stage: $(PROG) $(LIB) $(SHARED)
	@rm -rf $(STAGE)
	@install -D -m 755 -t $(STAGE)/bin $(PROG)
	@install -D -m 644 -t $(STAGE)/lib $(LIB) $(SHARED)
	@ln -s $(notdir $(SHARED)) $(STAGE)/lib/$(SONAME)
	@ln -s $(SONAME) $(STAGE)/lib/libomnibus.so
	@install -D -m 644 -t $(STAGE)/include/omnibus include/omnibus/*.h
	@for f in $(CONFIGS); do install -D -m 644 $$f $(STAGE)/share/omnibus/$$f; done
	@install -D -m 644 -t $(STAGE)/share/doc/omnibus README.md LICENSE
	@install -d $(STAGE)/lib/pkgconfig $(STAGE)/share/man/man1 $(STAGE)/share/bash-completion/completions
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: omnibus' \
	  'Description: transformers on an emulated array with one broadcast bus' 'Version: $(VERSION)' \
	  'Requires.private: jansson' 'Libs: -L$${libdir} -lomnibus' 'Libs.private: $(LIBS) -pthread' \
	  'Cflags: -I$${includedir}' >$(STAGE)/lib/pkgconfig/omnibus.pc
	@$(PROG) help --completion >$(STAGE)/share/bash-completion/completions/omnibus
	@$(PROG) help --man >$(STAGE)/share/man/man1/omnibus.1
	@for c in $(MAN_OF); do $(PROG) help $$c --man >$(STAGE)/share/man/man1/omnibus-$$c.1 || exit 1; done

# The manifest lists what was placed, and with a '/' behind it each directory that was not there before.
ROOT     = $(DESTDIR)$(PREFIX)
MANIFEST = $(ROOT)/share/omnibus/manifest
install: deps  ## install program, libraries, headers, configs, manual, completion: PREFIX=/usr/local, DESTDIR in front
	@$(SUBMAKE) stage
	@install -d "$(ROOT)"
	@{ cat "$(MANIFEST)" 2>/dev/null; echo share/omnibus/manifest; \
	  (cd $(STAGE) && find . -mindepth 1 -type d -printf '%P/\n' -o -printf '%P\n') | while read -r f; do \
	    case $$f in */) [ -d "$(ROOT)/$$f" ] || echo "$$f" ;; *) echo "$$f" ;; esac; done; \
	} | LC_ALL=C sort -u >$(BUILD)/manifest
	@tar -C $(STAGE) -cf - . | tar -C "$(ROOT)" -xpf - --no-same-owner --no-overwrite-dir
	@install -m 644 $(BUILD)/manifest "$(MANIFEST)"
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true
	@echo "omnibus $(VERSION): $$(grep -vc '/$$' "$(MANIFEST)") files below $(ROOT)"

uninstall:  ## remove exactly what install placed there
	@[ -f "$(MANIFEST)" ] || { echo "$(MANIFEST): not there (expected the PREFIX and DESTDIR of make install)" >&2; exit 2; }
	@LC_ALL=C sort -r "$(MANIFEST)" | while read -r f; do \
	  case $$f in */) rmdir "$(ROOT)/$$f" 2>/dev/null || true ;; *) rm -f "$(ROOT)/$$f" ;; esac; done

dist:  ## the committed tree as build/omnibus-VERSION.tar.gz, which builds without git
	@mkdir -p build
	@git archive --prefix=omnibus-$(VERSION)/ -o build/omnibus-$(VERSION).tar.gz HEAD
	@echo build/omnibus-$(VERSION).tar.gz

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | awk -F'\t' '{printf "  %-14s %s\n", $$1, $$2}'

clean:  ## remove build/
	@rm -rf build

# --- speed -----------------------------------------------------------------------------------------
.SECONDARY: $(call obj,$(BENCH_SRC) $(BENCH_LIB) $(PEER_SRC))

bench: deps  ## measure fabric, kernels and models against limits of the same run (wants a quiet machine)
	@$(SUBMAKE) $(BENCH)
	@for b in $(BENCH); do $$b --json $$b.json || exit 1; echo; done

# What runs, after the program's name: any `bench` or `run`.
PROFILE ?= bench configs/demo/llama --pes 2 --prompt 128 --gen 64 --reps 40 --no-limits
profile: all  ## where the time goes, by perf record with call graphs (PROFILE='bench DIR ...')
	@sh bench/profile.sh $(PROG) $(PROFILE)

bench-peers: deps  ## measure beside the peers that are installed (MPIs, Concurrency Kit; LLAMA_BENCH=path)
	@$(SUBMAKE) $(PEERS) $(addprefix $(BUILD)/peer-mpi-,$(MPIS))
	@for p in $(PEERS); do $$p --json $$p.json || exit 1; echo; done
