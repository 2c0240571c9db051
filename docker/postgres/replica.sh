#!/bin/bash
# Becomes a streaming replica of the server PRIMARY; copies it on first start. Password: PGPASSWORD.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    until pg_basebackup -h "$PRIMARY" -U replicator -D "$PGDATA" -X stream -c fast \
        --write-recovery-conf; do
        echo "replica: $PRIMARY cannot be copied yet" >&2
        find "$PGDATA" -mindepth 1 -delete
        sleep 1
    done
    chmod 700 "$PGDATA"
fi
exec postgres
