#!/usr/bin/env bash
# slow_clients.sh: what 500 clients that stall, a byte a second, cost an ordinary request: its latency
# without and with them, in turn; medians. ROUNDS (5), SECONDS_EACH (4) and CLIENTS (500) may be set.
set -euo pipefail

build=$(realpath "${BUILD:-build}")
rounds=${ROUNDS:-5}
each=${SECONDS_EACH:-4}
clients=${CLIENTS:-500}

if [ -z "${WEIR_BENCH_INSIDE:-}" ]; then
    exec env WEIR_BENCH_INSIDE=1 "$build/tests/bench/with_postgres" bash "$0" "$@"
fi

work=$(mktemp -d)
weir=
stalled=
end() {
    [ -z "$1" ] || { kill "$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }
}
cleanup() {
    end "$stalled"
    end "$weir"
    rm -rf "$work"
}
trap cleanup EXIT

median() { sort -g "$work/$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

mkdir "$work/queries"
echo 'select 1 as one' >"$work/queries/one.sql"
cat >"$work/figures.lua" <<'LUA'
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("errors %d\n", e.connect + e.read + e.write + e.status + e.timeout))
    io.write(string.format("p50 %.3f\np99 %.3f\n", latency:percentile(50) / 1000,
        latency:percentile(99) / 1000))
    io.write(string.format("rate %.0f\n", summary.requests / summary.duration * 1e6))
end
LUA

port=$(perl -MIO::Socket::INET -e \
    'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
"$build/weir" serve --listen "127.0.0.1:$port" --queries "$work/queries" --log-level warn \
    --header-timeout 2s --body-timeout 2s 2>"$work/log" &
weir=$!
until curl -fs -o /dev/null "http://127.0.0.1:$port/readyz"; do
    kill -0 "$weir" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
done

# measure NAME: one round; its figures go to the files NAME.p50 and so on.
measure() {
    wrk -t1 -c4 -d"${each}s" -s "$work/figures.lua" "http://127.0.0.1:$port/q/one" >"$work/out"
    for figure in errors p50 p99 rate; do
        awk -v f="$figure" '$1 == f {print $2}' "$work/out" >>"$work/$1.$figure"
    done
}

for ((round = 1; round <= rounds; round++)); do
    measure without
    exec 3< <(exec "$build/tests/bench/stalled" "$port" "$clients")
    stalled=$!
    read -r _ <&3
    measure with
    end "$stalled"
    stalled=
    exec 3<&-
done
cut=$(curl -fs "http://127.0.0.1:$port/metrics" |
    awk '/^weir_clients_cut_total/ {n += $2} END {print n + 0}')

printf '\n| what | alone | beside %s stalled clients |\n| --- | --- | --- |\n' "$clients"
printf '| latency, p50 | %s ms | %s ms |\n' "$(median without.p50)" "$(median with.p50)"
printf '| latency, p99 | %s ms | %s ms |\n' "$(median without.p99)" "$(median with.p99)"
printf '| requests a second, 4 connections | %s | %s |\n' "$(median without.rate)" "$(median with.rate)"
printf '| failed; stalled clients cut off | %s | %s; %s |\n' \
    "$(awk '{n += $1} END {print n}' "$work/without.errors")" \
    "$(awk '{n += $1} END {print n}' "$work/with.errors")" "$cut"
