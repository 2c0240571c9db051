/* exits.h: what the program's exit code says; the numbers are those of sysexits.h. */
#ifndef WEIR_EXITS_H
#define WEIR_EXITS_H

enum {
    EXIT_FINE = 0,
    EXIT_NOT_READY = 1,    /* weir health: no, as container engines want it said */
    EXIT_USAGE = 64,       /* a flag, a variable or a command is wrong */
    EXIT_QUERIES = 65,     /* a .sql file is wrong */
    EXIT_UNAVAILABLE = 69, /* no database, or the port is taken */
    EXIT_INTERNAL = 70,
    EXIT_SYSTEM = 71, /* out of memory, threads or descriptors */
    EXIT_INTERRUPTED = 130,
};

#endif
