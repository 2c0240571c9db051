/* fresh.c: the program served over a folder of queries that each test fills anew. */
#include "fresh.h"

#include <stdio.h>
#include <string.h>

int fresh_start(void **state)
{
    database = postgres_start(NULL);
    return 0;
}

int fresh_end(void **state)
{
    postgres_stop(database);
    return 0;
}

int fresh_folder(void **state)
{
    folder = scratch_folder();
    return 0;
}

/* Every line that a service in JSON mode wrote must be one JSON object. */
static bool all_json(const char *output)
{
    for (const char *line = output, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        bool good = json_is_object(json) && json_is_string(json_object_get(json, "ts")) &&
                    json_is_string(json_object_get(json, "level")) &&
                    json_is_string(json_object_get(json, "msg"));
        json_decref(json);
        if (!good) {
            fprintf(stderr, "not a log line, and what follows it:\n%.6000s\n", line);
            return false;
        }
    }
    return true;
}

int fresh_over(void **state)
{
    bool started = weir && strstr(weir_output(weir), "service.started");
    bool good = !started || all_json(weir_output(weir));
    stop_stopped(state);
    scratch_remove(folder);
    return good ? 0 : -1;
}
