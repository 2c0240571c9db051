#!/bin/sh
# mutants.sh: breaks the core on purpose, one line at a time, and demands that the simulator notices.
#
# Each mutant is a sed command on one file of a copy of pool/. A mutant that does not change its file
# (the line it means is gone) and one that the simulator passes are failures.
set -eu
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
survivors=0
count=0

# fresh: copies the core as it is.
fresh() {
    cp pool/*.h pool/heap.c pool/core*.c pool/waitq.c pool/pace.c "$work/pool/"
}

# build PROGRAM: compiles a simulator over the copy.
build() {
    ${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O1 -I"$work/pool" -o "$work/$1" \
        "$work/tests/sim/$1.c" "$work/tests/support/core_books.c" "$work"/pool/*.c
}

# passes PROGRAM: what it said is in $work/out.
passes() {
    SEED='' timeout 60 "$work/$1" > "$work/out" 2>&1
}

# mutant NAME FILE SED-COMMAND
mutant() {
    count=$((count + 1))
    fresh
    sed "$3" "pool/$2" > "$work/pool/$2"
    if cmp -s "pool/$2" "$work/pool/$2"; then
        verdict="DOES NOT APPLY"
        survivors=$((survivors + 1))
    elif ! build core_sim 2> "$work/errors"; then
        verdict="DOES NOT COMPILE"
        survivors=$((survivors + 1))
    elif ! passes core_sim; then
        verdict="caught: $(why)"
    elif build core_enum && ! passes core_enum; then
        verdict="caught by enumeration: $(why)"
    else
        verdict="SURVIVED"
        survivors=$((survivors + 1))
    fi
    printf '%-42s %s\n' "$1" "$verdict"
}

# why: what the simulator said, and after how many schedules.
why() {
    said=$(sed -n 's/.*broken promise: //p; s/^core_check: //p' "$work/out" | head -n 1)
    printf '%s (after %s)' "${said:-no answer}" "$(sed -n 's/ passed, 1 failed$//p' "$work/out")"
}

mkdir -p "$work/pool" "$work/tests/sim" "$work/tests/support"
cp tests/sim/*.c "$work/tests/sim/"
cp tests/support/core_books.[ch] "$work/tests/support/"

# Unbroken, the core passes: else nothing below would mean anything.
fresh
build core_sim
passes core_sim || { cat "$work/out"; exit 1; }

mutant 'drop the wake-up of a waiter'          core.c 's/wake_at(c, w->deadline_ns);//'
mutant 'drop the wake-up of a limit'           core.c 's/wake_at(c, deadline_after(c->now_ns, c->limit_ns\[to\]));//'
mutant 'drop the wake-up of a lifetime'        core.c 's/wake_at(c, x->expires_ns);/(void)0;/'
mutant 'drop the wake-up after a pause'        core.c 's/wake_at(c, c->pace.not_before_ns);//'
mutant 'forget what did not fit'               core.c 's/c->wake_ns = c->now_ns;/(void)0;/'
mutant 'leak a count'                          core.c 's/c->count\[x->state\]--;/c->count[x->state] -= to != CONNECTION_CLOSING;/'
mutant 'grant to the wrong waiter'             core.c 's/^    return head;/    return head->next ? head->next : head;/'
mutant 'last in, first out among waiters'      waitq.c 's/DL_APPEND(q->first, w)/DL_PREPEND(q->first, w)/'
mutant 'overtake without bound'                core.c 's/ && c->now_ns - head->since_ns < c->options.affinity_ns//'
mutant 'no affinity'                           core.c 's/if (own && head->lane != x->lane/if (0 \&\& own \&\& head->lane != x->lane/'
mutant 'first in, first out among connections' core.c 's/DL_PREPEND(\*to_list, x)/DL_APPEND(*to_list, x)/'
mutant 'ignore the deadline of a waiter'       core_due.c 's/expire_waiters(c);/(void)expire_waiters;/'
mutant 'grant after the deadline'              core.c 's/ || w->deadline_ns < c->now_ns)/)/'
mutant 'ignore the connect timeout'            core_due.c 's/expire_work(c, CONNECTION_DIALING, .*);/(void)0;/'
mutant 'ignore the check timeout'              core_due.c 's/expire_work(c, CONNECTION_CHECKING, .*);/(void)0;/'
mutant 'ignore the grace of a cancel'          core_due.c 's/expire_work(c, CONNECTION_CANCELLING, .*);/(void)0;/'
mutant 'ignore the idle timeout'               core_due.c 's/return WEIR_RETIRE_IDLE;/return WEIR_RETIRE_NOT;/'
mutant 'close idle ones below min'             core_due.c 's/open_count(c) > c->options.min \&\&/true \&\&/'
mutant 'ignore the lifetime'                   core.c 's/return WEIR_RETIRE_LIFETIME;/return WEIR_RETIRE_NOT;/'
mutant 'forget the pause after a failed dial'  pace.c 's/p->not_before_ns = deadline_after.*;/(void)random;/'
mutant 'a timed out dial is no failure'        core_due.c 's/if (state == CONNECTION_DIALING)/if (0)/'
mutant 'no probing after trouble'              pace.c 's/p->window = 1;//'
mutant 'skip validation'                       core_state.h 's/return c->now_ns - x->since_ns > c->options.validate_after_ns;/return false;/'
mutant 'validate, but grant all the same'      core.c 's/if (!x || is_stale(c, x) || keep_verdict/if (!x || keep_verdict/'
mutant 'forget to dial after a close'          core.c 's/^        dial(c);/        if (!c->list[0] || c->list[0]->since_ns < c->now_ns) dial(c);/'
mutant 'count the quarantined as supply'       core_state.h 's/c->count\[CONNECTION_RESETTING\];/c->count[CONNECTION_RESETTING] + c->count[CONNECTION_CANCELLING];/'
mutant 'dial without need'                     core_state.h 's/c->waiters.count > supply_count(c)/c->waiters.count > 0/'
mutant 'forget min'                            core_state.h 's/ || open_count(c) < c->options.min//'
mutant 'exceed max'                            core_state.h 's/c->count\[CONNECTION_FREE\] > 0 \&\&//'
mutant 'dial on the wrong lane'                core.c 's/return waitq_at(&c->waiters, supply)->lane;/return 0;/'
mutant 'exceed the queue'                      core.c 's/c->waiters.count >= c->options.queue_max/c->waiters.count > c->options.queue_max/'
mutant 'forget the drain'                      core.c 's/c->draining = true;/(void)0;/'
mutant 'grant while draining'                  core.c '/^weir_retire_reason keep_verdict/,/^}/s/c->draining/false/; s/^        drain(c);/        if (c->count[CONNECTION_LEASED] == 0) drain(c);/'
mutant 'drain forgets the waiters'             core.c 's/refuse_waiting(c, c->waiters.first, WEIR_ECLOSED);/break;/'
mutant 'drained too early'                     core.c 's/ \&\& c->count\[CONNECTION_FREE\] == c->options.max;/;/'
mutant 'reuse a dirty connection'              core.c 's/connection_begin(c, x, CONNECTION_RESETTING, EFFECT_RESET);/connection_keep(c, x);/'
mutant 'reuse a broken connection'             core.c 's/case RELEASE_BROKEN: connection_retire.*/case RELEASE_BROKEN: connection_keep(c, x); break;/'
mutant 'cancel a grant'                        core.c 's/if (w->state == WAITER_WAITING)/if (w->state != WAITER_REFUSED)/'
mutant 'answer a close that crosses'           core.c '/static void on_checked/,/^}/s/x->state == CONNECTION_CLOSING/false/'
mutant 'close under a lease'                   core.c 's/ || x->state == CONNECTION_LEASED)/)/'
mutant 'blame the deadline, not the server'    core_due.c 's/? WEIR_ECONNECT : WEIR_ETIMEDOUT/? WEIR_ETIMEDOUT : WEIR_ETIMEDOUT/'
mutant 'a grant forgets to move lanes'         core.c 's/x->lane = w->lane;/(void)0;/'

echo "$((count - survivors)) of $count mutants caught"
[ "$survivors" -eq 0 ]
