/* work.c: blocking calls on libuv's threadpool, awaited. */
#include <assert.h>

#include "task.h"

typedef struct work {
    weir_wait wait;
    uv_work_t request;
    void (*fn)(void *arg);
    void *arg;
    bool queued;  /* the threadpool has it */
    bool waiting; /* `wait` is still to be ended */
    int status;
} work;

static void run(uv_work_t *request)
{
    work *w = request->data;
    w->fn(w->arg);
}

static void done(uv_work_t *request, int status)
{
    work *w = request->data;
    w->queued = false;
    w->status = status;
    if (w->waiting)
        wait_end(&w->wait, 0);
    w->waiting = false;
}

static void begin(weir_wait *wait)
{
    work *w = weir_container(wait, work, wait);
    w->waiting = true;
    w->status = uv_queue_work(wait->task->lane->loop, &w->request, run, done);
    if (w->status == 0) {
        w->queued = true;
        return;
    }
    w->waiting = false;
    wait_end(wait, 0);
}

/* Works only for what no thread has taken up yet; `done` is called in either case. */
static void withdraw(weir_wait *wait)
{
    work *w = weir_container(wait, work, wait);
    w->waiting = false;
    uv_cancel((uv_req_t *)&w->request);
}

static void begin_again(weir_wait *wait)
{
    weir_container(wait, work, wait)->waiting = true;
}

int weir_work(void (*fn)(void *arg), void *arg)
{
    work w = {.wait.abandon = withdraw, .request.data = &w, .fn = fn, .arg = arg};
    w.status = UV_ECANCELED; /* until begun */
    int r = task_wait(&w.wait, WEIR_NEVER, begin);
    if (w.queued)
        task_wait_firmly(&w.wait, begin_again);
    assert(!w.queued);
    if (w.status == 0)
        return 0;
    if (w.status == UV_ECANCELED)
        return r;
    return WEIR_EIO;
}
