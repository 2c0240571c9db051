/* failing.c: calls of the library that fail on demand. */
#include "failing.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <uv.h>

static failing_record unused;
static failing_record *record = &unused;
static failing_kind armed_kind;
static const void *armed_key;
static unsigned armed_number; /* 0: none fails */
static bool armed_lasting;
static atomic_bool failing; /* it has begun, and lasts */

void failing_arm(failing_record *to, failing_kind kind, const void *key, unsigned number,
                 bool lasting)
{
    /* Its first call allocates: not when a call fails. */
    void *stack[1];
    backtrace(stack, 1);
    record = to;
    armed_kind = kind;
    armed_key = key;
    armed_number = number;
    armed_lasting = lasting;
}

void failing_disarm(void)
{
    armed_number = 0;
    atomic_store(&failing, false);
}

bool failing_fired(void)
{
    return atomic_load(&record->fired) > 0;
}

static failing_site *site_of(failing_kind kind, const char *name, const void *key)
{
    for (failing_site *site = record->sites;; site++) {
        const void *there = NULL;
        if (site == &record->sites[FAILING_SITES_MAX])
            abort();
        if (atomic_compare_exchange_strong(&site->key, &there, key)) {
            site->name = name;
            site->kind = kind;
            return site;
        }
        if (there == key)
            return site;
    }
}

static bool is_its_turn(failing_kind kind, const void *key, unsigned number)
{
    if (atomic_load(&failing))
        return kind == armed_kind;
    if (armed_number == 0 || key != armed_key || number != armed_number)
        return false;
    atomic_store(&failing, armed_lasting);
    return true;
}

bool failing_call(failing_kind kind, const char *name, const void *key)
{
    unsigned number = atomic_fetch_add(&site_of(kind, name, key)->calls, 1) + 1;
    if (!is_its_turn(kind, key, number))
        return false;
    if (atomic_fetch_add(&record->fired, 1) == 0) {
        record->first_key = key;
        record->depth = backtrace(record->stack, FAILING_STACK_MAX);
    }
    return true;
}

static bool fails(failing_kind kind, const char *name)
{
    return failing_call(kind, name, name);
}

/* Declares the call as the linker sees it, and as it really is. */
#define WRAP(type, name, ...)                                                                      \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* A call that fails by returning `failure`. */
#define MAY_FAIL(kind, type, name, failure, params, args)                                          \
    type __wrap_##name params;                                                                     \
    type __real_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        if (fails(kind, #name))                                                                    \
            return failure;                                                                        \
        return __real_##name args;                                                                 \
    }

/* ---- Memory ---- */

static void *kept(void *memory)
{
    if (memory)
        atomic_fetch_add(&record->memory, 1);
    return memory;
}

/* Known by who asks for it: by name alone, what is asked for but seldom would be hard to hit. */
#define out_of_memory(name) memory_fails(name, __builtin_return_address(0))

static bool memory_fails(const char *name, const void *caller)
{
    if (!failing_call(FAILING_MEMORY, name, caller))
        return false;
    errno = ENOMEM;
    return true;
}

WRAP(void *, malloc, size_t size)
{
    return out_of_memory("malloc") ? NULL : kept(__real_malloc(size));
}

WRAP(void *, calloc, size_t count, size_t size)
{
    return out_of_memory("calloc") ? NULL : kept(__real_calloc(count, size));
}

WRAP(void *, realloc, void *memory, size_t size)
{
    if (out_of_memory("realloc"))
        return NULL;
    void *moved = __real_realloc(memory, size);
    return memory ? moved : kept(moved);
}

WRAP(char *, strdup, const char *text)
{
    return out_of_memory("strdup") ? NULL : kept(__real_strdup(text));
}

WRAP(char *, strndup, const char *text, size_t size)
{
    return out_of_memory("strndup") ? NULL : kept(__real_strndup(text, size));
}

static int print_into(char **made, const char *format, va_list arguments)
{
    if (out_of_memory("asprintf"))
        return -1;
    int r = vasprintf(made, format, arguments);
    if (r >= 0)
        kept(*made);
    return r;
}

int __wrap_asprintf(char **made, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **made, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = print_into(made, format, arguments);
    va_end(arguments);
    return r;
}

int __wrap___asprintf_chk(char **made, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **made, int flag, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    int r = print_into(made, format, arguments);
    va_end(arguments);
    return r;
}

WRAP(void, free, void *memory)
{
    if (memory)
        atomic_fetch_sub(&record->memory, 1);
    __real_free(memory);
}

WRAP(void *, mmap, void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (out_of_memory("mmap"))
        return MAP_FAILED;
    void *memory = __real_mmap(at, size, protection, flags, fd, offset);
    if (memory != MAP_FAILED)
        kept(memory);
    return memory;
}

WRAP(int, munmap, void *memory, size_t size)
{
    atomic_fetch_sub(&record->memory, 1);
    return __real_munmap(memory, size);
}

/* ---- The system ---- */

static bool refused(const char *name, int error)
{
    if (!fails(FAILING_SYSTEM, name))
        return false;
    errno = error;
    return true;
}

WRAP(int, mprotect, void *memory, size_t size, int protection)
{
    return refused("mprotect", ENOMEM) ? -1 : __real_mprotect(memory, size, protection);
}

/* Variadic, and never called with more than one argument. */
int __wrap_fcntl(int fd, int command, long argument);
int __real_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, long argument)
{
    return refused("fcntl", EMFILE) ? -1 : __real_fcntl(fd, command, argument);
}

int __wrap_fcntl64(int fd, int command, long argument);
int __real_fcntl64(int fd, int command, long argument);
int __wrap_fcntl64(int fd, int command, long argument)
{
    return refused("fcntl", EMFILE) ? -1 : __real_fcntl64(fd, command, argument);
}

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
     void *arg)
{
    return refused("pthread_create", EAGAIN) ? EAGAIN
                                             : __real_pthread_create(thread, attributes, run, arg);
}

WRAP(ssize_t, getrandom, void *to, size_t size, unsigned flags)
{
    return refused("getrandom", ENOSYS) ? -1 : __real_getrandom(to, size, flags);
}

/* ---- libuv ---- */

MAY_FAIL(FAILING_LIBUV, int, uv_loop_init, UV_EMFILE, (uv_loop_t * loop), (loop))
MAY_FAIL(FAILING_LIBUV, int, uv_async_init, UV_EMFILE,
         (uv_loop_t * loop, uv_async_t *async, uv_async_cb woken), (loop, async, woken))
MAY_FAIL(FAILING_LIBUV, int, uv_getaddrinfo, UV_ENOMEM,
         (uv_loop_t * loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb found, const char *node,
          const char *service, const struct addrinfo *hints),
         (loop, request, found, node, service, hints))
MAY_FAIL(FAILING_LIBUV, int, uv_queue_work, UV_EINVAL,
         (uv_loop_t * loop, uv_work_t *request, uv_work_cb work, uv_after_work_cb done),
         (loop, request, work, done))
MAY_FAIL(FAILING_LIBUV, int, uv_cancel, UV_EBUSY, (uv_req_t * request), (request))
MAY_FAIL(FAILING_LIBUV, int, uv_random, UV_ENOSYS,
         (uv_loop_t * loop, uv_random_t *request, void *to, size_t size, unsigned flags,
          uv_random_cb done),
         (loop, request, to, size, flags, done))
MAY_FAIL(FAILING_LIBUV, int, uv_thread_create, UV_EAGAIN,
         (uv_thread_t * thread, uv_thread_cb run, void *arg), (thread, run, arg))

static _Thread_local const uv_poll_t *fresh;

WRAP(int, uv_poll_init, uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    if (fails(FAILING_LIBUV, "uv_poll_init"))
        return UV_ENOMEM;
    fresh = poll;
    return __real_uv_poll_init(loop, poll, fd);
}

WRAP(int, uv_poll_start, uv_poll_t *poll, int events, uv_poll_cb ready)
{
    bool first = poll == fresh;
    fresh = NULL;
    if (first && fails(FAILING_LIBUV, "uv_poll_start"))
        return UV_EEXIST;
    return __real_uv_poll_start(poll, events, ready);
}

/* ---- libpq ---- */

/* Without a reason in the second argument, as when there is no memory for one. */
WRAP(PQconninfoOption *, PQconninfoParse, const char *text, char **why)
{
    if (!fails(FAILING_LIBPQ, "PQconninfoParse"))
        return __real_PQconninfoParse(text, why);
    if (why)
        *why = NULL;
    return NULL;
}

WRAP(PGconn *, PQconnectStartParams, const char *const *keywords, const char *const *values,
     int expand)
{
    if (fails(FAILING_LIBPQ, "PQconnectStartParams"))
        return NULL;
    PGconn *pg = __real_PQconnectStartParams(keywords, values, expand);
    if (pg)
        atomic_fetch_add(&record->connections, 1);
    return pg;
}

WRAP(void, PQfinish, PGconn *pg)
{
    if (pg)
        atomic_fetch_sub(&record->connections, 1);
    __real_PQfinish(pg);
}

WRAP(void, PQclear, PGresult *result)
{
    if (result)
        atomic_fetch_sub(&record->results, 1);
    __real_PQclear(result);
}

/* Of a result that it has no memory for libpq makes an error without fields. */
WRAP(PGresult *, PQgetResult, PGconn *pg)
{
    PGresult *result = __real_PQgetResult(pg);
    if (result && fails(FAILING_LIBPQ, "PQgetResult")) {
        __real_PQclear(result);
        result = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
    }
    if (result)
        atomic_fetch_add(&record->results, 1);
    return result;
}

MAY_FAIL(FAILING_LIBPQ, PQconninfoOption *, PQconninfo, NULL, (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, PostgresPollingStatusType, PQconnectPoll, PGRES_POLLING_FAILED,
         (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, ConnStatusType, PQstatus, CONNECTION_BAD, (const PGconn *pg), (pg))
MAY_FAIL(FAILING_LIBPQ, int, PQsocket, -1, (const PGconn *pg), (pg))
MAY_FAIL(FAILING_LIBPQ, PGTransactionStatusType, PQtransactionStatus, PQTRANS_UNKNOWN,
         (const PGconn *pg), (pg))
MAY_FAIL(FAILING_LIBPQ, const char *, PQparameterStatus, NULL, (const PGconn *pg, const char *name),
         (pg, name))
MAY_FAIL(FAILING_LIBPQ, int, PQsetnonblocking, -1, (PGconn * pg, int on), (pg, on))
MAY_FAIL(FAILING_LIBPQ, int, PQconsumeInput, 0, (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, int, PQflush, -1, (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, void *, PQresultAlloc, NULL, (PGresult * result, size_t size),
         (result, size))
MAY_FAIL(FAILING_LIBPQ, char *, PQresultErrorField, NULL, (const PGresult *result, int field),
         (result, field))
MAY_FAIL(FAILING_LIBPQ, int, PQenterPipelineMode, 0, (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, int, PQexitPipelineMode, 0, (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, int, PQpipelineSync, 0, (PGconn * pg), (pg))
MAY_FAIL(FAILING_LIBPQ, int, PQsendQuery, 0, (PGconn * pg, const char *sql), (pg, sql))
MAY_FAIL(FAILING_LIBPQ, int, PQsendQueryParams, 0,
         (PGconn * pg, const char *sql, int count, const Oid *types, const char *const *values,
          const int *lengths, const int *formats, int format),
         (pg, sql, count, types, values, lengths, formats, format))
MAY_FAIL(FAILING_LIBPQ, int, PQsendPrepare, 0,
         (PGconn * pg, const char *name, const char *sql, int count, const Oid *types),
         (pg, name, sql, count, types))
MAY_FAIL(FAILING_LIBPQ, int, PQsendQueryPrepared, 0,
         (PGconn * pg, const char *name, int count, const char *const *values, const int *lengths,
          const int *formats, int format),
         (pg, name, count, values, lengths, formats, format))
MAY_FAIL(FAILING_LIBPQ, int, PQsendDescribePrepared, 0, (PGconn * pg, const char *name), (pg, name))
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
MAY_FAIL(FAILING_LIBPQ, int, PQsendPipelineSync, 0, (PGconn * pg), (pg))
#endif
#ifdef LIBPQ_HAS_CLOSE_PREPARED
MAY_FAIL(FAILING_LIBPQ, int, PQsendClosePrepared, 0, (PGconn * pg, const char *name), (pg, name))
#endif

#ifdef LIBPQ_HAS_ASYNC_CANCEL

WRAP(PGcancelConn *, PQcancelCreate, PGconn *pg)
{
    if (fails(FAILING_LIBPQ, "PQcancelCreate"))
        return NULL;
    PGcancelConn *cancel = __real_PQcancelCreate(pg);
    if (cancel)
        atomic_fetch_add(&record->cancels, 1);
    return cancel;
}

WRAP(void, PQcancelFinish, PGcancelConn *cancel)
{
    if (cancel)
        atomic_fetch_sub(&record->cancels, 1);
    __real_PQcancelFinish(cancel);
}

MAY_FAIL(FAILING_LIBPQ, int, PQcancelStart, 0, (PGcancelConn * cancel), (cancel))
MAY_FAIL(FAILING_LIBPQ, PostgresPollingStatusType, PQcancelPoll, PGRES_POLLING_FAILED,
         (PGcancelConn * cancel), (cancel))
MAY_FAIL(FAILING_LIBPQ, int, PQcancelSocket, -1, (const PGcancelConn *cancel), (cancel))

#else

WRAP(PGcancel *, PQgetCancel, PGconn *pg)
{
    if (fails(FAILING_LIBPQ, "PQgetCancel"))
        return NULL;
    PGcancel *cancel = __real_PQgetCancel(pg);
    if (cancel)
        atomic_fetch_add(&record->cancels, 1);
    return cancel;
}

WRAP(void, PQfreeCancel, PGcancel *cancel)
{
    if (cancel)
        atomic_fetch_sub(&record->cancels, 1);
    __real_PQfreeCancel(cancel);
}

WRAP(int, PQcancel, PGcancel *cancel, char *why, int size)
{
    if (!fails(FAILING_LIBPQ, "PQcancel"))
        return __real_PQcancel(cancel, why, size);
    snprintf(why, (size_t)size, "out of descriptors");
    return 0;
}

#endif
