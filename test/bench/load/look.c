// Phases that change nothing: stat, open, read, readdir, and names that are not there.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

static void stat_all(char **names, const struct plan *plan) {
    struct stat found;
    for (unsigned i = 0; i < plan->count; i++)
        if (lstat(names[i], &found) != 0) fail("stat", names[i]);
}

// Looks at every file once before the clock unless names are to be forgotten.
static char **prepared_names(const struct plan *plan) {
    char **names = names_of(plan, "");
    if (plan->forget == NULL) stat_all(names, plan);
    return names;
}

static uint64_t stat_phase(const struct plan *plan) {
    char **names = prepared_names(plan);
    start_clock(plan);
    for (unsigned loop = 0; loop < plan->loops; loop++) stat_all(names, plan);
    stop_clock();
    return (uint64_t)plan->count * plan->loops;
}

static void open_one(const char *name, char *buffer, unsigned size) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("open", name);
    if (size > 0 && read(fd, buffer, size) != (ssize_t)size) fail("read", name);
    close(fd);
}

static uint64_t open_all(const struct plan *plan, unsigned size) {
    char **names = prepared_names(plan), *buffer = malloc(size + 1);
    if (buffer == NULL) fail("allocate", "buffer");
    start_clock(plan);
    for (unsigned loop = 0; loop < plan->loops; loop++)
        for (unsigned i = 0; i < plan->count; i++) open_one(names[i], buffer, size);
    stop_clock();
    return (uint64_t)plan->count * plan->loops;
}

static uint64_t open_phase(const struct plan *plan) { return open_all(plan, 0); }
static uint64_t read_phase(const struct plan *plan) { return open_all(plan, plan->size); }

// One file over and over: the cost of a hot file.
static uint64_t open_same_phase(const struct plan *plan) {
    char **names = prepared_names(plan), byte[1];
    start_clock(plan);
    for (unsigned i = 0; i < plan->count * plan->loops; i++) open_one(names[0], byte, 0);
    stop_clock();
    return (uint64_t)plan->count * plan->loops;
}

static uint64_t list_one(const char *name, int with_stat) {
    DIR *directory = opendir(name);
    if (directory == NULL) fail("opendir", name);
    uint64_t entries = 0;
    struct stat found;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL; entries++)
        if (with_stat && fstatat(dirfd(directory), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0) fail("stat", entry->d_name);
    closedir(directory);
    return entries;
}

static uint64_t list_all(const struct plan *plan, int with_stat) {
    char name[96];
    uint64_t entries = 0;
    for (unsigned i = 0; i < directories_of(plan); i++) {
        directory_name(name, plan->first + i * plan->per_dir, plan);
        entries += list_one(name, with_stat);
    }
    return entries;
}

static uint64_t readdir_phase(const struct plan *plan) {
    uint64_t entries = 0;
    if (plan->forget == NULL) list_all(plan, 0);
    start_clock(plan);
    for (unsigned loop = 0; loop < plan->loops; loop++) entries += list_all(plan, 0);
    stop_clock();
    return entries;
}

// As `ls -l`, `find -size` or `git status` walk: each name read is then looked at.
static uint64_t walk_phase(const struct plan *plan) {
    start_clock(plan);
    uint64_t entries = 0;
    for (unsigned loop = 0; loop < plan->loops; loop++) entries += list_all(plan, 1);
    stop_clock();
    return entries;
}

static void miss_all(char **names, const struct plan *plan) {
    struct stat found;
    for (unsigned i = 0; i < plan->count; i++)
        if (lstat(names[i], &found) == 0 || errno != ENOENT) fail("stat of a name that should be missing", names[i]);
}

// With a tag that is new, the names were never asked for; with loops, all but the first pass are known to be missing.
static uint64_t missing_phase(const struct plan *plan) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "no-%s-", plan->tag);
    char **names = names_of(plan, prefix);
    stat_all(names_of(plan, ""), plan);
    if (plan->loops > 1) miss_all(names, plan);
    start_clock(plan);
    for (unsigned loop = 0; loop < plan->loops; loop++) miss_all(names, plan);
    stop_clock();
    return (uint64_t)plan->count * plan->loops;
}

phase_fn look_phase(const char *name) {
    static const struct {
        const char *name;
        phase_fn run;
    } phases[] = {
        {"stat", stat_phase},       {"open", open_phase}, {"read", read_phase},       {"open-same", open_same_phase},
        {"readdir", readdir_phase}, {"walk", walk_phase}, {"missing", missing_phase},
    };
    for (unsigned i = 0; i < sizeof phases / sizeof *phases; i++)
        if (strcmp(phases[i].name, name) == 0) return phases[i].run;
    return NULL;
}
