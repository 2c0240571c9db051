#!/bin/bash
# run.sh FOLDER PROGRAM…: each fuzzer for FUZZ_SECONDS (20), from the seeds beside this script and
# from what it has found before, which stays in FOLDER. A finding is shown, and kept there too.
#
# With FUZZ_MERGE=1 nothing is run: what FOLDER has beyond the seeds becomes one of them.
set -uo pipefail
found=$1
shift
seeds=$(cd "$(dirname "$0")" && pwd)/corpus
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0

# Counting how often an edge is taken would make hundreds of seeds of dozens.
merge() {
    "$program" -merge=1 -use_counters=0 -max_len=512 "$seeds/$name" "$found/$name" >"$log" 2>&1
}

fuzz() {
    "$program" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
        -verbosity=0 -print_final_stats=1 -artifact_prefix="$found/$name-" \
        "$found/$name" "$seeds/$name" >"$log" 2>&1
}

show_findings() {
    sed 's/^/    /' "$log"
    for input in "$found/$name"-*; do
        [ -f "$input" ] && echo "    $input:" && od -A d -t x1z "$input" | head -n 64
    done
}

for program in "$@"; do
    name=${program##*/fuzz_}
    mkdir -p "$found/$name" "$seeds/$name"
    rm -f "$found/$name"-*
    if [ -n "${FUZZ_MERGE:-}" ] && merge; then
        echo "$name: $(find "$seeds/$name" -type f | wc -l) seeds"
    elif [ -z "${FUZZ_MERGE:-}" ] && fuzz; then
        printf '%-10s %10d runs, %4d inputs beyond the seeds\n' "$name" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
            "$(find "$found/$name" -type f | wc -l)"
    else
        show_findings
        failed=$((failed + 1))
        continue
    fi
    passed=$((passed + 1))
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
