#!/bin/sh
# mutants.sh [WORDS]: breaks the core on purpose, one line at a time, and demands that the simulator
# notices. With WORDS only mutants whose name has them.
#
# Each mutant is a sed command on one file of a copy of pool/. A mutant that does not change its file
# (the line it means is gone) and one that the simulator passes are failures.
set -eu
words=${1:-}
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
survivors=0
count=0

# fresh: copies the core as it is.
fresh() {
    cp pool/*.h pool/heap.c pool/core*.c pool/waitq.c pool/pace.c pool/shed.c pool/error.c "$work/pool/"
}

compile="${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O1 -I$work/pool"

# build PROGRAM: compiles a simulator over the copy.
build() {
    $compile -o "$work/$1" "$work/tests/sim/$1.o" "$work"/tests/support/*.o "$work"/pool/*.c
}

# passes PROGRAM: what it said is in $work/out.
passes() {
    SEED='' timeout 60 "$work/$1" > "$work/out" 2>&1
}

# mutant NAME FILE SED-COMMAND
mutant() {
    case "$1" in *"$words"*) ;; *) return 0 ;; esac
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
cp tests/support/core_*.[ch] "$work/tests/support/"
fresh
for source in "$work"/tests/sim/core_*.c "$work"/tests/support/core_*.c; do
    $compile -c -o "${source%.c}.o" "$source"
done

# Unbroken, the core passes: else nothing below would mean anything.
build core_sim
passes core_sim || { cat "$work/out"; exit 1; }

mutant 'drop the wake-up of a waiter'          core.c 's/wake_at(c, w->deadline_ns);//'
mutant 'drop the wake-up of a limit'           core.c 's/: deadline_after(c->now_ns, c->limit_ns\[to\]));/: WEIR_NEVER);/'
mutant 'drop the wake-up of a lifetime'        core_state.h 's/return x->expires_ns < due_ns ? x->expires_ns : due_ns;/return due_ns;/'
mutant 'drop the wake-up after a pause'        core.c 's/wake_at(c, c->pace.not_before_ns);//'
mutant 'forget what did not fit'               core.c 's/c->wake_ns = c->now_ns;/(void)0;/'
mutant 'leak a count'                          core.c 's/c->count\[x->state\]--;/c->count[x->state] -= to != CONNECTION_CLOSING;/'
mutant 'grant to the wrong waiter'             core.c 's/^    return head;/    return head->next ? head->next : head;/'
mutant 'last in, first out among waiters'      waitq.c 's/DL_APPEND(q->first, w)/DL_PREPEND(q->first, w)/'
mutant 'overtake without bound'                core.c 's/ && c->now_ns - head->since_ns < c->options.affinity_ns//'
mutant 'no affinity'                           core.c 's/if (own && head->lane != x->lane/if (0 \&\& own \&\& head->lane != x->lane/'
mutant 'first in, first out among connections' core.c 's/at \&\& at->used_ns > x->used_ns/at/'
mutant 'ignore the deadline of a waiter'       core_due.c 's/expire_waiters(c);/(void)expire_waiters;/'
mutant 'grant after the deadline'              core.c 's/ || w->deadline_ns < c->now_ns || c->paused)/ || c->paused)/'
mutant 'ignore the connect timeout'            core_due.c 's/expire_work(c, CONNECTION_DIALING, .*);/(void)0;/'
mutant 'ignore the check timeout'              core_due.c 's/expire_work(c, CONNECTION_CHECKING, .*);/(void)0;/'
mutant 'ignore the grace of a cancel'          core_due.c 's/expire_work(c, CONNECTION_CANCELLING, .*);/(void)0;/'
mutant 'ignore the idle timeout'               core_due.c 's/return WEIR_RETIRE_IDLE;/return WEIR_RETIRE_NOT;/'
mutant 'close idle ones below min'             core_due.c 's/open_count(c) > c->min \&\&/true \&\&/'
mutant 'ignore the lifetime'                   core.c 's/return WEIR_RETIRE_LIFETIME;/return WEIR_RETIRE_NOT;/'
mutant 'forget the pause after a failed dial'  pace.c 's/p->not_before_ns = deadline_after.*;/(void)random;/'
mutant 'a timed out dial is no failure'        core_due.c 's/if (state == CONNECTION_DIALING)/if (0)/'
mutant 'no probing after trouble'              pace.c 's/p->window = 1;//'
mutant 'skip validation'                       core_state.h 's/return c->now_ns - x->heard_ns > c->options.validate_after_ns;/return false;/'
mutant 'validate, but grant all the same'      core.c 's/if (!x || is_stale(c, x) || keep_verdict/if (!x || keep_verdict/'
mutant 'forget to dial after a close'          core.c 's/^        dial(c);/        if (!c->list[0] || c->list[0]->since_ns < c->now_ns) dial(c);/'
mutant 'count the quarantined as supply'       core_state.h 's/c->count\[CONNECTION_RESETTING\];/c->count[CONNECTION_RESETTING] + c->count[CONNECTION_CANCELLING];/'
mutant 'dial without need'                     core_state.h 's/c->waiters.count > supply_count(c)/c->waiters.count > 0/'
mutant 'forget min'                            core_state.h 's/ || open_count(c) < c->min//'
mutant 'exceed max'                            core_state.h 's/return c->max < c->pace.ceiling ? c->max : c->pace.ceiling;/return c->options.slots < c->pace.ceiling ? c->options.slots : c->pace.ceiling;/'
mutant 'dial on the wrong lane'                core.c 's/return waitq_at(&c->waiters, supply)->lane;/return 0;/'
mutant 'exceed the queue'                      core.c 's/c->waiters.count >= places/c->waiters.count > places/'
mutant 'forget the drain'                      core_control.c 's/c->draining = true;/(void)0;/'
mutant 'grant while draining'                  core.c '/^weir_retire_reason keep_verdict/,/^}/s/c->draining/false/; s/^        drain(c);/        if (c->count[CONNECTION_LEASED] == 0) drain(c);/'
mutant 'drain forgets the waiters'             core_control.c 's/refuse_waiting(c, c->waiters.first, WEIR_ECLOSED);/break;/'
mutant 'drained too early'                     core_control.c 's/ \&\& c->count\[CONNECTION_FREE\] == c->options.slots;/;/'
mutant 'reuse a dirty connection'              core.c 's/connection_begin(c, x, CONNECTION_RESETTING, EFFECT_RESET);/connection_keep(c, x);/'
mutant 'reuse a broken connection'             core.c 's/case RELEASE_BROKEN: connection_retire.*/case RELEASE_BROKEN: connection_keep(c, x); break;/'
mutant 'cancel a grant'                        core.c 's/if (w->state == WAITER_WAITING)/if (w->state != WAITER_REFUSED)/'
mutant 'answer a close that crosses'           core.c '/static void on_checked/,/^}/s/x->state == CONNECTION_CLOSING/false/'
mutant 'close under a lease'                   core.c 's/ || x->state == CONNECTION_LEASED)/)/'
mutant 'blame the deadline, not the server'    core_due.c 's/? WEIR_ECONNECT : WEIR_ETIMEDOUT/? WEIR_ETIMEDOUT : WEIR_ETIMEDOUT/'
mutant 'a grant forgets to move lanes'         core.c 's/x->lane = w->lane;/(void)0;/'

# Resize
mutant 'max stays'                             core_control.c 's/c->max = max;//'
mutant 'min stays'                             core_control.c 's/c->min = min;//'
mutant 'the hottest goes first'                core_control.c 's/x->used_ns < coldest->used_ns/x->used_ns > coldest->used_ns/'
mutant 'surplus goes lane by lane'             core.c 's/^    trim(c); .*//; s/^        expire_due(c);/        expire_due(c); trim(c);/'
mutant 'surplus dials go on'                   core_control.c 's/x = c->list\[CONNECTION_DIALING\];/x = NULL;/'
mutant 'dials go before the idle'              core_control.c 's/connection \*x = coldest_idle(c);/connection *x = c->list[CONNECTION_DIALING];/; s/x = c->list\[CONNECTION_DIALING\];$/x = coldest_idle(c);/'
mutant 'surplus comes back to stay'            core.c 's/if (open_count(c) > c->max)/if (0)/'

# Pause
mutant 'grant out of the queue while paused'   core.c 's/ || c->paused || !has_room(c))/ || !has_room(c))/'
mutant 'grant at once while paused'            core.c 's/ || w->deadline_ns < c->now_ns || c->paused)/ || w->deadline_ns < c->now_ns)/'
mutant 'dial while paused'                     core_state.h 's/ \&\& !c->paused;/;/'
mutant 'keep alive while paused'               core_state.h 's/after_ns == WEIR_NEVER || c->paused/after_ns == WEIR_NEVER/'
mutant 'paused is said again and again'        core_control.c 's/ || c->pause_told || / || /'
mutant 'a second pause is not told'            core_control.c 's/c->pause_told = false;//'
mutant 'a pause of a paused pool is told'      core_control.c 's/if (c->paused || c->draining)/if (c->draining)/'
mutant 'paused before all are back'            core_control.c 's/c->count\[CONNECTION_LEASED\] + c->count\[CONNECTION_RESETTING\] +/c->count[CONNECTION_RESETTING] +/'
mutant 'a pause outlasts the drain'            core_control.c '/^void on_drain/,/^}/s/c->paused = false;//'
mutant 'never resume'                          core.c 's/case EVENT_RESUME: c->paused = false; break;/case EVENT_RESUME: break;/'
mutant 'shed while paused'                     core_control.c 's/shed_rest(&c->shed);//'
mutant 'blame the server for a pause'          core_due.c 's/ \&\& !c->paused ? WEIR_ECONNECT/ ? WEIR_ECONNECT/'

# Evict
mutant 'evict nobody'                          core_control.c 's/x->evict_ns = at_ns;/(void)at_ns;/'
mutant 'the next in the slot is evicted too'   core.c 's/x->evict_ns = WEIR_NEVER;//'
mutant 'a second evict puts the first off'     core_control.c 's/ \&\& at_ns < x->evict_ns)/)/'
mutant 'sleep past the moment to evict'        core_state.h 's/due_ns = x->evict_ns < due_ns ? x->evict_ns : due_ns;//'
mutant 'grant who is to be replaced'           core.c '/^weir_retire_reason keep_verdict/,/^}/s/c->now_ns >= x->evict_ns/false/'

# Keepalive, leaks
mutant 'all go at the end of the spread'         core_control.c 's/random_up_to(&c->random, spread_ns)/spread_ns/'
mutant 'all end their lives together'          core.c 's/lifetime_ns -= early_ns;/(void)early_ns;/'
mutant 'all are kept alive together'           core.c 's/x->early_ns = random_up_to.*/x->early_ns = 0;/'
mutant 'keep nobody alive'                     core_state.h '/keepalive_due/,/^}/s/after_ns == WEIR_NEVER || c->paused/true/'
mutant 'a check counts as use'                 core.c '/^static void on_checked/,/^}/s/x->heard_ns = c->now_ns;/x->heard_ns = x->used_ns = c->now_ns;/'
mutant 'a check tells nothing'                 core.c '/^static void on_checked/,/^}/s/x->heard_ns = c->now_ns;//'
mutant 'the hottest hides a fresh one'         core.c 's/while (x \&\& is_stale(c, x))/while (0)/'
mutant 'quarantine counted twice'              core.c 's/if (quarantined \&\& x->state == CONNECTION_IDLE)/if (quarantined)/'
mutant 'tell of no leak'                       core_due.c 's/^    expire_leases(c);/    (void)expire_leases;/'
mutant 'tell of a leak again and again'        core_due.c 's/return x->leaked ? WEIR_NEVER : /return /'
mutant 'reclaim without being asked to'        core_due.c 's/if (!c->options.reclaim_leaked) {/if (0) {/'
mutant 'a reclaimed lease gives back'          core.c 's/    if (reclaimed)$/    if (0)/'
mutant 'reclaim, but tell nobody'              core_due.c 's/x->holder->state = WAITER_RECLAIMED;//'
mutant 'a stream leaks, though it goes on'     core_due.c 's/deadline_after(x->alive_ns/deadline_after(x->since_ns/'
mutant 'progress undoes what has been told'    core.c 's/connection_at(c, w->connection)->alive_ns = alive_ns;/connection_at(c, w->connection)->alive_ns = alive_ns, connection_at(c, w->connection)->leaked = false;/'
mutant 'who rests leaks'                       core.c 's/on_progress(c, e->waiter, WEIR_NEVER)/on_progress(c, e->waiter, c->now_ns)/'
mutant 'who has rested is never looked at'     core.c 's/^    wake_at(c, deadline_after(alive_ns,.*//'
mutant 'who goes on holds for a shorter time'  core.c 's/measure_use(c, c->now_ns - x->since_ns,/measure_use(c, c->now_ns - x->alive_ns,/'
mutant 'one that goes on hides a leak'         core_due.c '/^static void expire_leases/,/^}/s/continue;/return;/'
mutant 'a leak that came back is still out'    core.c 's/c->leaked_out -= x->leaked;//'

# Shedding
mutant 'shed at once'                          shed.c 's/now_ns - s->above_since_ns >= s->interval_ns/true/'
mutant 'never shed'                            shed.c 's/s->active = true;/(void)now_ns;/'
mutant 'shed without end'                      shed.c 's/waited_ns <= s->target_ns \/ 2/false/'
mutant 'shed, though nobody waits any more'    core.c 's/^        shed_rest(&c->shed);/        (void)0;/'
mutant 'shed the urgent'                       waitq.c 's/while (w \&\& w->urgent)/while (0)/'
mutant 'shed before the target'                shed.c 's/deadline_after(since_ns, s->target_ns)/deadline_after(since_ns, s->target_ns \/ 2)/'
mutant 'sleep past the moment to shed'         core.c 's/^        wake_at(c, at_ns);//; s/if (patient \&\& shed_at/if (0 \&\& shed_at/'
mutant 'let in who will be late'               core.c 's/if (comes_too_late(c, w))/if (0)/'
mutant 'forget that a pool can grow'           core.c 's/bool grows = open < limit \&\& c->pace.failures == 0;/bool grows = false;/'
mutant 'turn away while few wait'              core.c 's/ || c->waiters.count < open)/)/'
mutant 'turn away the urgent'                  core.c 's/if (w->urgent || c->paused ||/if (c->paused ||/'
mutant 'measure what was cut short'            core.c 's/if (whole || used_ns > c->use_ns)/(void)whole;/'
mutant 'keep no reserve'                       core.c 's/(w->urgent ? 0 : c->options.queue_reserve)/0/'

# Deadlock
mutant 'break no deadlock'                     core.c 's/^        break_deadlock(c);/        (void)break_deadlock;/'
mutant 'refuse the first of a circle'          core_deadlock.c 's/waiter \*w = c->waiters.first->prev;/waiter *w = c->waiters.first;/; s/w = w->prev;/w = w->next;/'
mutant 'refuse who holds nothing'              core_deadlock.c 's/while (!w->claimant || !holds(c, w->claimant))/while (0)/'
mutant 'one strand stands for all'             core_deadlock.c 's/memory_order_relaxed) >= strands;/memory_order_relaxed) > 0;/; s/return here > 0 .*/return here > 0;/'
mutant 'who waits elsewhere is stuck here'     core_deadlock.c 's/if (!is_stuck(c, x->holder->claimant))/if (0 \&\& !is_stuck(c, x->holder->claimant))/'
mutant 'a circle though there is room'         core_deadlock.c 's/ \&\&$/ || /; s/size >= size_limit(c);/true;/'
mutant 'blind to a slot that is gone'          core.c 's/e->kind == EVENT_CLOSED || e->kind == EVENT_RESIZE/e->kind == EVENT_RESIZE/'
mutant 'blind to a smaller max'                core.c 's/ || e->kind == EVENT_RESIZE || / || /'
mutant 'forget a claimant that waits'          waitq.c 's/atomic_fetch_sub_explicit(.*/(void)w;/'

# Dials
mutant 'a whole flock of dials at first'       pace.c 's/p->window_max > 1 ? 2 : 1;/p->window_max > 1 ? p->window_max : 1;/'
mutant 'two probes after trouble'              pace.c 's/p->window = p->failures == 0 \&\& /p->window = /'
mutant 'success allows no more'                pace.c 's/p->window++;/(void)0;/'
mutant 'no pause before the server is full'    pace.c 's/p->lift_ns = deadline_after.*/p->lift_ns = now_ns + 0 * half_ns * *random;/'
mutant 'all come back to a full server at once' pace.c 's/half_ns + random_up_to(random, half_ns)/half_ns + 0 * *random/'
mutant 'no ceiling'                            core_state.h 's/return c->max < c->pace.ceiling ? c->max : c->pace.ceiling;/return c->max;/'
mutant 'the ceiling stays'                     core_due.c 's/^    pace_lift.*//'
mutant 'the ceiling is below what is open'     pace.c 's/open + 1 : open)/open + 1 : 0)/'
mutant 'a success does not lift the ceiling'   pace.c 's/raise_ceiling(p, p->lift_ns == .*/(void)open;/'
mutant 'wait without hope'                     core.c '/^uint64_t hopeless_until/,/^}/s/return deadline_after.*/return c->now_ns;/'
mutant 'no hope even after the pause'          core.c 's/if (!unreachable || c->now_ns >= c->pace.not_before_ns)/if (!unreachable)/'
mutant 'no hope though something is up'        core.c 's/bool unreachable = open_count(c) == 0 \&\& /bool unreachable = /'

echo "$((count - survivors)) of $count mutants caught"
[ "$survivors" -eq 0 ]
