# scale.sh: tests of docker/compose.scale.yaml over compose.yaml; to be sourced.

scaled() { compose -f docker/compose.yaml -f docker/compose.scale.yaml "$@"; }
through_proxy() { curl -fsS --max-time 10 "http://127.0.0.1:$PROXY_PORT$1"; }

two_come_up_behind_a_proxy() {
    scaled up -d --no-build
    becomes 60 is_healthy weir
    becomes 60 is_healthy weir-b
    becomes 20 through_proxy /products/7
}

what_asks_for_the_replica_is_asked_of_it() {
    is true "$(through_proxy /where | jq .row.standby)"
    is default "$(through_proxy /products/7 | jq -r .pool.name)"
    is replica "$(through_proxy /customers/best | jq -r .pool.name)"
    # What is written can be read there.
    is true "$(scaled exec -T replica psql -XAt -U weir -d shop -c 'select pg_is_in_recovery()' |
        sed 's/^t$/true/')"
}

prometheus_sees_both() {
    becomes 30 says 'count(up{job="weir"} == 1)' 2
}

restarting_one_after_the_other_loses_no_request() {
    local one
    load_begin "http://127.0.0.1:$PROXY_PORT"
    for one in weir weir-b weir weir-b; do
        becomes 20 asked_more $(($(load_count) + 100))
        docker restart -t 20 "$(container $one)"
        becomes 30 is_healthy $one
        becomes 10 is_up "$one"
    done
    load_end
}
# The proxy has it in use again.
is_up() {
    local name=${1#weir}
    name=${name#-}
    scaled logs proxy 2>&1 | grep "Server weir/${name:-a} is " | tail -n 1 | grep 'is UP'
}

without_the_replica_the_primary_answers_for_it() {
    scaled stop replica
    becomes 30 answers_from_primary
    scaled start replica
}
answers_from_primary() { is false "$(through_proxy /where | jq .row.standby)"; }

nothing_is_left_of_them() {
    scaled down -v
    local kind
    for kind in 'ps -a' 'volume ls' 'network ls'; do
        is '' "$(docker $kind -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")"
    done
}
