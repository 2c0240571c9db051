#!/usr/bin/env bash
# bench.sh: measures Weir beside pgbench in the same run, in turn, and prints medians and ratios.
# ROUNDS (3), SECONDS_EACH (8) and LANES (auto) may be set.
set -euo pipefail

build=$(realpath "${BUILD:-build}")
rounds=${ROUNDS:-3}
each=${SECONDS_EACH:-8}
lanes=${LANES:-auto}

if [ -z "${WEIR_BENCH_INSIDE:-}" ]; then
    exec env WEIR_BENCH_INSIDE=1 "$build/tests/bench/with_postgres" bash "$0" "$@"
fi

work=$(mktemp -d)
weir=
least=
cleanup() {
    [ -z "$weir" ] || stop_weir
    [ -z "$least" ] || kill "$least"
    rm -rf "$work"
}
stop_weir() {
    kill "$weir" 2>/dev/null || true
    wait "$weir" || true
    weir=
}
trap cleanup EXIT

free_port() {
    perl -MIO::Socket::INET -e \
        'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }
rss_mb() { awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/$1/status"; }

pgbench=$(command -v pgbench || echo "$(pg_config --bindir)/pgbench")
"$pgbench" -i -q -s 10 2>/dev/null

mkdir "$work/queries"
cat >"$work/queries/account.sql" <<'SQL'
-- @returns row
select abalance from pgbench_accounts where aid = :aid
SQL
cat >"$work/select.sql" <<'SQL'
\set aid random(1, 1000000)
select abalance from pgbench_accounts where aid = :aid
SQL
# Requests made beforehand, so that the load costs the machine as little as it can.
cat >"$work/account.lua" <<'LUA'
local requests, at = {}, 0
function init(args)
    math.randomseed(os.time())
    for i = 1, 1000 do
        requests[i] = wrk.format("GET", "/q/account?aid=" .. math.random(1, 1000000))
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("errors %d\n", e.connect + e.read + e.write + e.status + e.timeout))
    io.write(string.format("p50_ms %.2f\np99_ms %.2f\n", latency:percentile(50) / 1000,
        latency:percentile(99) / 1000))
end
LUA

port=$(free_port)
serve=("$build/weir" serve --listen "127.0.0.1:$port" --queries "$work/queries" --pool-max 16
    --lanes "$lanes" --log-level warn)
PGAPPNAME=weir "${serve[@]}" 2>"$work/log" &
weir=$!
until curl -fs -o "$work/first" "http://127.0.0.1:$port/q/account?aid=1"; do
    kill -0 "$weir" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
done
# What is left on this machine for a service that does nothing of its own; the same answers.
least_port=$(free_port)
curl -fsi -o "$work/answer" "http://127.0.0.1:$port/q/account?aid=1"
"$build/tests/bench/least" "$least_port" 16 <"$work/answer" &
least=$!
until curl -fs -o "$work/first" "http://127.0.0.1:$least_port/q/account?aid=1"; do
    kill -0 "$least"
    sleep 0.05
done
http() { wrk -t1 -c64 -d"${each}s" "$@" | tee -a "$work/wrk"; }

for ((round = 1; round <= rounds; round++)); do
    "$pgbench" -n -M prepared -c 16 -T "$each" -f "$work/select.sql" 2>/dev/null |
        awk '/^tps/ {print $3}' >>"$work/pgbench.tps"
    http -s "$work/account.lua" "http://127.0.0.1:$port" >"$work/out" &
    load=$!
    sleep $((each / 2))
    rss_mb "$weir" >>"$work/rss.load"
    echo >>"$work/rss.load"
    wait "$load"
    awk '/^Requests\/sec/ {print $2}' "$work/out" >>"$work/weir.rps"
    awk '/^p99_ms/ {print $2}' "$work/out" >>"$work/weir.p99"
    awk '/^errors/ {print $2}' "$work/out" >>"$work/weir.errors"
    http -s "$work/account.lua" "http://127.0.0.1:$least_port" |
        awk '/^Requests\/sec/ {print $2}' >>"$work/least.rps"
    http "http://127.0.0.1:$port/livez" | awk '/^Requests\/sec/ {print $2}' >>"$work/constant.rps"
    "$build/tests/bench/core_bench" | awk '/^core_take_release_ns/ {print $2}' >>"$work/core.ns"
    "$build/tests/bench/pool_bench" | awk '/^pool_acquire/ {print $2}' >>"$work/pool.ns"
    "$build/tests/bench/task_bench" >>"$work/task.ns"
done
stop_weir

# Idle: ten warm connections on one lane, before any load.
port=$(free_port)
"$build/weir" serve --listen "127.0.0.1:$port" --queries "$work/queries" --pool-max 10 --pool-min 10 \
    --lanes 1 --log-level warn 2>>"$work/log" &
weir=$!
until curl -fs "http://127.0.0.1:$port/metrics" |
    grep -q '^db_client_connections_usage{.*state="idle".*} 10'; do
    kill -0 "$weir" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
done
idle_rss=$(rss_mb "$weir")
stop_weir

port=$(free_port)
first=$("$build/tests/bench/first_answer" "$port" "/q/account?aid=1" "$build/weir" serve \
    --listen "127.0.0.1:$port" --queries "$work/queries" --log-level error 2>>"$work/log" |
    awk '/^first_answer_ms/ {print $2}')

pg=$(median <"$work/pgbench.tps")
rps=$(median <"$work/weir.rps")
least_rps=$(median <"$work/least.rps")
constant=$(median <"$work/constant.rps")
errors=$(awk '{n += $1} END {print n + 0}' "$work/weir.errors")
of_task() { awk -v n="$1" '$1 == n {print $2}' "$work/task.ns" | median; }

cpu=$(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo)
printf '\n%s, %s cores, %s, %s rounds of %s s, medians, %s lanes\n\n' \
    "${cpu:-unknown CPU}" "$(nproc)" "$(date -u +%Y-%m-%d)" "$rounds" "$each" "$lanes"
printf '| what | figure |\n| --- | --- |\n'
printf '| (a) core: take + release | %s ns |\n' "$(median <"$work/core.ns")"
printf '| (b) pool: acquire + release, lock and clock included | %s ns |\n' "$(median <"$work/pool.ns")"
printf '| task: resume + yield; spawn + end | %s ns; %s ns |\n' "$(of_task task_switch_ns)" "$(of_task task_spawn_ns)"
printf '| pgbench -M prepared, 16 clients, single-row select | %.0f tps |\n' "$pg"
printf '| (c) Weir, the same select over HTTP, 16 connections, 64 clients | %.0f req/s = %s of pgbench |\n' "$rps" "$(ratio "$rps" "$pg")"
printf '|     its p99 latency; failed requests | %s ms; %s |\n' "$(median <"$work/weir.p99")" "$errors"
printf '|     a service of four system calls a request and nothing else | %.0f req/s = %s of pgbench |\n' "$least_rps" "$(ratio "$least_rps" "$pg")"
printf '|     (c) in terms of that | %s |\n' "$(ratio "$rps" "$least_rps")"
printf '| (d) Weir answering a constant | %.0f req/s |\n' "$constant"
printf '| (e) resident memory: idle, 10 connections, 1 lane; under load | %s MB; %s MB |\n' "$idle_rss" "$(median <"$work/rss.load")"
printf '| (f) from exec to the first answered request | %s ms |\n' "$first"
[ "$errors" = 0 ] || { echo "bench: $errors requests failed under load" >&2; exit 1; }
