# image.sh: tests of the images by themselves; to be sourced.

# of IMAGE TEMPLATE: something that docker inspect knows.
of() { docker inspect --format "$2" "$1"; }

the_image_adds_little_to_its_base() {
    local release added
    for release in $releases; do
        added=$((($(of "$project/weir:$release" '{{.Size}}') - $(of "${base[$release]}" '{{.Size}}')) / 1000))
        echo "$release: $added kB"
        [ "$added" -le 25000 ]
    done
    fails docker run --rm --entrypoint sh "$project/weir:trixie" -c \
        'command -v curl || command -v gcc || command -v make || command -v psql || ls /usr/include/libpq-fe.h'
}

the_image_says_what_it_is_and_how_to_stop_it() {
    local image=$project/weir:trixie
    is weir "$(of "$image" '{{index .Config.Labels "org.opencontainers.image.title"}}')"
    is MIT "$(of "$image" '{{index .Config.Labels "org.opencontainers.image.licenses"}}')"
    is "$(docker run --rm "$image" version)" \
        "weir $(of "$image" '{{index .Config.Labels "org.opencontainers.image.version"}}')"
    is 10001:10001 "$(of "$image" '{{.Config.User}}')"
    is SIGTERM "$(of "$image" '{{.Config.StopSignal}}')"
    is '[CMD weir health]' "$(of "$image" '{{.Config.Healthcheck.Test}}')"
}

# calls RELEASE FUNCTION: whether that release's program has it from its libpq.
calls() {
    docker run --rm "$project/tests:$1" nm -D --undefined-only build/weir | grep -w "U $2"
}

libpq_17_cancels_without_blocking_a_thread() {
    calls trixie PQcancelStart
    calls trixie PQsendPipelineSync
    calls trixie PQsetChunkedRowsMode
    fails calls trixie PQcancel
    calls bookworm PQcancel
    fails calls bookworm PQcancelStart
}

without_a_database_it_waits_and_ends_when_told() {
    local container began
    container=$(docker run -d --label "$project" --read-only --cap-drop ALL \
        -v "$PWD/service/demo/queries:/queries:ro" -e PGHOST=127.0.0.1 "$project/weir:trixie")
    becomes 20 has_event "$container" service.started
    has "$(docker exec "$container" weir health 2>&1 || true)" 'not ready'
    is unhealthy "$(becomes 60 is_unhealthy "$container" && echo unhealthy)"
    began=$SECONDS
    docker stop -t 20 "$container" >/dev/null
    [ $((SECONDS - began)) -lt 10 ]
    is 0 "$(of "$container" '{{.State.ExitCode}}')"
    docker rm "$container"
}
has_event() { docker logs "$1" 2>&1 | grep "\"event\":\"$2\""; }
is_unhealthy() { is unhealthy "$(of "$1" '{{.State.Health.Status}}')"; }

what_is_wrong_is_said_in_one_line() {
    local said
    said=$(fails docker run --rm "$project/weir:trixie" 2>&1)
    has "$said" '^weir: .*/queries'
    said=$(fails docker run --rm -e WEIR_POOL_MAX=many "$project/weir:trixie" 2>&1)
    has "$said" '^weir: WEIR_POOL_MAX: "many" is not'
}

all_tests_pass_with_libpq_17() {
    docker run --rm --label "$project" "$project/tests:trixie" \
        make check KINDS=integration BUILD=build
}

cancels_come_through_chaos_with_libpq_17() {
    docker run --rm --label "$project" "$project/tests:trixie" make chaos CHAOS_SECONDS=20
}
