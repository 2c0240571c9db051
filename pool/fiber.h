/* fiber.h: a second stack to run on, and the switch to it and back.
 *
 * A fiber runs one function after the other, each to its end; between two it waits on its own stack
 * and keeps what sanitizers know of it. The caller owns the memory of the struct and of the stack.
 */
#ifndef WEIR_FIBER_H
#define WEIR_FIBER_H

#include <stdbool.h>
#include <stddef.h>

/* Whether frames are several times their usual size, for the sake of a sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FIBER_FRAMES_SWOLLEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FIBER_FRAMES_SWOLLEN 1
#endif
#endif

typedef struct fiber {
    void *here;  /* where fiber_resume goes on */
    void *there; /* where fiber_suspend goes back to */
    void (*run)(void *arg);
    void *arg;
    char *low; /* its stack */
    size_t size;
    void *fake_stack; /* address sanitizer: its copies of our frames */
    const void *there_low;
    size_t there_size;
    void *shadow;   /* thread sanitizer: its idea of this fiber */
    unsigned stack; /* valgrind: its number for our stack */
} fiber;

/* Makes a fiber that waits on the stack low … low + size. Nothing of it runs before fiber_call. */
void fiber_open(fiber *f, void *low, size_t size);

/* Has a waiting fiber forget its stack, which may then be freed. */
void fiber_close(fiber *f);

/* Runs `run(arg)` on the fiber's stack until it suspends or ends. */
void fiber_call(fiber *f, void (*run)(void *arg), void *arg);

/* Goes on where the fiber suspended, until it suspends again or its function ends. */
void fiber_resume(fiber *f);

/* From inside the fiber: back to whoever called or resumed it. */
void fiber_suspend(fiber *f);

/* Whether the function it was called with has ended. */
static inline bool fiber_waits(const fiber *f)
{
    return !f->run;
}

#endif
