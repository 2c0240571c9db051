/* expect.h: expectations inside tasks. cmocka's assertions leave by longjmp, which a task's stack
 * does not survive: what is unmet is recorded there and asserted on the main stack. */
#ifndef TEST_EXPECT_H
#define TEST_EXPECT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weir.h"

static _Atomic(const char *) expect_unmet;

#define expect_text(n)  #n
#define expect_place(n) expect_text(n)
#define expect(condition)                                                                          \
    ((condition) ? (void)0 : expect_note(__FILE__ ":" expect_place(__LINE__) ": " #condition))

/* The first one is the one worth reading. */
static inline void expect_note(const char *what)
{
    const char *none = NULL;
    atomic_compare_exchange_strong(&expect_unmet, &none, what);
}

static inline void assert_expectations(void)
{
    const char *what = atomic_exchange(&expect_unmet, NULL);
    if (what)
        fail_msg("%s", what);
}

/* Runs a task to its end, and asserts what was expected in it and in its like. Returns its result.
 */
static inline int run_expecting(const weir_runtime_options *options, int (*fn)(void *), void *arg)
{
    int r = weir_run(options, fn, arg);
    assert_expectations();
    return r;
}

static inline int run_virtually(int (*fn)(void *), void *arg)
{
    weir_runtime_options options = {.virtual_time = true};
    return run_expecting(&options, fn, arg);
}

/* Whether `fn` in a process of its own dies by that signal, saying `words` (NULL: anything). */
static inline bool dies(void (*fn)(void), int by_signal, const char *words)
{
    int out[2];
    if (pipe(out) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        dup2(out[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(out[1]);
    char said[4096];
    size_t length = 0;
    for (ssize_t n; (n = read(out[0], said + length, sizeof said - 1 - length)) > 0;)
        length += (size_t)n;
    said[length] = '\0';
    close(out[0]);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    return WIFSIGNALED(status) && WTERMSIG(status) == by_signal && (!words || strstr(said, words));
}

#endif
