# compose.sh: tests of docker/compose.yaml as it stands; to be sourced.

shop() { compose -f docker/compose.yaml "$@"; }

# container SERVICE: also one that is stopped.
container() {
    docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1"
}
health() { of "$(container "$1")" '{{.State.Health.Status}}'; }
is_healthy() { is healthy "$(health "$1")"; }
answers() { curl -fsS --max-time 10 "http://127.0.0.1:$WEIR_PORT$1"; }
# query EXPRESSION: what Prometheus says to it, as JSON.
query() {
    curl -fsS --max-time 10 --data-urlencode "query=$1" "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query"
}
# value EXPRESSION: of its first series.
value() { query "$1" | jq -r '.data.result[0].value[1]'; }
says() { is "$2" "$(value "$1")"; }
fires() {
    curl -fsS "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/alerts" |
        jq -e --arg name "$1" '.data.alerts[] | select(.labels.alertname == $name and .state == "firing")'
}
is_quiet() { ! fires "$1"; }

it_comes_up() {
    shop up -d --no-build
    becomes 60 is_healthy postgres
    becomes 60 is_healthy weir
}

it_answers_through_its_port() {
    is 'Bright Paddle' "$(answers /products/7 | jq -r .row.name)"
    is 5 "$(answers '/products?limit=5' | jq .count)"
    has "$(curl -s "http://127.0.0.1:$WEIR_PORT/slow")" '"query_timed_out"'
    has "$(shop exec -T postgres psql --version)" 'PostgreSQL'
}

nothing_listens_beyond_loopback() {
    local name
    for name in postgres weir prometheus; do
        of "$(container $name)" '{{range .NetworkSettings.Ports}}{{range .}}{{println .HostIp}}{{end}}{{end}}'
    done | sed '/^$/d' | sort -u | diff - <(echo 127.0.0.1)
}

it_runs_without_rights_on_a_root_it_cannot_write() {
    local id status
    id=$(container weir)
    status=$(docker exec "$id" cat /proc/1/status)
    has "$status" '^Uid:\s10001\s10001'
    has "$status" '^CapEff:\s0+$'
    has "$status" '^CapBnd:\s0+$'
    has "$status" '^NoNewPrivs:\s1$'
    fails docker exec "$id" touch /tmp/x
    fails docker exec "$id" touch /x
    is 'weir serve' "$(docker exec "$id" cat /proc/1/cmdline | tr '\0' ' ' | sed 's/ $//')"
}

what_is_for_operators_is_not_where_the_shop_is() {
    is 404 "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$WEIR_PORT/metrics")"
    has "$(curl -fsS "http://127.0.0.1:$WEIR_ADMIN_PORT/metrics")" '^weir_build_info'
}

the_manifest_names_what_is_there() {
    local port path
    docker run --rm "$project/weir:trixie" serve --help >"$work/help"
    tests/docker/kubernetes.py docker/kubernetes.yaml "$work/help" >"$work/probes"
    while read -r _ port path; do
        is 8081 "$port"
        curl -fsS -o /dev/null "http://127.0.0.1:$WEIR_ADMIN_PORT$path"
    done <"$work/probes"
}

# promtool: on the configuration as it is mounted.
promtool() {
    docker run --rm --label "$project" --entrypoint promtool \
        -v "$PWD/docker/prometheus:/etc/prometheus:ro" -v "$PWD/tests/docker/alerts.yml:/alerts.yml:ro" \
        "$PROMETHEUS_IMAGE" "$@"
}

the_rules_are_right() {
    promtool check config /etc/prometheus/prometheus.yml
    promtool test rules /alerts.yml
}

prometheus_sees_it() {
    becomes 30 says 'up{job="weir"}' 1
    becomes 30 says 'weir_pool_reachable{pool="default"}' 1
    becomes 30 says 'db_client_connection_max' 10
}

every_expression_of_the_dashboard_has_data() {
    local expression count=0
    load_begin "http://127.0.0.1:$WEIR_PORT"
    becomes 60 has_data 'rate(http_server_request_duration_seconds_count{route="/products"}[1m]) > 0'
    while read -r expression; do
        expression=${expression//\$__rate_interval/1m}
        expression=${expression//\$instance/.*}
        becomes 20 has_data "${expression//\$pool/.*}"
        count=$((count + 1))
    done < <(jq -r '.. | .expr? // empty' docker/grafana/weir.json)
    load_end
    [ "$count" -gt 30 ]
}
# A rule over a metric that has another name by now would be silent for ever.
every_metric_of_the_rules_is_there() {
    local metric
    for metric in $(grep -oE '\b(weir|db_client|http_server)_[a-z_]+' docker/prometheus/alerts.yml |
        sort -u); do
        becomes 20 has_data "$metric"
    done
}
has_data() { query "$1" | jq -e '.status == "success" and (.data.result | length) > 0'; }

it_drains_when_it_is_stopped() {
    local i began asked=()
    for i in 1 2 3 4 5 6; do
        curl -s -o /dev/null --max-time 20 -w '%{http_code}\n' -H "Authorization: Bearer $WEIR_TOKEN" \
            -H 'Content-Type: application/json' -d '{"sql": "select pg_sleep(4)", "timeout": "15s"}' \
            "http://127.0.0.1:$WEIR_ADMIN_PORT/sql" >"$work/asked.$i" &
        asked+=($!)
    done
    becomes 10 says_pool in_use 6
    began=$SECONDS
    shop stop weir
    [ $((SECONDS - began)) -lt 15 ]
    wait "${asked[@]}"
    is "$(printf '200\n%.0s' 1 2 3 4 5 6)" "$(cat "$work"/asked.*)"
    is 0 "$(of "$(container weir)" '{{.State.ExitCode}}')"
    shop start weir
    becomes 30 is_healthy weir
}
says_pool() { is "$2" "$(curl -fsS "http://127.0.0.1:$WEIR_ADMIN_PORT/pool" | jq ".$1")"; }

a_database_that_is_killed_is_found_again() {
    load_begin "http://127.0.0.1:$WEIR_PORT"
    becomes 20 asked_more 50
    docker kill "$(container postgres)"
    becomes 20 is_503 /products/7
    docker start "$(container postgres)"
    becomes 30 answers /products/7
    becomes 30 is_healthy weir
    fails load_end 2>"$work/outage"
    # Nothing but refusals that say so, and as many connections as before.
    cat "$work/outage"
    fails grep -vE '^ +[0-9]+ 503 0$' "$work/outage"
    load_begin "http://127.0.0.1:$WEIR_PORT"
    becomes 20 asked_more 50
    load_end
}
asked_more() { [ "$(load_count)" -ge "$1" ]; }
is_503() { is 503 "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$WEIR_PORT$1")"; }

an_alert_tells_of_a_database_that_is_away_and_of_its_return() {
    becomes 120 is_quiet WeirDatabaseDown
    shop stop postgres
    becomes 30 says 'weir_pool_reachable{pool="default"}' 0
    becomes 90 fires WeirDatabaseDown
    shop start postgres
    becomes 60 is_quiet WeirDatabaseDown
    becomes 30 is_healthy weir
}

# A password in a variable can be seen by whoever may inspect the container.
secrets_are_read_from_files() {
    local id
    mkdir "$work/secrets"
    echo "postgresql://weir:${POSTGRES_PASSWORD:-weir}@postgres/shop" >"$work/secrets/database"
    echo 'open-the-gate' >"$work/secrets/token"
    id=$(docker run -d --label "$project" --read-only --network "${COMPOSE_PROJECT_NAME}_default" \
        -v "$PWD/service/demo/queries:/queries:ro" -v "$work/secrets:/run/secrets:ro" \
        -e WEIR_DATABASE_FILE=/run/secrets/database -e WEIR_TOKEN_FILE=/run/secrets/token \
        "$project/weir:trixie")
    becomes 20 docker exec "$id" weir health
    fails grep open-the-gate <<<"$(docker logs "$id" 2>&1)"
    docker rm -f "$id"
}

queries_are_read_again_on_a_hangup() {
    docker kill -s HUP "$(container weir)"
    becomes 10 has_event "$(container weir)" service.reloaded
}

both_releases_pass_the_tests_on_the_database_in_the_container() {
    local release
    for release in $releases; do
        docker run --rm --label "$project" --network "${COMPOSE_PROJECT_NAME}_default" \
            -e "WEIR_TEST_SERVER=host=postgres user=weir password=weir dbname=postgres" \
            "$project/tests:$release" tests/support/run-tests.sh $asking
    done
}

the_older_release_serves_the_same() {
    WEIR_IMAGE=$project/weir:bookworm shop up -d --no-build weir
    becomes 30 is_healthy weir
    is 'Bright Paddle' "$(answers /products/7 | jq -r .row.name)"
}

nothing_is_left_of_it() {
    shop down -v
    local kind
    for kind in 'ps -a' 'volume ls' 'network ls'; do
        is '' "$(docker $kind -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")"
    done
}
