// Phases whose state is looked at from outside while they last: many files open or locked at once, a tree planted for others,
// and one that looks at what others make it wait for.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

// Locks every second byte of a file, as many as the plan has files; "open" on standard error says when all are, and closing the
// file when standard input ends lets them go.
static uint64_t hold_locks_phase(const struct plan *plan) {
    char byte;
    int fd = open("locked", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) fail("open", "locked");
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2 * (off_t)i, .l_len = 1};
        if (fcntl(fd, F_SETLK, &lock) != 0) fail("lock", "locked");
    }
    stop_clock();
    fputs("open\n", stderr);
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    close(fd);
    return plan->count;
}

// Looks up a new name every millisecond until standard input ends: the operations are the looks, and the time is the longest.
static uint64_t look_beside_phase(const struct plan *plan) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    uint64_t looks = 0, longest = 0;
    char name[64];
    struct stat found;
    fputs("open\n", stderr);
    for (; poll(&input, 1, 1) == 0; looks++) {
        snprintf(name, sizeof name, "absent-%s-%llu", plan->tag, (unsigned long long)looks);
        uint64_t begin = now_ns();
        if (lstat(name, &found) == 0 || errno != ENOENT) fail("look up", name);
        uint64_t took = now_ns() - begin;
        if (took > longest) longest = took;
    }
    set_clock(longest);
    return looks;
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
    if (strcmp(name, "hold-locks") == 0) return hold_locks_phase;
    if (strcmp(name, "look-beside") == 0) return look_beside_phase;
    if (strcmp(name, "plant") == 0) return plant_phase;
    return NULL;
}
