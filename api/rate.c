/* rate.c: how often each client may ask. */
#include "rate.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../pool/weir.h"
#include "siphash.h"

/* A key has one of the places of its set, which is a line of the processor's cache. */
#define PLACES 4
#define SETS   (RATE_CLIENTS / PLACES)

/* The largest number in a rate, and the most that are charged for at once: such a debt, by the
 * hour, is still far from what 64 bits hold. */
#define NUMBER_MAX UINT64_C(1000000)

typedef struct place {
    uint64_t key;
    uint64_t paid_ns; /* when all that was taken is paid for; past: as good as never seen */
} place;

struct rate {
    pthread_mutex_t lock; /* for some tens of nanoseconds */
    uint64_t secret[2];
    uint64_t each_ns;  /* what a request costs */
    uint64_t ahead_ns; /* how far ahead of now a client may be before it takes one more */
    place sets[SETS][PLACES];
};

/* ---- What was configured ---- */

static bool take_number(const char **text, uint64_t *number)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0 && *number >= 1 && *number <= NUMBER_MAX;
}

static bool take_period(const char **text, uint64_t *period_ns)
{
    if (strncmp(*text, "/s", 2) == 0)
        *period_ns = WEIR_S(1);
    else if (strncmp(*text, "/m", 2) == 0)
        *period_ns = WEIR_S(60);
    else if (strncmp(*text, "/h", 2) == 0)
        *period_ns = WEIR_S(3600);
    else
        return false;
    *text += 2;
    return true;
}

static bool take_rate(rate *r, const char *text)
{
    uint64_t number, period_ns, burst;

    if (!take_number(&text, &number) || !take_period(&text, &period_ns))
        return false;
    burst = number;
    if (*text == ':') {
        text++;
        if (!take_number(&text, &burst))
            return false;
    }
    r->each_ns = period_ns / number;
    r->ahead_ns = (burst - 1) * r->each_ns;
    return !*text;
}

int rate_open(const char *text, rate **made, char *why, size_t why_size)
{
    rate *r = NULL;

    if (!text) {
        *made = NULL;
        return 0;
    }
    if (posix_memalign((void **)&r, 64, sizeof *r) != 0)
        return WEIR_ENOMEM;
    memset(r, 0, sizeof *r);
    if (!take_rate(r, text)) {
        snprintf(why, why_size,
                 "--rate-limit: \"%.60s\" is no rate: write 20/s, 600/m, or 20/s:50 for 50 at once",
                 text);
        free(r);
        return WEIR_EINVAL;
    }
    if (getrandom(r->secret, sizeof r->secret, 0) != sizeof r->secret) {
        snprintf(why, why_size, "--rate-limit: the system gives no random numbers");
        free(r);
        return WEIR_EIO;
    }
    pthread_mutex_init(&r->lock, NULL);
    *made = r;
    return 0;
}

void rate_close(rate *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- Who has taken what ---- */

uint64_t rate_key(const rate *r, const void *bytes, size_t length)
{
    return siphash(r->secret, bytes, length);
}

/* The key's place, or the one in its set that is best given up for it. */
static place *find(rate *r, uint64_t key)
{
    place *set = r->sets[key % SETS], *least = set;

    for (int i = 0; i < PLACES; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].paid_ns < least->paid_ns)
            least = &set[i];
    }
    return least;
}

static uint64_t paid_ns(rate *r, uint64_t key, uint64_t now_ns)
{
    const place *p = find(r, key);
    return p->key == key && p->paid_ns > now_ns ? p->paid_ns : now_ns;
}

static void charge(rate *r, uint64_t key, uint64_t cost_ns, uint64_t now_ns)
{
    uint64_t paid = paid_ns(r, key, now_ns);
    *find(r, key) = (place){.key = key, .paid_ns = paid + cost_ns};
}

int rate_take(rate *r, const uint64_t *keys, int count, uint32_t more, uint64_t now_ns,
              uint64_t *wait_ns)
{
    uint64_t longest = 0, own_ns = more ? r->each_ns : 0; /* has been charged, and is no debt */
    uint64_t more_ns = (more < NUMBER_MAX ? more : NUMBER_MAX) * r->each_ns;
    uint64_t room_ns = r->ahead_ns > more_ns ? r->ahead_ns - more_ns : 0;
    int who = -1;

    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < count; i++) {
        uint64_t ahead_ns = paid_ns(r, keys[i], now_ns) - now_ns;
        if (ahead_ns > room_ns + own_ns && ahead_ns - room_ns > longest) {
            longest = ahead_ns - room_ns;
            who = i;
        }
    }
    for (int i = 0; who < 0 && i < count; i++)
        charge(r, keys[i], more ? more_ns : r->each_ns, now_ns);
    pthread_mutex_unlock(&r->lock);
    if (who >= 0)
        *wait_ns = longest;
    return who;
}
