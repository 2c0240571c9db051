/* timer.c: a lane's timers: one heap, one timer of the loop, and time that jumps in tests. */
#include <poll.h>

#include "fatal.h"
#include "lane.h"

/* So many run before the loop gets its turn again. */
#define TIMERS_MAX 1000

void weir_timer_start(weir_timer *timer, uint64_t at_ns, void (*run)(weir_timer *timer))
{
    weir_lane *lane = lane_here;
    if (!lane)
        fatal("weir_timer_start was called on a thread that is no lane");
    if (timer->armed)
        heap_remove(&lane->timers, &timer->node);
    timer->armed = true;
    timer->run = run;
    heap_insert(&lane->timers, &timer->node, at_ns);
    if (!lane->held)
        lane_hold(lane);
    /* Outside the drain nobody else would tell the loop before it blocks. */
    if (!lane->draining && at_ns < lane->armed_ns)
        timers_arm(lane);
}

void weir_timer_stop(weir_timer *timer)
{
    if (!timer->armed)
        return;
    weir_lane *lane = lane_here;
    if (!lane)
        fatal("weir_timer_stop was called on a thread that is no lane");
    timer->armed = false;
    heap_remove(&lane->timers, &timer->node);
}

static weir_timer *first(const weir_lane *lane)
{
    heap_node *node = heap_first(&lane->timers);
    return node ? weir_container(node, weir_timer, node) : NULL;
}

bool timers_run(weir_lane *lane)
{
    weir_timer *timer = first(lane);
    uint64_t now_ns = weir_now();
    if (!timer || timer->node.key > now_ns)
        return false;
    for (uint32_t n = 0; n < TIMERS_MAX && timer && timer->node.key <= now_ns; n++) {
        timer->armed = false;
        heap_remove(&lane->timers, &timer->node);
        timer->run(timer);
        timer = first(lane);
    }
    return true;
}

static void due(uv_timer_t *uv_timer)
{
    weir_lane *lane = uv_timer->data;
    lane_here = lane;
    lane->armed_ns = WEIR_NEVER; /* the drain that follows sets it anew */
    timers_run(lane);
}

/* The loop counts in milliseconds of the same clock, so rounding up is never early. A timer that
 * was stopped stays set in the loop: waking once for nothing is cheaper than telling it each time.
 */
void timers_arm(weir_lane *lane)
{
    const weir_timer *timer = first(lane);
    if (!timer || lane->virtual_time || timer->node.key >= lane->armed_ns)
        return;
    uint64_t at_ms = timer->node.key / WEIR_MS(1) + (timer->node.key % WEIR_MS(1) != 0);
    uint64_t loop_ms = uv_now(lane->loop);
    lane->armed_ns = timer->node.key;
    uv_timer_start(&lane->timer, due, at_ms > loop_ms ? at_ms - loop_ms : 0, 0);
}

static bool loop_has_events(weir_lane *lane)
{
    struct pollfd fd = {.fd = uv_backend_fd(lane->loop), .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

/* Two quiet turns, because what a callback of the first one registered shows in the second. */
bool timers_jump(weir_lane *lane, bool worked, bool *spin)
{
    weir_timer *timer = first(lane);
    bool works = lane->loop->active_reqs.count > 0; /* on the threadpool: they end in real time */
    if (!timer || works) {
        lane->quiet = 0;
        return false;
    }
    *spin = true;
    if (worked || loop_has_events(lane)) {
        lane->quiet = 0;
        return false;
    }
    if (++lane->quiet < 2)
        return false;
    lane->quiet = 0;
    if (timer->node.key > lane->virtual_now_ns)
        lane->virtual_now_ns = timer->node.key;
    return timers_run(lane);
}
