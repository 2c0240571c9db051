#!/usr/bin/env bash
# overload.sh: what is left of Weir's throughput at ten times what its pool can do, in an open loop.
# Ten connections, a query that sleeps for 10 ms, --acquire-timeout 500ms. SECONDS_EACH (10) may be
# set.
set -euo pipefail

build=$(realpath "${BUILD:-build}")
each=${SECONDS_EACH:-10}

if [ -z "${WEIR_BENCH_INSIDE:-}" ]; then
    exec env WEIR_BENCH_INSIDE=1 "$build/tests/bench/with_postgres" bash "$0" "$@"
fi

work=$(mktemp -d)
weir=
cleanup() {
    [ -z "$weir" ] || { kill "$weir" 2>/dev/null && wait "$weir"; } || true
    rm -rf "$work"
}
trap cleanup EXIT

mkdir "$work/queries"
echo 'select 1 as one from pg_sleep(0.01)' >"$work/queries/nap.sql"
port=$(perl -MIO::Socket::INET -e \
    'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
"$build/weir" serve --listen "127.0.0.1:$port" --queries "$work/queries" --pool-max 10 \
    --acquire-timeout 500ms --log-level error 2>"$work/log" &
weir=$!
until curl -fs -o "$work/first" "http://127.0.0.1:$port/q/nap"; do
    kill -0 "$weir" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
done

load() { "$build/tests/bench/overload" "$port" /q/nap "$1" "$each"; }
of() { awk -v n="$1" '$1 == n {print $2}' "$work/$2"; }

load 1000 >"$work/one"
peak=$(of good_per_s one)
load $((10 * peak)) >"$work/ten"
printf '| what | figure |\n| --- | --- |\n'
printf '| what the pool can do: 200 a second at 1000 req/s | %s |\n' "$peak"
printf '| (g) 200 a second at ten times that, %s req/s | %s = %s |\n' $((10 * peak)) \
    "$(of good_per_s ten)" "$(awk -v a="$(of good_per_s ten)" -v b="$peak" 'BEGIN {printf "%.2f", a / b}')"
printf '|     their latency, p50; p99, of 500 ms to get a connection | %s ms; %s ms |\n' \
    "$(of good_p50_ms ten)" "$(of good_p99_ms ten)"
printf '|     503 a second; their latency, p99 | %s; %s ms |\n' "$(of refused_per_s ten)" "$(of refused_p99_ms ten)"
printf '|     their Retry-After; without one | %s to %s s; %s |\n' "$(of retry_after_least_s ten)" \
    "$(of retry_after_most_s ten)" "$(of without_retry_after ten)"
printf '|     other answers; lost; not sent for want of a client | %s; %s; %s |\n' "$(of other ten)" \
    "$(of lost ten)" "$(of unsent ten)"
