/* sql_words.h: what a statement begins with. */
#ifndef WEIR_SQL_WORDS_H
#define WEIR_SQL_WORDS_H

#include <stdbool.h>

/* Its first word is one of these, in lower case, the last NULL. Comments, semicolons and opening
 * parentheses ahead of it do not count. Any thread. */
bool sql_begins_with(const char *sql, const char *const *words);

/* CALL or DO: what they run may commit on its way, unless a transaction was begun before. */
bool sql_may_commit(const char *sql);

#endif
