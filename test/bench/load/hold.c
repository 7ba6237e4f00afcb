// Phases whose state is looked at from outside while they last: many files open at once, a tree planted for others.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

// Opens every file and keeps it open until standard input ends; "open" on standard error says when all are.
static uint64_t hold_open_phase(const struct plan *plan) {
    struct rlimit limit = {plan->count + 64, plan->count + 64};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("raise", "the limit of open files");
    char **names = names_of(plan, ""), byte;
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++)
        if (open(names[i], O_RDONLY | O_CLOEXEC) < 0) fail("open", names[i]);
    stop_clock();
    fputs("open\n", stderr);
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    return plan->count;
}

// Plants the tree: directories, and files of SIZE bytes in them. Not a measurement.
static uint64_t plant_phase(const struct plan *plan) {
    char **names = names_of(plan, ""), name[96], *buffer = malloc(plan->size + 1);
    if (buffer == NULL) fail("allocate", "buffer");
    memset(buffer, 'x', plan->size);
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++) {
        if (i % plan->per_dir == 0) {
            directory_name(name, plan->first + i, plan);
            if (mkdir(name, 0755) != 0 && errno != EEXIST) fail("mkdir", name);
        }
        int fd = open(names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0) fail("create", names[i]);
        if (write(fd, buffer, plan->size) != (ssize_t)plan->size) fail("write", names[i]);
        close(fd);
    }
    stop_clock();
    return plan->count;
}

phase_fn hold_phase(const char *name) {
    if (strcmp(name, "hold-open") == 0) return hold_open_phase;
    if (strcmp(name, "plant") == 0) return plant_phase;
    return NULL;
}
