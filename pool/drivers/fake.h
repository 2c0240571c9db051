/* fake.h: what the parts of the fake driver know of each other. */
#ifndef WEIR_FAKE_H
#define WEIR_FAKE_H

#include <pthread.h>

#include "driver.h"

#define FAKE_ACTS (WEIR_FAKE_CANCEL + 1)

typedef struct script script;
typedef struct session session;

struct weir_fake {
    pthread_mutex_t lock; /* lanes share the script */
    script *acts[FAKE_ACTS];
    script *answers;
    script *used; /* spent scripts: steps under way still point into them */
    session *sessions;
    int next_pid;
    weir_fake_counts counts;
    char settings[1024]; /* of the last query, as weir_fake_settings tells them */
};

/* The step that applies now, from one of the lists of scripts above; `sql` NULL: of an act. Its
 * strings are good until fake_scripts_free. From any thread. */
weir_fake_step fake_next_step(weir_fake *fake, script **scripts, const char *sql);

/* Frees all scripts, spent ones too. */
void fake_scripts_free(weir_fake *fake);

/* The step's columns and, `with_rows`, its rows; NULL: no memory. */
weir_result *fake_result_new(const weir_fake_step *step, bool with_rows);

#endif
