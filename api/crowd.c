/* crowd.c: how many connections each address has, on all lanes together. */
#include "crowd.h"

#include <pthread.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "../pool/weir.h"

typedef struct guest {
    ip address;
    uint32_t count;
    UT_hash_handle hh;
} guest;

struct crowd {
    pthread_mutex_t lock;
    guest *guests;
    uint32_t most;
};

int crowd_open(uint32_t most, crowd **made)
{
    crowd *c = calloc(1, sizeof *c);

    if (!c)
        return WEIR_ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    c->most = most;
    *made = c;
    return 0;
}

static void forget(crowd *c, guest *g)
{
    HASH_DEL(c->guests, g);
    free(g);
}

void crowd_close(crowd *c)
{
    if (!c)
        return;
    guest *g = c->guests, *next;
    HASH_CLEAR(hh, c->guests);
    for (; g; g = next) {
        next = g->hh.next;
        free(g);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static guest *find(crowd *c, const ip *address)
{
    guest *g;
    HASH_FIND(hh, c->guests, address, sizeof *address, g);
    return g;
}

static guest *add(crowd *c, const ip *address)
{
    guest *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->address = *address;
    HASH_ADD(hh, c->guests, address, sizeof g->address, g);
    if (!g->hh.tbl) { /* there was no memory for the table */
        free(g);
        return NULL;
    }
    return g;
}

bool crowd_enter(crowd *c, const ip *address)
{
    pthread_mutex_lock(&c->lock);
    guest *g = find(c, address);
    if (!g)
        g = add(c, address);
    bool room = g && g->count < c->most;
    if (room)
        g->count++;
    pthread_mutex_unlock(&c->lock);
    return room;
}

void crowd_leave(crowd *c, const ip *address)
{
    pthread_mutex_lock(&c->lock);
    guest *g = find(c, address);
    if (g && --g->count == 0)
        forget(c, g);
    pthread_mutex_unlock(&c->lock);
}
