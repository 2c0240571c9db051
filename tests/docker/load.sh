# load.sh: a light load in the background, and what became of it; to be sourced. Needs $work.

loaders=()

# load_begin URL: one client that keeps its connection for a while, and one that makes one each time
# and writes. A request that fails stands in $work/failed, as its status and curl's own code. Ends
# with the test at the latest.
load_begin() {
    rm -f "$work/enough"
    : >"$work/load" >"$work/failed"
    load_loop "$1/products?limit=[1-20]" &
    loaders+=($!)
    load_loop -X POST -H 'Content-Type: application/json' -d '{"amount": 0}' \
        "$1/products/7/stock" &
    loaders+=($!)
    trap load_stop EXIT
}

load_loop() {
    while [ -d "$work" ] && [ ! -e "$work/enough" ]; do
        curl -s -o /dev/null --max-time 20 -w '%{http_code} %{exitcode}\n' "$@" || true
    done | tee -a "$work/load" | grep -v --line-buffered '^200 0$' >>"$work/failed" || true
}

load_count() { wc -l <"$work/load"; }

load_stop() {
    touch "$work/enough"
    wait "${loaders[@]}"
}

# Ends it: fails if any request has.
load_end() {
    load_stop
    printf '%d requests\n' "$(load_count)"
    [ ! -s "$work/failed" ] || { sort "$work/failed" | uniq -c >&2; return 1; }
}
