/* signals.c: SIGTERM, SIGINT and SIGHUP as calls on a lane. */
#include "signals.h"

#include <signal.h>

enum { SIGNAL_COUNT = 3 };
static const int numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP};

static void caught(uv_signal_t *handle, int number)
{
    const signals *s = handle->data;
    s->caught(s->arg, number);
}

static void closed(uv_handle_t *handle)
{
    signals *s = handle->data;
    weir_semaphore_release(&s->closed);
}

int signals_open(signals *s, void (*on_signal)(void *arg, int number), void *arg)
{
    *s = (signals){.caught = on_signal, .arg = arg};
    for (uint32_t i = 0; i < SIGNAL_COUNT; i++) {
        uv_signal_t *handle = &s->handles[i];
        if (uv_signal_init(weir_lane_loop(weir_lane_self()), handle) != 0)
            break;
        handle->data = s;
        s->open++;
        if (uv_signal_start(handle, caught, numbers[i]) != 0)
            break;
    }
    if (s->open == SIGNAL_COUNT && uv_is_active((uv_handle_t *)&s->handles[SIGNAL_COUNT - 1]))
        return 0;
    signals_close(s);
    return WEIR_EIO;
}

void signals_close(signals *s)
{
    uint32_t open = s->open;
    for (uint32_t i = 0; i < open; i++)
        uv_close((uv_handle_t *)&s->handles[i], closed);
    for (s->open = 0; open > 0; open--)
        weir_semaphore_acquire(&s->closed);
}
