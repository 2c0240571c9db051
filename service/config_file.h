/* config_file.h: a configuration file: lines of NAME = VALUE. */
#ifndef WEIR_CONFIG_FILE_H
#define WEIR_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line that says something. The strings point into the text. */
typedef struct config_line {
    char *name, *value;
    uint32_t number; /* from 1 */
} config_line;

/* Takes the next line that says something off `*text`, which is cut up by that, and `*number`, the
 * line before it. 1; 0 at the end; -1 with why for a line of another form, its number in
 * line->number. What is wrong is told without what may be secret. */
int config_file_line(char **text, uint32_t *number, config_line *line, char *why, size_t why_size);

#endif
