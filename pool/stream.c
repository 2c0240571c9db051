/* stream.c: an answer in batches, as its reader takes them. */
#include <assert.h>

#include "pool.h"

typedef struct awaiting {
    weir_wait wait;
    weir_lease *lease;
} awaiting;

static weir_lease *lease_of(weir_wait *wait)
{
    return weir_container(wait, awaiting, wait)->lease;
}

static void begin_first(weir_wait *wait)
{
    query_start(lease_of(wait));
}

/* However long it takes as a whole, it is no leak while its reader asks and its server answers. */
static void show_progress(weir_lease *lease)
{
    lease_goes_on(lease, EVENT_PROGRESS);
}

static void begin_next(weir_wait *wait)
{
    weir_lease *lease = lease_of(wait);
    show_progress(lease);
    lease->pool->driver->more(lease->connection);
}

static void abandon(weir_wait *wait)
{
    query_cut_short(lease_of(wait));
}

void stream_bring(weir_lease *lease, weir_result *rows)
{
    assert(lease->stream.open && !lease->stream.rows);
    lease->stream.rows = rows;
    show_progress(lease);
}

void stream_finish(weir_lease *lease, int status, weir_result *rows)
{
    weir_stream *s = &lease->stream;
    s->over = true;
    s->status = status;
    if (rows)
        stream_bring(lease, rows);
}

/* Until there are rows, or the stream is over. */
static int await_rows(weir_stream *s, void (*begin)(weir_wait *wait))
{
    weir_lease *lease = s->lease;
    awaiting a = {.wait = {.abandon = abandon}, .lease = lease};
    lease->wait = &a.wait;
    int r = task_wait(&a.wait, WEIR_NEVER, begin);
    lease->wait = NULL;
    return r;
}

/* The rest of it is not wanted. */
static void give_up(weir_stream *s, int why)
{
    s->over = true;
    s->status = why;
    weir_result_free(s->rows);
    s->rows = NULL;
    s->lease->error.code = why;
}

int weir_stream_open(weir_lease *lease, const weir_statement *statement, const weir_params *params,
                     weir_stream **stream)
{
    if (!weir_task_self())
        return WEIR_ENOTASK;
    int r = query_prepare(lease, OPERATION_STREAM, statement, params);
    if (r < 0)
        return r;
    weir_stream *s = &lease->stream;
    *s = (weir_stream){.lease = lease, .open = true};
    lease->started_ns = weir_now();
    r = await_rows(s, begin_first);
    if (r == 0)
        r = s->status;
    if (r < 0) {
        give_up(s, r);
        weir_stream_close(s);
        return r;
    }
    *stream = s;
    return 0;
}

int weir_stream_next(weir_stream *s, weir_result **rows)
{
    assert(s->open);
    if (!s->rows && !s->over) {
        int r = await_rows(s, begin_next);
        if (r < 0)
            give_up(s, r);
    }
    if (!s->rows && s->status < 0)
        return s->status;
    *rows = s->rows;
    s->rows = NULL;
    return 0;
}

static bool is_under_way(const weir_stream *s)
{
    return s->lease->connection && s->lease->connection->operation;
}

static void stop(weir_wait *wait)
{
    if (is_under_way(&lease_of(wait)->stream))
        query_cut_short(lease_of(wait));
    wait_end(wait, 0);
}

void weir_stream_close(weir_stream *s)
{
    if (!s)
        return;
    assert(s->open);
    if (is_under_way(s)) {
        awaiting a = {.lease = s->lease};
        task_wait_firmly(&a.wait, stop);
    }
    weir_result_free(s->rows);
    s->rows = NULL;
    s->open = false;
}
