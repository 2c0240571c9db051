#!/bin/bash
# Runs the test programs named, shows what fails, and ends with one line: N passed, M failed.
#
# TEST_TIMEOUT  seconds a program may take (120)
# TEST_SLOWER   factor on that, for instrumented builds (1)
# TEST_WRAPPER  command that runs each program, such as valgrind
set -uo pipefail

limit=$((${TEST_TIMEOUT:-120} * ${TEST_SLOWER:-1}))
read -ra wrapper <<<"${TEST_WRAPPER:-}"
passed=0 failed=0

folder=$(mktemp -d "${TMPDIR:-/tmp}/weir-tests-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
# What a program that is killed leaves behind goes with the run.
export TMPDIR=$folder
# One cluster is made for the whole run, and copied by each program that starts a server.
export WEIR_TEST_TEMPLATE=$folder/template
mkdir "$WEIR_TEST_TEMPLATE"
chmod 755 "$folder"

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=0:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1:exitcode=66}

# ThreadSanitizer cannot place its shadow where the kernel scatters mappings widely.
steady=()
setarch "$(uname -m)" -R true 2>/dev/null && steady=(setarch "$(uname -m)" -R)

# Adds up what the programs say, as passed, failed, skipped: cmocka's `[  PASSED  ] 3 test(s).`, or
# since 1.1.7 `[  FAILED  ] tests: 3 test(s), …`, and a simulator's `3 passed, 1 failed`.
sum() {
    awk 'match($0, /^\[  [A-Z]+ +\] ([a-z_]+: )?[0-9]+ test\(s\)/) {
             split(substr($0, 1, RLENGTH), word, /[] []+/)
             n[word[2]] += word[3] ~ /:$/ ? word[4] : word[3]
         }
         /^[0-9]+ passed, [0-9]+ failed$/ { n["PASSED"] += $1; n["FAILED"] += $3 }
         END { print n["PASSED"] + 0, n["FAILED"] + 0, n["SKIPPED"] + 0 }' "$1"
}

for program in "$@"; do
    name=${program#*tests/}
    out=$folder/out
    begun=$(date +%s%N)
    timeout --kill-after=10 "$limit" "${steady[@]}" "${wrapper[@]}" "$program" >"$out" 2>&1 </dev/null
    status=$?
    took=$((($(date +%s%N) - begun) / 1000000))
    read -r p f skipped < <(sum "$out")
    why= note=
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then
        why="not done within $limit s"
    elif [ $status -gt 128 ]; then
        why="killed by signal $((status - 128))"
    elif [ $status -ne 0 ] && [ "$f" -eq 0 ]; then
        why="exit code $status"
    elif [ $status -eq 0 ] && [ $((p + f + skipped)) -eq 0 ]; then
        why="ran no test"
    fi
    [ "$skipped" -eq 0 ] || [ -n "$why" ] || note="$skipped skipped"
    # A program that did not end by itself has failed once more than it could say.
    [ -z "$why" ] || f=$((f + 1))
    passed=$((passed + p)) failed=$((failed + f))
    printf '%-28s %4d passed, %d failed  %3d.%01d s  %s\n' \
        "$name" "$p" "$f" $((took / 1000)) $((took % 1000 / 100)) "$why$note"
    [ "$f" -eq 0 ] || sed 's/^/    /' "$out"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
