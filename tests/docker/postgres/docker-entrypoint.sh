#!/bin/bash
# Makes a database on first start as the official image does, then becomes the server.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    install -d -o postgres -g postgres -m 775 /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

# value NAME: of the variable, or of the file that NAME_FILE names.
value() {
    local file=${1}_FILE
    if [ -n "${!file:-}" ]; then cat "${!file}"; else echo "${!1:-}"; fi
}

user=$(value POSTGRES_USER) password=$(value POSTGRES_PASSWORD) name=$(value POSTGRES_DB)
user=${user:-postgres} name=${name:-${user}}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -n "$password" ] || { echo 'POSTGRES_PASSWORD is not set' >&2; exit 1; }
    initdb -U "$user" --pwfile=<(printf '%s\n' "$password") --auth-host=scram-sha-256 \
        --auth-local=trust --no-instructions
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
    # Not over TCP before all is in place.
    pg_ctl -w -o "-c listen_addresses=''" start
    export POSTGRES_USER=$user POSTGRES_DB=$name
    sql=(psql -v ON_ERROR_STOP=1 -q -U "$user" --no-psqlrc)
    [ "$name" = postgres ] || "${sql[@]}" -d postgres -c "create database \"$name\""
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sql) "${sql[@]}" -d "$name" -f "$file" ;;
        *.sql.gz) gunzip -c "$file" | "${sql[@]}" -d "$name" ;;
        *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        esac
    done
    pg_ctl -w -m fast stop
fi
exec "$@"
