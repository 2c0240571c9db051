/* patience.c: by when the client of a request wants its answer. */
#include "patience.h"

#include <stdio.h>
#include <strings.h>

#include "prefer.h"
#include "reply.h"

static void wants_within(weir_request *req, uint64_t duration_ns, const char *words)
{
    uint64_t deadline_ns = weir_after(duration_ns);
    if (req->deadline_ns && req->deadline_ns <= deadline_ns)
        return;
    req->deadline_ns = deadline_ns;
    req->hurry = words;
}

/* What is said once holds: a header may come several times. */
static bool read_prefer(weir_request *req, const char *value)
{
    uint32_t seconds;
    int found = req->wait_preferred ? 0 : prefer_wait(value, &seconds);
    if (found < 0)
        return false;
    if (found) {
        req->wait_preferred = seconds;
        wants_within(req, WEIR_S(seconds), " (Prefer: wait)");
    }
    return true;
}

static bool read_timeout(weir_request *req, const char *value)
{
    uint64_t timeout_ns;
    if (prefer_timeout(value, &timeout_ns) < 0)
        return false;
    wants_within(req, timeout_ns, " (X-Request-Timeout)");
    return true;
}

typedef struct reading {
    weir_request *req;
    const char *wrong; /* the header that cannot be read; NULL: none so far */
} reading;

/* Most headers are told apart by their first letter. */
static bool is_named(const char *name, const char *wanted)
{
    return (*name | 0x20) == (*wanted | 0x20) && strcasecmp(name, wanted) == 0;
}

static enum MHD_Result look_at(void *arg, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    reading *r = arg;
    (void)kind;
    if (!value)
        value = "";
    if (is_named(name, "Prefer") && !read_prefer(r->req, value))
        r->wrong = "Prefer";
    else if (is_named(name, "X-Request-Timeout") && !read_timeout(r->req, value))
        r->wrong = "X-Request-Timeout";
    return r->wrong ? MHD_NO : MHD_YES;
}

bool patience_read(weir_request *req)
{
    reading r = {.req = req};
    MHD_get_connection_values(req->connection, MHD_HEADER_KIND, look_at, &r);
    if (!r.wrong)
        return true;
    bool prefer = r.wrong[0] == 'P';
    weir_reply_problem(
        req, (problem){.kind = PROBLEM_BAD_PARAMETER,
                       .parameter = r.wrong,
                       .detail = prefer ? "Prefer: wait must be a whole number of seconds from 1, "
                                          "such as wait=10."
                                        : "X-Request-Timeout must be a time more than none, such "
                                          "as 250ms or 2s, or a number of seconds."});
    return false;
}

const char *patience_words(const weir_request *req, uint64_t limit_ns)
{
    return req->deadline_ns && req->deadline_ns <= limit_ns ? req->hurry : "";
}

uint64_t patience_until(const weir_request *req, uint64_t limit_ns)
{
    return req->deadline_ns && req->deadline_ns < limit_ns ? req->deadline_ns : limit_ns;
}
