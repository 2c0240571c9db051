/* postgres_sql.c: SQL run on a test's server, each on a connection of its own. */
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "postgres_parts.h"

static PGresult *query(const postgres_server *s, const char *sql, PGconn **connection)
{
    *connection = PQconnectdb(s->conninfo);
    if (PQstatus(*connection) != CONNECTION_OK)
        postgres_die("%s", PQerrorMessage(*connection));
    PGresult *result = PQexec(*connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        postgres_die("%s\n%s", sql, PQresultErrorMessage(result));
    return result;
}

void postgres_sql(postgres_server *s, const char *sql)
{
    PGconn *connection;
    PQclear(query(s, sql, &connection));
    PQfinish(connection);
}

long postgres_number(postgres_server *s, const char *sql)
{
    PGconn *connection;
    PGresult *result = query(s, sql, &connection);
    if (PQntuples(result) < 1)
        postgres_die("%s\nno row", sql);
    long number = atol(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
    return number;
}

void postgres_await_true(postgres_server *s, const char *sql)
{
    uint64_t deadline = postgres_now_ms() + START_SECONDS * 1000;
    PGconn *connection = PQconnectdb(s->conninfo);
    for (bool met = false; !met; postgres_pause_ms(5)) {
        PGresult *result = PQexec(connection, sql);
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) < 1)
            postgres_die("%s\n%s", sql, PQerrorMessage(connection));
        const char *said = PQgetvalue(result, 0, 0);
        met = said[0] == 't' || atol(said) != 0;
        PQclear(result);
        if (!met && postgres_now_ms() > deadline)
            postgres_die("%s\nnot met within %d s", sql, START_SECONDS);
    }
    PQfinish(connection);
}

void postgres_promote(postgres_server *s)
{
    postgres_sql(s, "select pg_promote(false)");
    postgres_await_true(s, "select not pg_is_in_recovery()");
}

void postgres_catch_up(postgres_server *standby, postgres_server *primary)
{
    char sql[160];
    PGconn *connection;
    PGresult *result = query(primary, "select pg_current_wal_lsn()", &connection);
    snprintf(sql, sizeof sql, "select coalesce(pg_last_wal_replay_lsn() >= '%s', false)",
             PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
    postgres_await_true(standby, sql);
}

#define CLIENT_BACKENDS                                                                            \
    " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() "    \
    "and datname = current_database()"

int postgres_backends(postgres_server *s)
{
    return (int)postgres_number(s, "select count(*)" CLIENT_BACKENDS);
}

int postgres_signal_backends(postgres_server *s, int signal_number)
{
    PGconn *connection;
    PGresult *result = query(s, "select pid" CLIENT_BACKENDS, &connection);
    int count = PQntuples(result);
    for (int i = 0; i < count; i++)
        kill((pid_t)atoi(PQgetvalue(result, i, 0)), signal_number);
    PQclear(result);
    PQfinish(connection);
    return count;
}
