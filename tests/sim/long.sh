#!/bin/sh
# long.sh PROGRAM: the simulator over SCHEDULES schedules (1000000), a share of them on each processor.
#
# Seeds are those after FIRST (1), so that a failure names one that can be replayed.
set -eu

schedules=${SCHEDULES:-1000000}
first=${FIRST:-1}
shares=$(nproc)
out=$(mktemp -d "${TMPDIR:-/tmp}/weir-sim-XXXXXX")
running=
trap 'rm -rf "$out"' EXIT
trap 'kill $running 2>/dev/null; exit 130' INT TERM

share=0
while [ "$share" -lt "$shares" ]; do
    from=$((schedules * share / shares))
    to=$((schedules * (share + 1) / shares))
    SEED='' FIRST=$((first + from)) SCHEDULES=$((to - from)) "$1" > "$out/$share" 2>&1 &
    running="$running $!"
    share=$((share + 1))
done
failed=0
for process in $running; do
    wait "$process" || failed=1
done
cat "$out"/*
sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$out"/* |
    awk '{ p += $1; f += $2 } END { print "in all: " p + 0 " passed, " f + 0 " failed" }'
exit "$failed"
