#!/bin/bash
# Runs the chaos program named, in a way that sanitizers can bear, and leaves nothing behind.
set -uo pipefail

folder=$(mktemp -d "${TMPDIR:-/tmp}/weir-chaos-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$folder"
export TMPDIR=$folder

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=0:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1:exitcode=66}

# ThreadSanitizer cannot place its shadow where the kernel scatters mappings widely.
steady=()
setarch "$(uname -m)" -R true 2>/dev/null && steady=(setarch "$(uname -m)" -R)

"${steady[@]}" "$@"
