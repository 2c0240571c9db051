/* fuzz_config.c: any text as a configuration file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../service/config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_trimmed(const char *text)
{
    size_t length = strlen(text);
    return length == 0 || (!strchr(" \t\r", text[0]) && !strchr(" \t\r", text[length - 1]));
}

/* Lines come in their order, and hold nothing that is not theirs. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *whole = malloc(size + 1), *text = whole, why[128];
    uint32_t number = 0, before = 0, ends = 0;
    config_line line;
    int more;
    if (!whole)
        return 0;
    memcpy(whole, data, size);
    whole[size] = '\0';
    for (const char *at = whole; *at; at++)
        ends += *at == '\n';
    while ((more = config_file_line(&text, &number, &line, why, sizeof why)) != 0) {
        if (line.number <= before || line.number > ends + 1 || text > whole + size)
            abort();
        before = line.number;
        if (more < 0)
            continue;
        if (!*line.name || line.name[strcspn(line.name, "=# \t\r\n")] || !is_trimmed(line.value) ||
            strchr(line.value, '\n'))
            abort();
    }
    free(whole);
    return 0;
}
