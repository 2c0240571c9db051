/* config_change.c: what a new reading of the configuration says otherwise than the one in force. */
#include "config_change.h"

#include <string.h>

#include "config_flags.h"

static size_t size_of(const flag *f)
{
    switch (f->kind) {
    case KIND_TEXT: return sizeof(const char *);
    case KIND_COUNT:
    case KIND_AUTO:
    case KIND_MOST:
    case KIND_CHOICE: return sizeof(uint32_t);
    case KIND_DURATION:
    case KIND_LIFETIME: return sizeof(uint64_t);
    case KIND_SIZE:
    case KIND_LIMIT: return sizeof(size_t);
    case KIND_SWITCH: return sizeof(bool);
    case KIND_CHANNEL: return sizeof(channel_list);
    case KIND_POOL:
    case KIND_POOL_SIZE: break; /* see pool_list_settle */
    }
    return 0;
}

static const void *field_of(const flag *f, const config *c)
{
    return (const char *)c + f->field;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same(const flag *f, const config *a, const config *b)
{
    if (f->marks & MARK_CHECK)
        return true;
    switch (f->kind) {
    case KIND_TEXT:
        return same_text(*(const char *const *)field_of(f, a),
                         *(const char *const *)field_of(f, b));
    case KIND_POOL: return pool_list_same_pools(&a->pools, &b->pools);
    case KIND_POOL_SIZE: return pool_list_same_sizes(&a->pools, &b->pools);
    case KIND_CHANNEL: return channel_list_same(&a->channels, &b->channels);
    default: return memcmp(field_of(f, a), field_of(f, b), size_of(f)) == 0;
    }
}

static bool is_tls(const flag *f)
{
    return f->field == offsetof(config, tls_cert) || f->field == offsetof(config, tls_key);
}

/* A listener is made for HTTP or for HTTPS: only what a certificate is can change later. */
static bool is_live(const flag *f, const config *start, const config *next)
{
    return f->marks & MARK_LIVE && !(is_tls(f) && !start->tls_cert != !next->tls_cert);
}

static const char *shown(const flag *f, const config *c)
{
    const char *said = c->said[config_flag_index(f)].text;
    if (f->marks & MARK_SECRET || config_is_list(f))
        return NULL;
    return said ? said : f->fallback;
}

/* The pair stayed in force when a reading had none of it, as config_settle has it; now it is back.
 */
static bool has_come_back(const flag *f, const config *now, const config *next)
{
    return is_tls(f) && !now->tls_cert && same_text(shown(f, now), shown(f, next));
}

uint32_t config_changes(const config *start, const config *now, const config *next,
                        config_change changes[CONFIG_FLAGS_MAX])
{
    uint32_t count = 0;
    const flag *f;
    for (size_t i = 0; (f = config_flag_at(i)); i++) {
        bool live = is_live(f, start, next);
        const config *before = live ? now : start;
        if (!same(f, before, next) && !(live && has_come_back(f, now, next)))
            changes[count++] = (config_change){f->name, shown(f, before), shown(f, next), live};
    }
    return count;
}

void config_settle(const config *start, const config *now, config *next)
{
    const flag *f;
    for (size_t i = 0; (f = config_flag_at(i)); i++) {
        if (is_live(f, start, next) || size_of(f) == 0)
            continue;
        memcpy((char *)next + f->field, field_of(f, start), size_of(f));
        next->said[i] = start->said[i];
        if (is_tls(f)) /* there is none to be read again: what is in force stays so */
            *(const char **)((char *)next + f->field) = NULL;
    }
    pool_list_settle(&now->pools, &next->pools);
}
