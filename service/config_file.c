/* config_file.c: a configuration file: lines of NAME = VALUE. */
#include "config_file.h"

#include <stdio.h>
#include <string.h>

#define BLANKS     " \t\r"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/* Without the blanks around it. */
static char *trim(char *text, size_t length)
{
    while (length > 0 && strchr(BLANKS, text[length - 1]))
        length--;
    text[length] = '\0';
    return text + strspn(text, BLANKS);
}

static int cut(char *text, config_line *line, char *why, size_t why_size)
{
    size_t length = strcspn(text, "=");
    bool parted = text[length] == '=';
    line->value = parted ? trim(text + length + 1, strlen(text + length + 1)) : NULL;
    line->name = trim(text, length);
    if (parted && *line->name && !line->name[strspn(line->name, NAME_CHARS)])
        return 1;
    /* It is not shown: it may be a URL, and have a password in it. */
    snprintf(why, why_size, "a line is NAME = VALUE, or a comment that begins with #");
    return -1;
}

int config_file_line(char **text, uint32_t *number, config_line *line, char *why, size_t why_size)
{
    while (**text) {
        char *at = *text;
        size_t length = strcspn(at, "\n");
        *text = at + length + (at[length] == '\n');
        line->number = ++*number;
        at = trim(at, length);
        if (*at && *at != '#')
            return cut(at, line, why, why_size);
    }
    return 0;
}
