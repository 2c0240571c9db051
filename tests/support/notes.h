/* notes.h: notes of several owners, and queries over them, for tests of who sees which rows. */
#ifndef WEIR_TESTS_NOTES_H
#define WEIR_TESTS_NOTES_H

#include "served.h"

#define NOTES_CLIENT   "client-one"
#define NOTES_OPERATOR "operators-own"
#define NOBODY         "weir_login -" /* as whom a query is answered that does not ask */

/* JWTs signed by MINT_SECRET: two owners in the role web, one who sees all, and one too late. */
extern char *alice, *bob, *auditor, *expired;

/* Set-up and teardown of a group: database, folder and tokens. */
int notes_start(void **state);
int notes_end(void **state);

/* Starts the program with --jwt-secret-file or --jwt-keys, and so many connections and lanes. */
void serve_notes(const char *keys_flag, const char *keys, const char *connections,
                 const char *lanes);

/* A member of a row, "" when it is no string. */
const char *member_of(const json_t *row, const char *name);
/* GET `path` finds one row, whose `who` is that. */
void is_answered_as(const char *path, const char *token, const char *who);

#endif
