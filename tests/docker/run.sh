#!/bin/bash
# run.sh: the image and the compose files, on a real engine: `make test-docker`.
#
# BUILD  the build folder (build); what an engine of our own stores is in there
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(mkdir -p "${BUILD:-build}" && realpath "${BUILD:-build}")
work=$(mktemp -d /tmp/weir-docker-XXXXXX)

. tests/docker/tally.sh
. tests/docker/engine.sh
. tests/docker/load.sh
. tests/docker/image.sh
. tests/docker/compose.sh
. tests/docker/scale.sh

project=weir-test # names our images, and marks our containers
releases='trixie bookworm'
declare -A base
# The tests that only ask, and need no server that they may stop and configure.
asking=$(printf 'build/tests/integration/%s ' adhoc batch driver_query driver_stream http_answers \
    http_cache http_gzip http_problems openapi query_describe row_to_json shape_load transaction)

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)) && (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}
export COMPOSE_PROJECT_NAME=weir-test-$$ WEIR_TOKEN=open-sesame
export WEIR_IMAGE=$project/weir:trixie PROXY_IMAGE=$project/proxy
WEIR_PORT=$(free_port) WEIR_ADMIN_PORT=$(free_port) PROMETHEUS_PORT=$(free_port) PROXY_PORT=$(free_port)
export WEIR_PORT WEIR_ADMIN_PORT PROMETHEUS_PORT PROXY_PORT

finish() {
    trap '' INT TERM
    touch "$work/enough"
    if docker info >/dev/null 2>&1; then
        scaled down -v --remove-orphans >/dev/null 2>&1 || true
        docker ps -aq --filter "label=$project" | xargs -r docker rm -f >/dev/null 2>&1 || true
    fi
    engine_stop
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- Images ----

# make_image NAME ARGUMENTS…: quiet, unless it fails.
make_image() {
    local name=$1 begun=$SECONDS
    shift
    DOCKER_BUILDKIT=0 docker build -t "$name" "$@" >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log" >&2
        missing "$name cannot be built"
    }
    printf 'image   %3d s  %s\n' $((SECONDS - begun)) "$name"
}

# official IMAGE FOLDER: the image's own name where it can be had, else that of one made in its place.
official() {
    local own=$project/$2
    if docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull -q "$1" >/dev/null 2>&1; then
        own=$1
    else
        make_image "$own" --build-arg "BASE=${base[trixie]}" "tests/docker/$2" >&2
    fi
    echo "$own"
}

# make_release RELEASE PROGRAMS ARGUMENTS…: its base, Weir, and test programs.
make_release() {
    local release=$1 programs=${2:-programs KINDS=integration} of_base
    shift $(($# < 2 ? $# : 2))
    base[$release]=$(tests/docker/base.sh "$release") || missing "there is no base of $release"
    of_base=(--build-arg "BASE=${base[$release]}" "$@" -f docker/Dockerfile)
    make_image "$project/build:$release" "${of_base[@]}" --target build .
    make_image "$project/weir:$release" "${of_base[@]}" .
    make_image "$project/tests:$release" --build-arg "BUILD=$project/build:$release" \
        --build-arg "PROGRAMS=$programs" tests/docker/programs
}

make_images() {
    # What the machine's own tests have not tried is tried in full: the newer libraries.
    make_release trixie
    make_release bookworm "$asking" --build-arg TESTS=
    export DEBIAN_IMAGE=${base[trixie]}
    make_image "$PROXY_IMAGE" --build-arg "BASE=$DEBIAN_IMAGE" docker/proxy
    POSTGRES_IMAGE=$(official postgres:17 postgres)
    PROMETHEUS_IMAGE=$(official prom/prometheus:v2.53.1 prometheus)
    export POSTGRES_IMAGE PROMETHEUS_IMAGE
}

# ---- What is tested ----

engine_start
make_images

try the_image_adds_little_to_its_base
try the_image_says_what_it_is_and_how_to_stop_it
try libpq_17_cancels_without_blocking_a_thread
try without_a_database_it_waits_and_ends_when_told
try what_is_wrong_is_said_in_one_line

try it_comes_up
try it_answers_through_its_port
try nothing_listens_beyond_loopback
try it_runs_without_rights_on_a_root_it_cannot_write
try what_is_for_operators_is_not_where_the_shop_is
try the_manifest_names_what_is_there
try the_rules_are_right
try prometheus_sees_it
try every_expression_of_the_dashboard_has_data
try every_metric_of_the_rules_is_there
try secrets_are_read_from_files
try queries_are_read_again_on_a_hangup
try it_drains_when_it_is_stopped
try a_database_that_is_killed_is_found_again
try an_alert_tells_of_a_database_that_is_away_and_of_its_return
try both_releases_pass_the_tests_on_the_database_in_the_container
try the_older_release_serves_the_same
try nothing_is_left_of_it

try two_come_up_behind_a_proxy
try what_asks_for_the_replica_is_asked_of_it
try prometheus_sees_both
try restarting_one_after_the_other_loses_no_request
try without_the_replica_the_primary_answers_for_it
try nothing_is_left_of_them

try all_tests_pass_with_libpq_17
try cancels_come_through_chaos_with_libpq_17

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
