/* nearest.c: which known word somebody probably meant. */
#include "nearest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t differ(char a, char b)
{
    return tolower((unsigned char)a) != tolower((unsigned char)b);
}

/* Edits that make one word of the other: insert, delete, replace, swap of two neighbours. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] =
                least(least(above[j], row[j - 1]) + 1, above[j - 1] + differ(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && !differ(a[i - 1], b[j - 2]) && !differ(a[i - 2], b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_length];
}

void nearest_offer(nearest *n, const char *candidate)
{
    size_t given = strlen(n->word), length = strlen(candidate);
    if (given > WORD_MAX || length > WORD_MAX || given == 0)
        return;
    size_t d = distance(n->word, given, candidate, length);
    if (d > 1 + least(given, length) / 3 || d >= length)
        return;
    if (!n->best || d < n->distance) {
        n->best = candidate;
        n->distance = d;
    }
}
