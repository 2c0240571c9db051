# Weir: every command. `make help` lists them.

BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
SONAME  := libweir.so.0
VERSION := $(shell sed -n 's/^\#define WEIR_VERSION "\(.*\)"/\1/p' pool/weir.h)

PKGS      := libuv libpq jansson libmicrohttpd
TEST_PKGS := cmocka libcurl

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wvla -Wundef -Wno-unused-parameter -Werror
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
OPTIMISE  ?= -O2 -g
SANITIZE  ?=
CFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE $(OPTIMISE) $(if $(SANITIZE),-fno-omit-frame-pointer,$(HARDENING)) \
             $(SANITIZE) $(WARNINGS) -Ipool -fvisibility=hidden -pthread \
             $(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
LDFLAGS_ALL = $(SANITIZE) $(if $(SANITIZE),,-pie -Wl,-z,relro,-z,now) -pthread $(LDFLAGS)
LIBS_POOL := -lboost_context $(shell pkg-config --libs libuv libpq) -lm
LIBS      := $(shell pkg-config --libs $(PKGS)) -lboost_context -lm
TEST_LIBS := $(shell pkg-config --libs $(TEST_PKGS))

POOL_SRC    := $(wildcard pool/*.c pool/drivers/*.c)
API_SRC     := $(wildcard api/*.c)
SERVICE_SRC := $(wildcard service/*.c)
SUPPORT_SRC := $(wildcard tests/support/*.c)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*.c))
SIM_TESTS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/sim/*.c))
INTEGRATION_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/integration/*.c))
BENCHES    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))

.PHONY: build
build: $(BUILD)/weir $(BUILD)/libweir.a $(BUILD)/libweir.so

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(CFLAGS_ALL)) -fPIC -MMD -MP -c $< -o $@

$(BUILD)/libweir.a: $(call obj,$(POOL_SRC))
	rm -f $@ && ar rcs $@ $^

$(BUILD)/$(SONAME): $(patsubst %.c,$(BUILD)/pic/%.o,$(POOL_SRC))
	$(CC) $(filter-out -pie,$(LDFLAGS_ALL)) -shared -Wl,-soname,$(SONAME) $^ -o $@ $(LIBS_POOL)

$(BUILD)/libweir.so: $(BUILD)/$(SONAME)
	ln -sf $(SONAME) $@

$(BUILD)/libapi.a: $(call obj,$(API_SRC))
	rm -f $@ && ar rcs $@ $^

$(BUILD)/weir: $(call obj,$(SERVICE_SRC)) $(BUILD)/libapi.a $(BUILD)/libweir.a
	$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS)

$(BUILD)/libsupport.a: $(call obj,$(SUPPORT_SRC))
	rm -f $@ && ar rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/libsupport.a $(BUILD)/libapi.a $(BUILD)/libweir.a
	$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS) $(TEST_LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
