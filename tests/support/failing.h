/* failing.h: calls of the library that fail on demand.
 *
 * A program linked with @tests/support/failing.calls has libweir's calls of the system, libuv and
 * libpq pass through here: each is counted by its kind, and the one whose number was asked for
 * fails the way its documentation says that it may. Nothing is armed at the start.
 *
 * Left out, because by libuv's sources they cannot fail on a handle that is open: uv_async_send,
 * uv_timer_…, uv_idle_…, uv_prepare_…, uv_poll_stop, and uv_poll_start again on a handle already
 * started. Left out, because libuv itself ends the program when its own memory fails there: the
 * growing of a loop's table of watchers (uv__io_start) and the start of its threadpool. */
#ifndef WEIR_TESTS_FAILING_H
#define WEIR_TESTS_FAILING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Constant, name. */
#define FAILING_KINDS(X)                                                                           \
    X(FAILING_MEMORY, "libweir's memory")                                                          \
    X(FAILING_SYSTEM, "system calls")                                                              \
    X(FAILING_LIBUV, "libuv calls")                                                                \
    X(FAILING_LIBPQ, "libpq calls")                                                                \
    X(FAILING_LIBPQ_MEMORY, "libpq's memory")

typedef enum failing_kind {
#define X(kind, name) kind,
    FAILING_KINDS(X)
#undef X
        FAILING_KIND_COUNT
} failing_kind;

enum { FAILING_STACK_MAX = 24, FAILING_SITES_MAX = 512 };

/* One function that is called, or one place that calls it. */
typedef struct failing_site {
    _Atomic(const void *) key; /* NULL: free */
    const char *name;
    failing_kind kind;
    atomic_uint calls;
} failing_site;

/* What has happened; may live in memory shared with processes forked from the same. */
typedef struct failing_record {
    failing_site sites[FAILING_SITES_MAX];
    atomic_int fired;      /* so many calls were made to fail */
    const void *first_key; /* the first of them */
    void *stack[FAILING_STACK_MAX];
    int depth;
    /* What libweir has and has not given back. */
    atomic_int memory, connections, results, cancels;
} failing_record;

/* From here on the `number`-th call of that key fails (0: none does), and if `lasting` all that
 * follow of its kind. */
void failing_arm(failing_record *record, failing_kind kind, const void *key, unsigned number,
                 bool lasting);
/* No call fails any more; what is given back is still counted. */
void failing_disarm(void);

/* Whether a call has been made to fail since failing_arm. */
bool failing_fired(void);

/* Counts one call: whether it is to fail. `key` tells it from others, and is the same in every run:
 * its name, or who calls. */
bool failing_call(failing_kind kind, const char *name, const void *key);

#endif
