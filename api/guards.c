/* guards.c: what keeps some clients from being a burden to all others. */
#include "guards.h"

#include "api.h"

static uint64_t or_else(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

void guards_adjust(guards *g, const weir_api_options *options)
{
    g->url_max = or_else(options->url_max, 6 << 10);
    g->params_max = (uint32_t)or_else(options->params_max, 256);
    g->rows_max = (uint32_t)or_else(options->rows_max, 10000);
    g->answer_max = or_else(options->answer_max, 16 << 20);
    g->header_timeout_ns = or_else(options->header_timeout_ns, WEIR_S(10));
    g->body_timeout_ns = or_else(options->body_timeout_ns, WEIR_S(30));
}

int guards_open(guards *g, const weir_api_options *options, char *why, size_t why_size)
{
    guards_adjust(g, options);
    int r = cors_open(options->cors_origins, &g->cors, why, why_size);
    if (r == 0)
        r = rate_open(options->rate_limit, &g->rate, why, why_size);
    if (r == 0)
        r = proxies_open(options->trusted_proxies, &g->proxies, why, why_size);
    if (r == 0 && options->clients_per_address)
        r = crowd_open(options->clients_per_address, &g->crowd);
    return r;
}

const char *client_cut_name(client_cut why)
{
    static const char *const names[] = {
#define X(name, word) word,
        CLIENT_CUTS(X)
#undef X
    };
    return names[why];
}

void guards_close(guards *g)
{
    cors_close(g->cors);
    rate_close(g->rate);
    proxies_close(g->proxies);
    crowd_close(g->crowd);
}
