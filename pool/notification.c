/* notification.c: what other sessions say to a leased one, until somebody takes it. */
#include <stdlib.h>
#include <string.h>

#include "pool.h"

/* ---- The queue ---- */

static size_t size_of(const weir_notification *n)
{
    return sizeof *n + strlen(n->channel) + 1 + n->length + 1;
}

static weir_notification *note_new(const char *channel, const char *payload, int backend_pid)
{
    size_t named = strlen(channel) + 1, length = strlen(payload);
    weir_notification *n = malloc(sizeof *n + named + length + 1);
    if (!n)
        return NULL;
    char *text = (char *)(n + 1);
    memcpy(text, channel, named);
    memcpy(text + named, payload, length + 1);
    *n = (weir_notification){
        .channel = text, .payload = text + named, .length = length, .backend_pid = backend_pid};
    return n;
}

static weir_notification *pop(note_queue *notes)
{
    weir_notification *n = notes->first;
    notes->first = n->next;
    notes->bytes -= size_of(n);
    n->next = NULL;
    return n;
}

static void push(note_queue *notes, weir_notification *n)
{
    *(notes->first ? &notes->last->next : &notes->first) = n;
    notes->last = n;
    notes->bytes += size_of(n);
}

/* The loss is told by the one that is then the oldest: where it happened. */
static void make_room(note_queue *notes)
{
    while (notes->bytes > WEIR_NOTIFICATIONS_MAX && notes->first != notes->last) {
        weir_notification *oldest = pop(notes);
        notes->first->lost += oldest->lost + 1;
        free(oldest);
    }
}

void notification_drop(note_queue *notes)
{
    while (notes->first)
        free(pop(notes));
}

void weir_notification_free(weir_notification *n)
{
    free(n);
}

/* ---- Waiting for one ---- */

typedef struct hearing {
    weir_wait wait;
    weir_lease *lease;
} hearing;

static void end_hearing(weir_lease *lease, int outcome)
{
    if (!lease->listening)
        return;
    lease->listening = false;
    wait_end(lease->wait, outcome);
}

void notification_cut(weir_lease *lease, int error)
{
    end_hearing(lease, error);
}

void connection_notified(weir_connection *c, const char *channel, const char *payload,
                         int backend_pid)
{
    weir_lease *lease = connection_holder(c);
    if (!lease)
        return;
    weir_notification *n = note_new(channel, payload, backend_pid);
    if (!n) {
        lease->notes.lost++;
        return;
    }
    n->lost = lease->notes.lost;
    lease->notes.lost = 0;
    push(&lease->notes, n);
    make_room(&lease->notes);
    end_hearing(lease, 0);
}

static void begin(weir_wait *wait)
{
    weir_lease *lease = weir_container(wait, hearing, wait)->lease;
    weir_retire_reason reason;
    lease->listening = true;
    if (lease->severed ||
        lease->pool->driver->condition(lease->connection, &reason) == RELEASE_BROKEN)
        end_hearing(lease, WEIR_ELOST);
}

static void abandon(weir_wait *wait)
{
    weir_container(wait, hearing, wait)->lease->listening = false;
}

static int hear(weir_lease *lease)
{
    hearing h = {.wait = {.abandon = abandon}, .lease = lease};
    lease->wait = &h.wait;
    lease_goes_on(lease, EVENT_REST); /* nobody need say anything soon */
    int r = task_wait(&h.wait, WEIR_NEVER, begin);
    lease->wait = NULL;
    if (r == WEIR_ELOST && lease->connection) {
        lease_failed(lease, r);
    } else if (r < 0) { /* which says all there is to say */
        error_clear(&lease->error);
        lease->error.code = r;
    }
    return r;
}

int weir_notified(weir_lease *lease, weir_notification **notification)
{
    int r = task_check();
    if (r < 0)
        return r;
    if (lease_is_busy(lease))
        return WEIR_EBUSY;
    if (lease->reclaimed)
        return WEIR_ERECLAIMED;
    if (lease->spent)
        return WEIR_ESPENT;
    if (!lease->notes.first)
        r = hear(lease);
    lease_goes_on(lease, EVENT_PROGRESS);
    if (r < 0)
        return r;
    *notification = pop(&lease->notes);
    return 0;
}
