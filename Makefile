# Weir: every command. `make help` lists them.

BUILD   ?= build
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
OBJCOPY ?= objcopy
VERSION := $(shell sed -n 's/^.define WEIR_VERSION "\(.*\)"/\1/p' pool/weir.h)
SONAME  := libweir.so.0
RUNTIME_LIBS := libweir.so.$(VERSION)

PKGS      := libuv libpq jansson libmicrohttpd gnutls zlib libjwt libcrypto
TEST_PKGS := cmocka libcurl
# The static archive where there is one: the shared one brings the C++ library along.
BOOST := $(shell $(CC) -print-file-name=libboost_context.a 2>/dev/null)
BOOST := $(if $(findstring /,$(BOOST)),$(BOOST),-lboost_context)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wvla -Wundef -Wno-unused-parameter -Werror
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
OPTIMISE  ?= -O2 -g
SANITIZE  ?=

# Instrumented code misleads the compiler's flow analysis: there, warnings are only that.
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE $(OPTIMISE) $(WARNINGS) -Ipool -I$(BUILD)/embedded -fvisibility=hidden -pthread \
              $(if $(SANITIZE),-fno-omit-frame-pointer -Wno-error $(SANITIZE),$(HARDENING)) \
              $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL := -pthread $(if $(SANITIZE),$(SANITIZE),-Wl,-z,relro,-z,now) $(LDFLAGS)
LIBS_POOL := $(BOOST) $(shell pkg-config --libs libuv libpq 2>/dev/null) -lm
LIBS      := $(shell pkg-config --libs $(PKGS) 2>/dev/null) $(BOOST) -lm
TEST_LIBS := $(shell pkg-config --libs $(TEST_PKGS) 2>/dev/null)

POOL_SRC    := $(wildcard pool/*.c pool/drivers/*.c)
API_SRC     := $(wildcard api/*.c)
SERVICE_SRC := $(wildcard service/*.c)
SUPPORT_SRC := $(wildcard tests/support/*.c)
UNIT_SRC    := $(wildcard tests/unit/*.c)
SIM_SRC     := $(wildcard tests/sim/*.c)
INTEGRATION_SRC := $(wildcard tests/integration/*.c)
BENCH_SRC   := $(wildcard tests/bench/*.c)
CHAOS_SRC   := $(wildcard tests/chaos/*.c)
FUZZ_SRC    := $(wildcard tests/fuzz/*.c)
EXAMPLE_SRC := $(wildcard tests/examples/*.c)
TEST_SRC    := $(UNIT_SRC) $(SIM_SRC) $(INTEGRATION_SRC) $(CHAOS_SRC) $(BENCH_SRC) $(FUZZ_SRC) \
               $(EXAMPLE_SRC)
# All of the service but its main(), which unit tests link too.
PARTS_SRC   := $(filter-out service/main.c,$(SERVICE_SRC))
ALL_SRC     := $(POOL_SRC) $(API_SRC) $(SERVICE_SRC) $(SUPPORT_SRC) $(TEST_SRC)

objects  = $(patsubst %.c,$(BUILD)/%.o,$(1))
programs = $(patsubst %.c,$(BUILD)/%,$(1))
PIC_OBJECTS := $(patsubst %.c,$(BUILD)/pic/%.o,$(POOL_SRC))

RUN_TESTS = tests/support/run-tests.sh

##@ Everyday

help: ## this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## install the Debian packages that are missing
	@.ci/deps build run test lint bench

build: $(BUILD)/weir $(BUILD)/libweir.a $(BUILD)/libweir.so ## the release build: build/weir and both libraries

run: ## serve the demo shop on 127.0.0.1:8080 (PORT=) over a private PostgreSQL
	@.ci/deps build run
	@$(MAKE) --no-print-directory build
	@BUILD=$(BUILD) service/demo/run

# What fuzzers have found stays: it took longer than a build. The demo's data is elsewhere when
# PostgreSQL's user cannot reach the build folder.
clean: ## remove everything that was built
	@data=$$(cat $(BUILD)/demo/elsewhere 2>/dev/null); \
	    ! expr "$$data" : '/var/tmp/weir-demo-[[:alnum:]]*$$' >/dev/null || rm -rf "$$data"
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-valgrind $(BUILD)-gcc $(BUILD)-clang compile_commands.json
	@[ ! -d $(BUILD)-fuzz ] || find $(BUILD)-fuzz -mindepth 1 -maxdepth 1 ! -name corpus -exec rm -rf {} +

##@ Tests

test: ## unit, simulation and integration tests
	@.ci/deps build run test
	@$(MAKE) --no-print-directory check

test-unit: ## unit tests
	@.ci/deps build run test
	@$(MAKE) --no-print-directory check KINDS=unit

test-sim: ## the simulator (SEED= replays one schedule, SCHEDULES= sets how many)
	@.ci/deps build run test
	@$(MAKE) --no-print-directory check KINDS=sim

test-sim-long: ## a million schedules of the simulator, on all processors (SCHEDULES=, FIRST= seed)
	@.ci/deps build run test
	@$(MAKE) --no-print-directory $(BUILD)/tests/sim/core_sim
	@tests/sim/long.sh $(BUILD)/tests/sim/core_sim

test-integration: ## tests against a real PostgreSQL and the real program
	@.ci/deps build run test
	@$(MAKE) --no-print-directory check KINDS=integration

test-chaos: ## the program under load while server, network and clients fail (CHAOS_SECONDS=130, SEED=)
	@.ci/deps build run test
	@$(MAKE) --no-print-directory chaos

test-docker: ## the image and the compose files, on a real Docker engine (starts one, as root)
	@.ci/deps docker
	@BUILD=$(BUILD) tests/docker/run.sh

asan: ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@.ci/deps build run test
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)-asan OPTIMISE='-O1 -g' TEST_SLOWER=3 \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined'

tsan: ## the tests under ThreadSanitizer
	@.ci/deps build run test
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)-tsan OPTIMISE='-O1 -g' TEST_SLOWER=6 \
	    SANITIZE='-fsanitize=thread'

valgrind: ## the tests under Valgrind (KINDS=unit: only those; fewer SCHEDULES than usual)
	@.ci/deps build run test lint
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)-valgrind OPTIMISE='-O1 -g' \
	    CFLAGS='-DWEIR_VALGRIND $(CFLAGS)' TEST_SLOWER=20 SCHEDULES=$(or $(SCHEDULES),200) \
	    TEST_WRAPPER='valgrind -q --fair-sched=try --error-exitcode=97 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=$(CURDIR)/tests/support/valgrind.supp'

test-failing: ## each call of the system, libuv and libpq fails in turn (`make test` tries a sample)
	@.ci/deps build run test
	@$(MAKE) --no-print-directory $(BUILD)/tests/integration/failing_calls
	@ALL=1 TEST_TIMEOUT=3600 $(RUN_TESTS) $(BUILD)/tests/integration/failing_calls

mutants: ## break the core on purpose, and see that the simulator notices
	@tests/sim/mutants.sh

fuzz: ## any bytes for whatever reads SQL, requests and headers, and the encoder (FUZZ_SECONDS= each, 20)
	@.ci/deps build run test lint fuzz
	@$(MAKE) --no-print-directory fuzz-all BUILD=$(BUILD)-fuzz CC=clang OPTIMISE='-O1 -g' \
	    SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'

fuzz-merge: ## add what `make fuzz` has found beyond the seeds in tests/fuzz/corpus to them
	@$(MAKE) --no-print-directory fuzz FUZZ_MERGE=1

bench: ## measure against pgbench and COPY, as tables of ratios
	@.ci/deps build run bench
	@$(MAKE) --no-print-directory build benches
	@BUILD=$(BUILD) tests/bench/bench.sh
	@BUILD=$(BUILD) tests/bench/overload.sh
	@BUILD=$(BUILD) tests/bench/stream.sh
	@BUILD=$(BUILD) tests/bench/slow_clients.sh

##@ Care

lint: ## format, clang-tidy, the arrows between folders, warnings of gcc and clang, the README
	@.ci/deps build run test lint
	@.ci/arrows
	@clang-format --dry-run -Werror $(ALL_SRC) $(HEADERS)
	@$(MAKE) --no-print-directory -k compile CC=gcc BUILD=$(if $(filter gcc,$(CC)),$(BUILD),$(BUILD)-gcc)
	@$(MAKE) --no-print-directory -k compile CC=clang BUILD=$(BUILD)-clang
	@$(MAKE) --no-print-directory -k tidy CC=clang BUILD=$(BUILD)-clang
	@$(MAKE) --no-print-directory $(BUILD)/weir
	@BUILD=$(BUILD) .ci/readme
	@echo 'lint: clean'

format: ## rewrite all C files as clang-format wants them
	clang-format -i $(ALL_SRC) $(HEADERS)

install: build ## install program, header, libraries and weir.pc below PREFIX (and DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 755 $(BUILD)/weir $(DESTDIR)$(PREFIX)/bin/weir
	install -m 644 pool/weir.h $(DESTDIR)$(PREFIX)/include/weir.h
	install -m 644 $(BUILD)/libweir.a $(DESTDIR)$(LIBDIR)/libweir.a
	install -m 755 $(BUILD)/$(RUNTIME_LIBS) $(DESTDIR)$(LIBDIR)/$(RUNTIME_LIBS)
	ln -sf $(RUNTIME_LIBS) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libweir.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@BOOST@|$(if $(findstring /,$(BOOST)),-l:$(notdir $(BOOST)),$(BOOST))|' \
	    weir.pc.in > $(BUILD)/weir.pc
	install -m 644 $(BUILD)/weir.pc $(DESTDIR)$(LIBDIR)/pkgconfig/weir.pc

.PHONY: help deps build run clean test test-unit test-sim test-sim-long test-integration test-failing test-chaos \
        test-docker asan tsan valgrind mutants fuzz fuzz-merge bench lint format install check chaos compile programs \
        benches tidy fuzz-all force
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

# ---- How it is built ----

# One short line a file; V=1 shows the commands.
say = $(if $(V),,@echo '  $@' && )

# Rebuild when flags change, and when a file came or went.
define stamp
$(BUILD)/$(1): force
	@mkdir -p $$(@D)
	@echo '$(2)' | cmp -s - $$@ || echo '$(2)' > $$@
endef
$(eval $(call stamp,flags,$(CC) $(CFLAGS_ALL) / $(LDFLAGS_ALL)))
$(eval $(call stamp,sources,$(POOL_SRC) $(API_SRC) $(SERVICE_SRC) $(SUPPORT_SRC)))

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS_ALL) -fPIE -MMD -MP -c $< -o $@

$(BUILD)/pic/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS_ALL) -fPIC -MMD -MP -c $< -o $@

# A file of api/ as a C string.
$(BUILD)/embedded/%.inc: api/%
	@mkdir -p $(@D)
	@sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/' $< > $@

$(BUILD)/api/openapi.o: $(BUILD)/embedded/openapi.json.inc
$(BUILD)/api/page.o: $(BUILD)/embedded/docs.js.inc

archive = rm -f $@ && ar rcs $@ $(filter %.o,$^)
link    = $(CC) -pie $(LDFLAGS_ALL) $(filter %.o %.a,$^) -o $@

$(BUILD)/libpool.a: $(call objects,$(POOL_SRC)) $(BUILD)/sources
	$(say)$(archive)

# For users: one object in which only the names of weir.h are global, so that ours clash with none
# of theirs.
$(BUILD)/libweir.a: $(call objects,$(POOL_SRC)) $(BUILD)/sources
	$(say)$(CC) -r -nostdlib $(filter %.o,$^) -o $(BUILD)/libweir.o && \
	    $(OBJCOPY) --localize-hidden $(BUILD)/libweir.o && \
	    rm -f $@ && ar rcs $@ $(BUILD)/libweir.o

$(BUILD)/libapi.a: $(call objects,$(API_SRC)) $(BUILD)/sources
	$(say)$(archive)

$(BUILD)/libservice.a: $(call objects,$(PARTS_SRC)) $(BUILD)/sources
	$(say)$(archive)

$(BUILD)/libsupport.a: $(call objects,$(SUPPORT_SRC)) $(BUILD)/sources
	$(say)$(archive)

$(BUILD)/$(RUNTIME_LIBS): $(PIC_OBJECTS) $(BUILD)/sources
	$(say)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(SONAME),--exclude-libs,ALL $(PIC_OBJECTS) -o $@ $(LIBS_POOL)

$(BUILD)/libweir.so: $(BUILD)/$(RUNTIME_LIBS)
	$(say)ln -sf $(RUNTIME_LIBS) $(BUILD)/$(SONAME) && ln -sf $(SONAME) $@

HOUSE := $(BUILD)/libservice.a $(BUILD)/libapi.a $(BUILD)/libpool.a

$(BUILD)/weir: $(BUILD)/service/main.o $(HOUSE)
	$(say)$(link) $(LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libsupport.a $(HOUSE)
	$(say)$(link) $(LIBS) $(TEST_LIBS)

# One program of many parts.
$(BUILD)/tests/chaos/chaos: $(call objects,$(CHAOS_SRC)) $(BUILD)/libsupport.a $(HOUSE)
	$(say)$(link) $(LIBS) $(TEST_LIBS)

$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(HOUSE)
	$(say)$(link) -fsanitize=fuzzer $(LIBS)

# As a user builds them: the public header alone, and one of the libraries.
EXAMPLES := $(call programs,$(EXAMPLE_SRC)) $(addsuffix -shared,$(call programs,$(EXAMPLE_SRC)))
EXAMPLE_FLAGS = $(filter-out -Ipool,$(CFLAGS_ALL)) -I$(BUILD)/include $(LDFLAGS_ALL)

$(BUILD)/include/weir.h: pool/weir.h
	@mkdir -p $(@D) && cp $< $@

$(BUILD)/tests/examples/%: tests/examples/%.c $(BUILD)/include/weir.h $(BUILD)/libweir.a
	@mkdir -p $(@D)
	$(say)$(CC) $(EXAMPLE_FLAGS) $< $(BUILD)/libweir.a -o $@ $(LIBS_POOL) $(TEST_LIBS)

$(BUILD)/tests/examples/%-shared: tests/examples/%.c $(BUILD)/include/weir.h $(BUILD)/libweir.so
	@mkdir -p $(@D)
	$(say)$(CC) $(EXAMPLE_FLAGS) $< -L$(BUILD) -lweir -Wl,-rpath,'$$ORIGIN/../..' -o $@ \
	    $(shell pkg-config --libs libuv) $(TEST_LIBS)

$(BUILD)/tests/integration/examples: $(EXAMPLES)

# Its calls of the system, libuv and libpq can be made to fail.
$(BUILD)/tests/integration/failing_calls: LDFLAGS_ALL += @tests/support/failing.calls

.SECONDARY: $(call objects,$(TEST_SRC))

compile: $(call objects,$(ALL_SRC))
benches: $(call programs,$(BENCH_SRC))

# ---- How it is tested and checked ----

KINDS ?= unit sim integration
SOURCES_unit := $(UNIT_SRC)
SOURCES_sim := $(SIM_SRC)
SOURCES_integration := $(INTEGRATION_SRC)
CHECKED = $(call programs,$(foreach kind,$(KINDS),$(SOURCES_$(kind))))

programs: $(CHECKED) $(BUILD)/tests/chaos/chaos $(BUILD)/weir

export SEED SCHEDULES TEST_SLOWER TEST_WRAPPER

check: $(CHECKED) $(BUILD)/weir
	@$(RUN_TESTS) $(CHECKED)

# Not one of RUN_TESTS: its table is to be seen when all is well, too.
export CHAOS_SECONDS
chaos: $(BUILD)/tests/chaos/chaos $(BUILD)/weir
	@tests/chaos/run.sh $<

export FUZZ_SECONDS
fuzz-all: $(call programs,$(FUZZ_SRC))
	@tests/fuzz/run.sh $(BUILD)/corpus $^

HEADERS := $(wildcard pool/*.h pool/drivers/*.h api/*.h service/*.h tests/*/*.h)

# One stamp a file: a file that was clean is not read again until it or a header changes.
TIDIED := $(patsubst %.c,$(BUILD)/%.tidy,$(ALL_SRC))
$(BUILD)/%.tidy: %.c $(BUILD)/%.o .clang-tidy
	$(say)clang-tidy --quiet $< -- $(CFLAGS_ALL) 2>/dev/null
	@touch $@
tidy: $(TIDIED)

-include $(patsubst %.o,%.d,$(call objects,$(ALL_SRC)) $(PIC_OBJECTS))
