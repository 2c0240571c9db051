/* fiber.c: the context switch, by Boost.Context or ucontext, and what sanitizers must hear of it.
 */
#include "fiber.h"

#include <assert.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TELL_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TELL_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TELL_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TELL_TSAN 1
#endif

#ifdef TELL_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef TELL_TSAN
#include <sanitizer/tsan_interface.h>
#include <string.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id)      ((void)(id))
#endif

/* TSan keeps a shadow of the calls on each fiber. A function that is left on another fiber than it
 * was entered on must not be in it. */
#define untraced __attribute__((no_sanitize("thread")))

static void live(fiber *f);

/* ---- The switch itself ---- */

#ifdef WEIR_FIBER_UCONTEXT
#include <stdlib.h>
#include <ucontext.h>

typedef struct pair {
    ucontext_t inside, outside;
} pair;

static void entry(unsigned high, unsigned low)
{
    live((fiber *)((uintptr_t)high << 32 | low));
}

static void make(fiber *f)
{
    /* At the far end of the stack, where it costs no allocation that could fail. */
    f->size = (f->size - sizeof(pair)) & ~(size_t)63;
    pair *p = (pair *)(f->low + f->size);
    getcontext(&p->inside);
    p->inside.uc_stack.ss_sp = f->low;
    p->inside.uc_stack.ss_size = f->size;
    p->inside.uc_link = NULL;
    uintptr_t address = (uintptr_t)f;
    makecontext(&p->inside, (void (*)(void))entry, 2, (unsigned)(address >> 32), (unsigned)address);
    f->here = &p->inside;
    f->there = &p->outside;
}

static untraced void jump_in(fiber *f)
{
    swapcontext(f->there, f->here);
}

static untraced void jump_out(fiber *f)
{
    swapcontext(f->here, f->there);
}
#else
typedef struct transfer_t {
    void *fctx;
    void *data;
} transfer_t;

/* Boost.Context has these with C linkage but declares them in C++ headers only. */
extern void *make_fcontext(void *top, size_t size, void (*entry)(transfer_t));
extern transfer_t jump_fcontext(void *to, void *data);

static void entry(transfer_t t)
{
    fiber *f = t.data;
    f->there = t.fctx;
    live(f);
}

static void make(fiber *f)
{
    f->here = make_fcontext(f->low + f->size, f->size, entry);
}

static untraced void jump_in(fiber *f)
{
    f->here = jump_fcontext(f->here, f).fctx;
}

static untraced void jump_out(fiber *f)
{
    f->there = jump_fcontext(f->there, f).fctx;
}
#endif

/* ---- With sanitizers told ---- */

#ifdef TELL_TSAN
/* TSan keeps a signal until the code it came upon calls the C library, and keeps it with the fiber:
 * one that waits would not hear of it. */
static void hear_signals(void)
{
    static size_t (*volatile call)(const char *) = strlen;
    call("");
}
#endif

static untraced void enter(fiber *f)
{
#ifdef TELL_ASAN
    void *fake_stack;
    __sanitizer_start_switch_fiber(&fake_stack, f->low, f->size);
#endif
#ifdef TELL_TSAN
    void *shadow = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->shadow, 0);
    f->there_low = shadow;
#endif
    jump_in(f);
#ifdef TELL_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

static untraced void leave(fiber *f, bool for_good)
{
#ifdef TELL_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &f->fake_stack, f->there_low, f->there_size);
#endif
#ifdef TELL_TSAN
    hear_signals();
    __tsan_switch_to_fiber((void *)f->there_low, 0);
#endif
    jump_out(f);
#ifdef TELL_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &f->there_low, &f->there_size);
#endif
}

/* All that ever runs at the bottom of a fiber's stack. It never returns, so that a stack used again
 * keeps its frames balanced in the eyes of every tool. */
static void live(fiber *f)
{
#ifdef TELL_ASAN
    __sanitizer_finish_switch_fiber(NULL, &f->there_low, &f->there_size);
#endif
    while (f->run) {
        f->run(f->arg);
        f->run = NULL;
        leave(f, false);
    }
    leave(f, true);
}

void fiber_open(fiber *f, void *low, size_t size)
{
    *f = (fiber){.low = low, .size = size};
    make(f);
    f->stack = VALGRIND_STACK_REGISTER(f->low, f->low + f->size);
#ifdef TELL_ASAN
    __lsan_register_root_region(f->low, f->size);
#endif
#ifdef TELL_TSAN
    f->shadow = __tsan_create_fiber(0);
#endif
}

void fiber_close(fiber *f)
{
    assert(fiber_waits(f));
    enter(f);
    VALGRIND_STACK_DEREGISTER(f->stack);
#ifdef TELL_TSAN
    __tsan_destroy_fiber(f->shadow);
#endif
#ifdef TELL_ASAN
    __lsan_unregister_root_region(f->low, f->size);
    __asan_unpoison_memory_region(f->low, f->size);
#endif
}

void fiber_call(fiber *f, void (*run)(void *arg), void *arg)
{
    assert(fiber_waits(f));
    f->run = run;
    f->arg = arg;
    enter(f);
}

void fiber_resume(fiber *f)
{
    enter(f);
}

void fiber_suspend(fiber *f)
{
    leave(f, false);
}
