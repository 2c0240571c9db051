/* secret_files.h: files of tokens and keys, in a folder of the test program's own. */
#ifndef WEIR_TESTS_SECRET_FILES_H
#define WEIR_TESTS_SECRET_FILES_H

void secret_files_open(void);
void secret_files_close(void);

/* Where the file of this name is; good for the next seven calls. */
const char *secret_path(const char *name);
/* Writes it anew. */
void secret_file(const char *name, const char *text);

#endif
