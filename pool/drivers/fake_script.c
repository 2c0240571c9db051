/* fake_script.c: what the fake driver's server has been told to do. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fake.h"

/* A scripted answer with its own copies of all strings. */
struct script {
    struct script *prev, *next;
    char *sql; /* NULL: any; only for queries */
    uint32_t left;
    bool for_ever;
    weir_fake_step step;
};

static void free_texts(const char *const *texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        free((char *)texts[i]);
    free((void *)texts);
}

static void script_free(script *s)
{
    free_texts(s->step.names, s->step.columns);
    free_texts(s->step.values, (size_t)s->step.columns * s->step.rows);
    free((void *)s->step.types);
    free(s->sql);
    free(s);
}

static bool copy_texts(const char *const *from, size_t count, const char *const **to)
{
    *to = NULL;
    if (!from)
        return true;
    char **copy = calloc(count + 1, sizeof *copy);
    *to = (const char *const *)copy;
    for (size_t i = 0; copy && i < count; i++)
        if (from[i] && !(copy[i] = strdup(from[i])))
            return false;
    return copy != NULL;
}

static script *script_new(const char *sql, uint32_t times, const weir_fake_step *step)
{
    script *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->left = times;
    s->for_ever = times == 0;
    s->step = *step;
    s->step.types = NULL;
    bool named = copy_texts(step->names, step->columns, &s->step.names);
    bool valued = copy_texts(step->values, (size_t)step->columns * step->rows, &s->step.values);
    bool ok = named && valued && (!sql || (s->sql = strdup(sql)));
    if (ok && step->types) {
        uint32_t *types = calloc(step->columns + 1, sizeof *types);
        if (types)
            memcpy(types, step->types, step->columns * sizeof *types);
        s->step.types = types;
        ok = types != NULL;
    }
    if (ok)
        return s;
    script_free(s);
    return NULL;
}

weir_fake_step fake_next_step(weir_fake *fake, script **scripts, const char *sql)
{
    weir_fake_step step = {.outcome = WEIR_FAKE_OK};
    script *s;
    pthread_mutex_lock(&fake->lock);
    DL_FOREACH (*scripts, s) {
        if (s->sql && (!sql || strcmp(s->sql, sql) != 0))
            continue;
        step = s->step;
        if (!s->for_ever && --s->left == 0) {
            DL_DELETE(*scripts, s);
            DL_APPEND(fake->used, s);
        }
        break;
    }
    pthread_mutex_unlock(&fake->lock);
    return step;
}

int weir_fake_script(weir_fake *fake, weir_fake_act act, uint32_t times, const weir_fake_step *step)
{
    script *s = script_new(NULL, times, step);
    if (!s)
        return WEIR_ENOMEM;
    pthread_mutex_lock(&fake->lock);
    script *standing = fake->acts[act] ? fake->acts[act]->prev : NULL;
    if (standing && standing->for_ever) { /* the default stays last, and a new one replaces it */
        DL_DELETE(fake->acts[act], standing);
        DL_APPEND(fake->acts[act], s);
        if (s->for_ever)
            DL_APPEND(fake->used, standing);
        else
            DL_APPEND(fake->acts[act], standing);
    } else {
        DL_APPEND(fake->acts[act], s);
    }
    pthread_mutex_unlock(&fake->lock);
    return 0;
}

int weir_fake_answer(weir_fake *fake, const char *sql, uint32_t times, const weir_fake_step *step)
{
    script *s = script_new(sql, times, step);
    if (!s)
        return WEIR_ENOMEM;
    pthread_mutex_lock(&fake->lock);
    DL_APPEND(fake->answers, s);
    pthread_mutex_unlock(&fake->lock);
    return 0;
}

static void scripts_free(script *scripts)
{
    script *s, *next;
    DL_FOREACH_SAFE (scripts, s, next)
        script_free(s);
}

void fake_scripts_free(weir_fake *fake)
{
    for (int i = 0; i < FAKE_ACTS; i++)
        scripts_free(fake->acts[i]);
    scripts_free(fake->answers);
    scripts_free(fake->used);
}
