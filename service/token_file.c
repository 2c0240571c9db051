/* token_file.c: the tokens of a flag and of a file. */
#include "token_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "small_file.h"

#define BLANKS " \t\r\n"

/* The token of the flag is the first line, so that the lines of the file follow at the second. A
 * file without any was caught while it was written, or is not the one that was meant: taken as it
 * is, it would lock out all, those who could mend it among them. */
static int take(const char *flag, const char *file, const char *lines, token_set *set,
                query_fault *fault)
{
    uint32_t line = 0;
    size_t of_flag = *lines != '\n';
    int r = tokens_set(set, lines, &line);
    if (r == 0 && file && set->count == of_flag) {
        snprintf(fault->file, sizeof fault->file, "%s", file);
        return query_fail(fault, 0, "it holds no token: write one a line, or do not name it");
    }
    if (r != WEIR_EINVAL)
        return r;
    snprintf(fault->file, sizeof fault->file, "%s", line == 1 ? flag : file);
    return query_fail(fault, line - 1, "a token is made of visible ASCII characters, no blanks");
}

/* The token of the flag, without the line end that may have come along with it. What a file may
 * have, a comment and further lines, is a mistake here: it would let in nobody, or others. */
static int trim(const char *flag, const char **token, size_t *length, query_fault *fault)
{
    const char *text = *token + strspn(*token, BLANKS);
    *length = strcspn(text, BLANKS);
    *token = text;
    if (*length > 0 && *text != '#' && !text[*length + strspn(text + *length, BLANKS)])
        return 0;
    snprintf(fault->file, sizeof fault->file, "%s", flag);
    return query_fail(fault, 0,
                      "a token is made of visible ASCII characters, no blanks, and does not "
                      "begin with #");
}

static int read_file(const char *file, char **text, size_t *length, query_fault *fault)
{
    int r = small_file_read(file, "the tokens", text, length, fault);
    if (r < 0 || !memchr(*text, '\0', *length))
        return r;
    /* The first part of a token must not be one. */
    snprintf(fault->file, sizeof fault->file, "%s", file);
    return query_fail(fault, 0, "the tokens cannot be read: it holds a NUL character");
}

int token_file_read(const char *flag, const char *token, const char *file, token_set *set,
                    query_fault *fault)
{
    size_t token_length = 0, file_length = 0;
    char *text = NULL, *lines = NULL;
    int r = token ? trim(flag, &token, &token_length, fault) : 0;
    if (r == 0 && file)
        r = read_file(file, &text, &file_length, fault);
    if (r == 0 &&
        asprintf(&lines, "%.*s\n%s", (int)token_length, token ? token : "", text ? text : "") < 0) {
        lines = NULL;
        r = WEIR_ENOMEM;
    }
    if (r == 0)
        r = take(flag, file, lines, set, fault);
    small_file_forget(text, file_length);
    small_file_forget(lines, lines ? strlen(lines) : 0);
    return r;
}
