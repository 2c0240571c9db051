/* scratch.h: a folder for the files that a test makes. */
#ifndef WEIR_TESTS_SCRATCH_H
#define WEIR_TESTS_SCRATCH_H

/* Makes an empty folder below TMPDIR (/tmp without one) and returns its absolute path; for
 * scratch_remove. Below the test run's own TMPDIR it goes with the run even when the program is
 * killed. Ends the program when it cannot be made. */
char *scratch_folder(void);

/* Removes the folder with all that is in it, and frees the path; takes NULL. */
void scratch_remove(char *folder);

#endif
