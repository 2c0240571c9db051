#!/usr/bin/env bash
# stream.sh: a million rows as a stream, beside psql's COPY of the same, in turn; medians and ratios.
# ROUNDS (5) and ROWS (1000000) may be set.
set -euo pipefail

build=$(realpath "${BUILD:-build}")
rounds=${ROUNDS:-5}
rows=${ROWS:-1000000}

if [ -z "${WEIR_BENCH_INSIDE:-}" ]; then
    exec env WEIR_BENCH_INSIDE=1 "$build/tests/bench/with_postgres" bash "$0" "$@"
fi

work=$(mktemp -d)
weir=
cleanup() {
    [ -z "$weir" ] || { kill "$weir" 2>/dev/null || true; wait "$weir" || true; }
    rm -rf "$work"
}
trap cleanup EXIT

median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
kb() { awk -v what="$1:" '$1 == what {print $2}' "/proc/$weir/status"; }
# timed NAME COMMAND…: its seconds go to the file NAME, its output nowhere.
timed() {
    local name=$1 began=$EPOCHREALTIME
    shift
    "$@" >/dev/null
    awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN {print b - a}' >>"$work/$name"
}

select='select id, name, price, sold, at from item'
psql -qc "create unlogged table item as select g as id, 'item number ' || g as name,
    (g % 10000) * 0.01 as price, g % 2 = 0 as sold,
    timestamptz '2026-01-01' + g * interval '1 s' as at from generate_series(1, $rows) g" \
    -c 'vacuum analyze item'
mkdir "$work/queries"
echo "$select" >"$work/queries/items.sql"

port=$(perl -MIO::Socket::INET -e \
    'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
url=http://127.0.0.1:$port/q/items
"$build/weir" serve --listen "127.0.0.1:$port" --queries "$work/queries" --lanes 1 \
    --log-level warn 2>"$work/log" &
weir=$!
until curl -fs -o /dev/null "http://127.0.0.1:$port/readyz"; do
    kill -0 "$weir" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
done

before=$(kb VmRSS)
for ((round = 1; round <= rounds; round++)); do
    timed copy psql -qc "copy ($select) to stdout"
    timed ndjson curl -fs -H 'Accept: application/x-ndjson' "$url"
    timed csv curl -fs -H 'Accept: text/csv' "$url"
done
grown=$(($(kb VmHWM) - before))

copy=$(median <"$work/copy")
line() {
    awk -v what="$1" -v s="$2" -v c="$copy" -v n="$rows" \
        'BEGIN {printf "| %s | %.0f rows/s = %.2f of COPY |\n", what, n / s, c / s}'
}
printf '\n%s rows, %s rounds, medians\n\n' "$rows" "$rounds"
printf '| what | figure |\n| --- | --- |\n'
awk -v s="$copy" -v n="$rows" \
    'BEGIN {printf "| psql -c \"copy (…) to stdout\" | %.0f rows/s |\n", n / s}'
line 'Weir, the same rows as NDJSON' "$(median <"$work/ndjson")"
line 'Weir, as CSV' "$(median <"$work/csv")"
awk -v k="$grown" 'BEGIN {printf "| resident memory grew by | %.1f MB |\n", k / 1024}'
