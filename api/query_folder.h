/* query_folder.h: the .sql files of a folder. */
#ifndef WEIR_QUERY_FOLDER_H
#define WEIR_QUERY_FOLDER_H

#include "query.h"

#define QUERY_FILES_MAX    10000
#define QUERY_FILE_MAX     (1024 * 1024)
#define QUERY_NAME_MAX     200
#define QUERY_FOLDERS_DEEP 16

/* Reads and parses every .sql file below `folder`, sorted by name. Symbolic links are followed, but
 * not back into a folder we are in; names that begin with a dot are left out. WEIR_EINVAL with
 * `fault`, WEIR_ENOMEM. Blocking. */
int query_folder_read(const char *folder, query ***queries, uint32_t *count, query_fault *fault);

/* Frees what query_folder_read made; takes NULL. */
void query_folder_free(query **queries, uint32_t count);

#endif
