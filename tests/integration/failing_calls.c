/* failing_calls.c: every call the library makes fails once, and from then on: an error, and never a
 * crash, a leak or a hang.
 *
 * One scenario on a real server goes through all that a pool does. It is run in a process of its
 * own for each call that is to fail; the parent waits for it with a deadline, so that a hang is
 * seen too. Of the many calls `make test` tries a sample; ALL=1 (`make test-failing`) tries each,
 * KIND= and CALL= about that one, and SEED= chooses another sample. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <uv.h>

#include "../support/expect.h"
#include "../support/failing.h"
#include "../support/failing_scene.h"
#include "../support/patience.h"
#include "../support/postgres.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Seconds that a scenario may take before it counts as hanging, and those that `make test` gives
 * all of them together. */
enum { HANG_SECONDS = 30, SAMPLE_SECONDS = 10 };

static postgres_server *server;
static char conninfo[256], several_hosts[256];

/* What a child has to say; shared with its parent. */
typedef struct report {
    failing_record record;
    char wrong[200]; /* "" when all was well */
    bool ended;
} report;

/* So many children at a time: they wait more than they work. */
enum { CHILDREN = 4 };
static report *reports; /* one each */
static report *told;    /* a child's own */

/* ---- libpq's own memory ---- */

/* Whoever provides malloc itself, as the sanitizers and Valgrind do, leaves no place for this. */
#if defined(__GLIBC__) && !defined(SANITIZED) && !defined(WEIR_VALGRIND)
#define FAILING_LIBPQ_MEMORY_TOO 1

static uintptr_t libpq_from, libpq_to;

static int find_libpq(struct dl_phdr_info *object, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (!strstr(object->dlpi_name, "/libpq."))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        libpq_from = object->dlpi_addr + part->p_vaddr;
        libpq_to = libpq_from + part->p_memsz;
    }
    return 1;
}

static bool fails_in_libpq(void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (at < libpq_from || at >= libpq_to ||
        !failing_call(FAILING_LIBPQ_MEMORY, "malloc in libpq", caller))
        return false;
    errno = ENOMEM;
    return true;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

WEIR_PUBLIC void *malloc(size_t size)
{
    return fails_in_libpq(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

WEIR_PUBLIC void *calloc(size_t count, size_t size)
{
    return fails_in_libpq(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

WEIR_PUBLIC void *realloc(void *memory, size_t size)
{
    return fails_in_libpq(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}

WEIR_PUBLIC char *strdup(const char *text)
{
    if (fails_in_libpq(__builtin_return_address(0)))
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = __libc_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}
#endif

/* ---- One process ---- */

/* The number-th call of one function, or from one place. */
typedef struct call {
    const void *key;
    const char *name;
    unsigned number; /* 0: none */
} call;

static int open_descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        n++;
    closedir(folder);
    return n;
}

static void expect_nothing_kept(int descriptors)
{
    failing_record *r = &told->record;
    /* A cancel request nobody waits for any more ends by itself. */
    for (int i = 0; i < 2000 && (atomic_load(&r->memory) || atomic_load(&r->cancels)); i++)
        usleep(1000);
    expect(atomic_load(&r->memory) == 0);
    expect(atomic_load(&r->connections) == 0);
    expect(atomic_load(&r->results) == 0);
    expect(atomic_load(&r->cancels) == 0);
    expect(open_descriptors() == descriptors);
}

#ifdef SANITIZED
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void expect_no_leak(void)
{
    expect(!__lsan_do_recoverable_leak_check || __lsan_do_recoverable_leak_check() == 0);
}
#else
static void expect_no_leak(void) {}
#endif

static void child(failing_kind kind, const call *which, bool lasting)
{
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    /* The threadpool's threads and epoll's descriptors stay for good: before anything is counted.
     */
    uv_loop_t loop;
    uv_loop_init(&loop);
    uv_loop_close(&loop);
    int descriptors = open_descriptors();
    failing_arm(&told->record, kind, which->key, which->number, lasting);
    const char *wrong = failing_scene(conninfo, several_hosts, lasting);
    failing_disarm();
    expect_nothing_kept(descriptors);
    expect_no_leak();
    if (!wrong)
        wrong = atomic_load(&expect_unmet);
    snprintf(told->wrong, sizeof told->wrong, "%s", wrong ? wrong : "");
    told->ended = true;
    _exit(0);
}

/* ---- Their parent ---- */

static const char *const kind_names[] = {
#define X(kind, name) name,
    FAILING_KINDS(X)
#undef X
};

/* Where the call was made that failed: this process has the same code at the same addresses. */
static void print_stack(const failing_record *r)
{
    char command[1024];
    int length = snprintf(command, sizeof command, "addr2line -pfse /proc/%d/exe", getpid());
    Dl_info own;
    dladdr((void *)(uintptr_t)print_stack, &own);
    for (int i = 1; i < r->depth; i++)
        length += snprintf(command + length, sizeof command - (size_t)length, " %#lx",
                           (unsigned long)((char *)r->stack[i] - (char *)own.dli_fbase - 1));
    if (r->depth == 0 || system(command) != 0)
        print_message("(no stack)\n");
}

/* One child that is running, in the place of its report. */
typedef struct attempt {
    pid_t pid; /* 0: none */
    int fd;    /* of a pipe whose other end it has: at its end once the child has ended */
    failing_kind kind;
    call which;
    unsigned index;
    bool lasting, hangs;
    double until;
    int status;
} attempt;

static attempt attempts[CHILDREN];

static void end_all(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        attempt *a = &attempts[i];
        if (a->pid == 0)
            continue;
        kill(a->pid, SIGKILL);
        waitpid(a->pid, NULL, 0);
        close(a->fd);
        a->pid = 0;
    }
}

static void expect_well(const attempt *a, const report *its)
{
    const failing_record *r = &its->record;
    if (!a->hangs && a->status == 0 && its->ended && !its->wrong[0])
        return;
    end_all();
    print_message("KIND=%d CALL=%u: %s, %u. call, %s:\n", a->kind, a->index, a->which.name,
                  a->which.number, a->lasting ? "and all after it" : "once");
    fflush(stdout);
    print_stack(r);
    if (a->hangs)
        fail_msg("hangs");
    if (WIFSIGNALED(a->status))
        fail_msg("dies by signal %d", WTERMSIG(a->status));
    if (WEXITSTATUS(a->status) != 0 || !its->ended)
        fail_msg("exits with %d", WEXITSTATUS(a->status));
    fail_msg("%s (kept: memory %d, connections %d, results %d, cancels %d)", its->wrong,
             atomic_load(&r->memory), atomic_load(&r->connections), atomic_load(&r->results),
             atomic_load(&r->cancels));
}

/* Looks whether it has ended, and ends it when it should have long since. */
static void look_after(attempt *a)
{
    a->hangs = now() > a->until;
    if (a->hangs)
        kill(a->pid, SIGKILL);
    pid_t ended = waitpid(a->pid, &a->status, a->hangs ? 0 : WNOHANG);
    if (ended == 0)
        return;
    close(a->fd);
    a->pid = 0;
    expect_well(a, &reports[a - attempts]);
}

/* Waits until fewer than `most` are running. */
static void await_fewer_than(int most)
{
    for (;;) {
        struct pollfd ends[CHILDREN];
        nfds_t running = 0;
        for (int i = 0; i < CHILDREN; i++) {
            if (attempts[i].pid)
                look_after(&attempts[i]);
            if (attempts[i].pid)
                ends[running++] = (struct pollfd){.fd = attempts[i].fd, .events = POLLIN};
        }
        if ((int)running < most)
            return;
        poll(ends, running, 1000);
    }
}

static void try(failing_kind kind, const call *which, unsigned index, bool lasting)
{
    await_fewer_than(CHILDREN);
    attempt *a = attempts;
    while (a->pid)
        a++;
    *a = (attempt){.kind = kind, .which = *which, .index = index, .lasting = lasting};
    told = &reports[a - attempts];
    memset(told, 0, sizeof *told);
    fflush(stdout);
    fflush(stderr);
    a->until = now() + HANG_SECONDS * slower();
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    a->pid = fork();
    assert_true(a->pid >= 0);
    if (a->pid == 0)
        child(kind, which, lasting);
    close(ends[1]);
    a->fd = ends[0];
}

static long number_of(const char *variable, long otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? atol(text) : otherwise;
}

static unsigned common_divisor(unsigned a, unsigned b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* Which of `count` calls is tried as the n-th: each once, in an order that jumps about. */
static unsigned nth(unsigned n, unsigned count, unsigned seed)
{
    unsigned step = count / 5 * 3 + 1;
    while (common_divisor(step, count) != 1)
        step++;
    return 1 + (unsigned)(((uint64_t)n * step + seed) % count);
}

/* All calls of a kind that the scenario makes. */
typedef struct calls {
    unsigned count;
    call item[4096];
} calls;

/* Which of two lanes makes how many, and when, differs a little from run to run: that is why they
 * are told apart by their names, so that none is left out that is made but seldom. */
static void list_calls(calls *all, failing_kind kind)
{
    static const call none;
    all->count = 0;
    try(kind, &none, 0, false);
    await_fewer_than(1);
    for (int i = 0; i < FAILING_SITES_MAX; i++) {
        const failing_site *site = &reports[0].record.sites[i];
        unsigned made = site->kind == kind ? atomic_load(&site->calls) : 0;
        for (unsigned n = 1; n <= made; n++) {
            assert_true(all->count < sizeof all->item / sizeof all->item[0]);
            all->item[all->count++] = (call){atomic_load(&site->key), site->name, n};
        }
    }
    assert_true(all->count > 0);
}

static void each_call_fails(failing_kind kind, bool lasting)
{
    static calls all;
    list_calls(&all, kind);
    long only = number_of("CALL", 0);
    if (only > 0) {
        assert_true(only <= (long)all.count);
        if (number_of("KIND", kind) == (long)kind)
            try(kind, &all.item[only - 1], (unsigned)only, lasting);
        await_fewer_than(1);
        return;
    }
    double until = now() + SAMPLE_SECONDS / 10.0;
    unsigned seed = (unsigned)number_of("SEED", 1), tried = 0;
    while (tried < all.count && (number_of("ALL", 0) || now() < until)) {
        unsigned index = nth(tried++, all.count, seed);
        try(kind, &all.item[index - 1], index, lasting);
    }
    await_fewer_than(1);
    print_message("%s: %u of %u calls, %s\n", kind_names[kind], tried, all.count,
                  lasting ? "and all after it" : "once");
}

/* ---- Tests ---- */

#define EACH(kind, name)                                                                           \
    static void name##_fails_once(void **state)                                                    \
    {                                                                                              \
        each_call_fails(kind, false);                                                              \
    }                                                                                              \
    static void name##_fails_from_then_on(void **state)                                            \
    {                                                                                              \
        each_call_fails(kind, true);                                                               \
    }

EACH(FAILING_MEMORY, an_allocation)
EACH(FAILING_SYSTEM, a_system_call)
EACH(FAILING_LIBUV, a_libuv_call)
EACH(FAILING_LIBPQ, a_libpq_call)
#ifdef FAILING_LIBPQ_MEMORY_TOO
EACH(FAILING_LIBPQ_MEMORY, an_allocation_inside_libpq)
#endif

static int start(void **state)
{
#ifdef FAILING_LIBPQ_MEMORY_TOO
    dl_iterate_phdr(find_libpq, NULL);
#endif
    reports = mmap(NULL, CHILDREN * sizeof *reports, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    server = postgres_start(NULL);
    /* A name, so that it has to be looked up. */
    snprintf(conninfo, sizeof conninfo,
             "host=localhost port=%u dbname=postgres user=postgres sslmode=disable "
             "gssencmode=disable",
             postgres_port(server));
    snprintf(several_hosts, sizeof several_hosts,
             "host=localhost,127.0.0.1 port=%u dbname=postgres user=postgres sslmode=disable "
             "gssencmode=disable target_session_attrs=read-write",
             postgres_port(server));
    return reports == MAP_FAILED;
}

static int stop(void **state)
{
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_fails_once),
        cmocka_unit_test(an_allocation_fails_from_then_on),
        cmocka_unit_test(a_system_call_fails_once),
        cmocka_unit_test(a_system_call_fails_from_then_on),
        cmocka_unit_test(a_libuv_call_fails_once),
        cmocka_unit_test(a_libuv_call_fails_from_then_on),
        cmocka_unit_test(a_libpq_call_fails_once),
        cmocka_unit_test(a_libpq_call_fails_from_then_on),
#ifdef FAILING_LIBPQ_MEMORY_TOO
        cmocka_unit_test(an_allocation_inside_libpq_fails_once),
        cmocka_unit_test(an_allocation_inside_libpq_fails_from_then_on),
#endif
    };
    cmocka_set_test_filter(getenv("TEST_FILTER"));
    return cmocka_run_group_tests_name("failing_calls", tests, start, stop);
}
