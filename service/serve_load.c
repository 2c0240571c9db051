/* serve_load.c: the queries' first load, and the reloads of all that can be reloaded. */
#include <stdlib.h>

#include "access.h"
#include "complaint.h"
#include "exits.h"
#include "log.h"
#include "reloadables.h"
#include "serve_parts.h"

static void tell_failure(service *s, int error, const query_fault *fault)
{
    char text[sizeof fault->file + sizeof fault->message + 16];
    fault_text(fault, text, sizeof text);
    const char *why = *fault->message ? text : weir_strerror(error);
    const log_field where[] = {
        field_text("file", *fault->file ? fault->file : NULL),
        fault->line ? field_uint("line", fault->line) : field_text("line", NULL),
    };
    log_line(WEIR_ERROR, s->ready ? "service.reload_failed" : "service.start_failed", why, where,
             2);
}

static int first_load(service *s, query_fault *fault)
{
    query_set *set;
    const loader_source source = {.folder = s->config->queries,
                                  .auth = (query_auth)s->config->auth,
                                  .auth_met = access_kinds(s->known)};
    credentials_unref(weir_api_trust(s->api, s->known));
    s->known = NULL;
    int r = loader_prepare_patiently(&s->loader, &source, &set, fault);
    if (r < 0)
        return r;
    uint32_t queries = query_set_count(set);
    loader_install(&s->loader, set);
    log_say(WEIR_INFO, "service.ready", "ready", field_uint("queries", queries),
            field_uint("port", weir_api_port(s->api)),
            field_ms("duration_ms", weir_now() - s->began_ns));
    s->ready = true;
    return 0;
}

static int load_again(service *s, buffer *report, query_fault *fault)
{
    reload *again = calloc(1, sizeof *again);
    if (!again)
        return WEIR_ENOMEM;
    *again = (reload){.start = s->start,
                      .now = &s->config,
                      .api = s->api,
                      .pools = s->pools,
                      .loader = &s->loader};
    int r = reload_all(again, fault);
    if (r == 0) {
        reload_tell(again);
        reload_report(again, report);
    }
    reload_forget(again);
    free(again);
    return r;
}

static int load(void *arg)
{
    service *s = arg;
    buffer report = {0};
    query_fault *fault = calloc(1, sizeof *fault); /* too large to waste a task's stack on */
    int r = !fault ? WEIR_ENOMEM : s->ready ? load_again(s, &report, fault) : first_load(s, fault);
    if (r < 0 && r != WEIR_ECANCELED && fault)
        tell_failure(s, r, fault);
    if (report.failed) /* in force, and nobody can be told */
        r = WEIR_ENOMEM;
    reload_end(&s->desk, r, r == 0 ? report.data : NULL, fault);
    buffer_free(&report);
    free(fault);
    s->loaded = true;
    weir_semaphore_release(&s->wake);
    return r;
}

/* Who asks before the first load has ended is answered by the second: that one says what changes.
 */
void service_begin_load(service *s)
{
    s->loaded = false;
    s->reload = !s->ready && s->desk.asked;
    if (s->ready)
        reload_begin(&s->desk);
    if (weir_spawn(load, s, &s->loading) < 0) {
        s->loading = NULL;
        reload_end(&s->desk, WEIR_ENOMEM, NULL, NULL);
        log_say(WEIR_ERROR, "service.reload_failed", weir_strerror(WEIR_ENOMEM));
        if (!s->ready) {
            s->stop = true;
            s->exit_code = EXIT_SYSTEM;
        }
    }
}

void service_end_load(service *s)
{
    int r = 0;
    weir_join(s->loading, &r);
    s->loading = NULL;
    if (r < 0 && !s->ready && !s->stop) {
        s->stop = true;
        s->exit_code = r == WEIR_EINVAL ? EXIT_QUERIES : EXIT_SYSTEM;
    }
}
