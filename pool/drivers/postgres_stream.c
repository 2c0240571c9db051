/* postgres_stream.c: an answer that is read a batch at a time. */
#include "postgres.h"

/* A batch is given when it has so many bytes, or when nothing more has come in. */
#define BATCH_FULL ((size_t)32 << 10)

/* libpq hands rows out only when it has so many, or the last. That saves a quarter of the processor
 * time of one at a time; 32 save no more than that, and rows may be large. */
#define CHUNK_ROWS 8

static bool is_streaming(const session *s)
{
    return s->activity == ACTIVITY_OPERATION && s->operation &&
           s->operation->kind == OPERATION_STREAM;
}

/* libpq refuses where an earlier step has failed: then no rows will come. */
void stream_expect(session *s)
{
    if (!is_streaming(s))
        return;
#ifdef LIBPQ_HAS_CHUNK_MODE
    PQsetChunkedRowsMode(s->pg, CHUNK_ROWS);
#else
    PQsetSingleRowMode(s->pg);
#endif
}

bool stream_brings_rows(const PGresult *result)
{
#ifdef LIBPQ_HAS_CHUNK_MODE
    if (PQresultStatus(result) == PGRES_TUPLES_CHUNK)
        return true;
#endif
    return PQresultStatus(result) == PGRES_SINGLE_TUPLE;
}

void stream_take(session *s, PGresult *result)
{
    flight *f = &s->flight;
    if (!is_streaming(s) || f->error.code || f->unkept) { /* nobody wants it any more */
        PQclear(result);
        return;
    }
    if (!f->batch && !(f->batch = batch_new()))
        PQclear(result);
    else if (batch_add(f->batch, result))
        return;
    batch_free(f->batch);
    f->batch = NULL;
    f->unkept = true;
}

bool stream_has_rows(const session *s)
{
    return is_streaming(s) && s->flight.batch && !s->flight.error.code;
}

bool stream_is_full(const session *s)
{
    return stream_has_rows(s) && batch_size(s->flight.batch) >= BATCH_FULL;
}

static weir_result *take_batch(session *s)
{
    weir_result *rows = batch_result(s->flight.batch);
    s->flight.batch = NULL;
    return rows;
}

void stream_give(session *s)
{
    weir_result *rows = take_batch(s);
    s->paused = s->streamed = true;
    operation_rows(s->c, rows);
}

bool stream_end(session *s, weir_result **rows)
{
    flight *f = &s->flight;
    if (f->unkept)
        return false;
    *rows = NULL;
    if (f->batch) {
        *rows = take_batch(s);
    } else if (!s->streamed && f->result) {
        *rows = result_wrap(f->result);
        f->result = NULL;
    }
    flight_clear(s);
    return *rows || s->streamed;
}
