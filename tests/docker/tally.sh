# tally.sh: tests that are shell functions, and their count; to be sourced.

passed=0 failed=0

# try NAME: runs the function of that name, strictly; shows what it said if it fails.
try() {
    local log status begun=$SECONDS
    log=$(mktemp)
    set +e
    (
        set -euo pipefail
        "$1"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if [ $status -eq 0 ]; then
        passed=$((passed + 1))
        printf 'ok      %3d s  %s\n' $((SECONDS - begun)) "$1"
    else
        failed=$((failed + 1))
        printf 'FAILED  %3d s  %s\n' $((SECONDS - begun)) "$1"
        tail -n 60 "$log" | sed 's/^/    /'
    fi
    rm -f "$log"
}

# becomes SECONDS COMMAND…: waits until the command succeeds; says what it said last if it does not.
becomes() {
    local until=$((SECONDS + $1)) said
    shift
    until said=$("$@" 2>&1); do
        if [ $SECONDS -ge $until ]; then
            printf 'not met in time: %s\n%s\n' "$*" "$said" >&2
            return 1
        fi
        sleep 0.2
    done
}

# fails COMMAND…: also where strictness would not see it, after a plain `!`.
fails() {
    ! "$@" || { printf 'succeeded: %s\n' "$*" >&2; return 1; }
}

# is EXPECTED ACTUAL
is() {
    [ "$2" = "$1" ] || { printf 'expected %s, not %s\n' "$1" "$2" >&2; return 1; }
}

# has TEXT PATTERN
has() {
    grep -qE -- "$2" <<<"$1" || { printf 'no %s in:\n%s\n' "$2" "$1" >&2; return 1; }
}
