#!/bin/bash
# Lets a replica stream from this server; run once, when its database is made.
set -euo pipefail

psql -v ON_ERROR_STOP=1 -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v password="$REPLICATION_PASSWORD" <<'SQL'
create role replicator login replication password :'password';
-- For a replica that was away for a while.
alter system set wal_keep_size = '256MB';
SQL
echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
