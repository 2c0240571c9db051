# engine.sh: the Docker engine: the one that runs here, or one of our own for as long as we run; to
# be sourced. Needs $work, a folder of the run's own, and $build.

engine= # the process of ours

missing() {
    printf 'test-docker: %s\n' "$@" >&2
    echo '0 passed, 1 failed'
    exit 1
}

# What a daemon changes of the machine's network, and does not put back when it ends.
network_save() {
    iptables-save >"$work/iptables"
    forwards=$(cat /proc/sys/net/ipv4/ip_forward)
    bridged=$(ip link show docker0 2>/dev/null || true)
}

network_restore() {
    # A table that was not there is not in what was saved.
    printf '%s\n' '*nat' ':PREROUTING ACCEPT' ':INPUT ACCEPT' ':OUTPUT ACCEPT' ':POSTROUTING ACCEPT' COMMIT \
        '*filter' ':INPUT ACCEPT' ':FORWARD ACCEPT' ':OUTPUT ACCEPT' COMMIT | iptables-restore
    iptables-restore <"$work/iptables"
    echo "$forwards" >/proc/sys/net/ipv4/ip_forward
    [ -n "$bridged" ] || ip link delete docker0
}

# A daemon with its own socket; what it stores stays in the build folder for the next run.
engine_start() {
    ! docker info >/dev/null 2>&1 || return 0
    [ "$(id -u)" = 0 ] || missing 'no Docker engine answers (docker info), and only root can start one'
    command -v dockerd >/dev/null || missing 'there is no dockerd: install docker.io'
    mkdir -p "$build/docker"
    network_save
    export DOCKER_HOST=unix://$work/docker.sock
    dockerd --host "$DOCKER_HOST" --data-root "$build/docker" --exec-root "$work/exec" \
        --pidfile "$work/dockerd.pid" >"$work/dockerd.log" 2>&1 &
    engine=$!
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        ! docker info >/dev/null 2>&1 || return 0
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    missing 'dockerd does not start here; the end of its log:' "$(tail -n 15 "$work/dockerd.log")"
}

engine_stop() {
    [ -n "$engine" ] || return 0
    kill -TERM "$engine" 2>/dev/null && wait "$engine" || true
    network_restore || true
    engine=
}

# Compose is a plugin of docker or, in its first version, a program.
compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}
