// Phases that change the tree: create, write, rename, chmod, unlink, and the changes that need a copy-up or a whiteout.
// Their own files are made before the clock starts and removed after it stops; their changes to files that were there
// before stay, so those files are used once.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

static char *content(unsigned size) {
    char *buffer = malloc(size + 1);
    if (buffer == NULL) fail("allocate", "buffer");
    memset(buffer, 'x', size);
    return buffer;
}

static void make_file(const char *name, const char *buffer, unsigned size) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) fail("create", name);
    if (size > 0 && write(fd, buffer, size) != (ssize_t)size) fail("write", name);
    close(fd);
}

static void make_directories(const struct plan *plan) {
    char name[96];
    for (unsigned i = 0; i < directories_of(plan); i++) {
        directory_name(name, plan->first + i * plan->per_dir, plan);
        mkdir(name, 0755); // Another process of this run may have made it: creating in it says whether it is there.
    }
}

static void make_all(char **names, const struct plan *plan, unsigned size) {
    char *buffer = content(size);
    for (unsigned i = 0; i < plan->count; i++) make_file(names[i], buffer, size);
    free(buffer);
}

static void remove_all(char **names, const struct plan *plan) {
    for (unsigned i = 0; i < plan->count; i++)
        if (unlink(names[i]) != 0) fail("unlink", names[i]);
}

static char **names_with(const struct plan *plan, const char *what) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s-%s-", what, plan->tag);
    return names_of(plan, prefix);
}

static uint64_t create_sized(const struct plan *plan, unsigned size) {
    char **names = names_with(plan, "new"), *buffer = content(size);
    make_directories(plan);
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++) make_file(names[i], buffer, size);
    stop_clock();
    remove_all(names, plan);
    return plan->count;
}

static uint64_t create_phase(const struct plan *plan) { return create_sized(plan, 0); }
static uint64_t create_write_phase(const struct plan *plan) { return create_sized(plan, plan->size); }

static uint64_t mkdir_phase(const struct plan *plan) {
    char **names = names_with(plan, "dir");
    make_directories(plan);
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++)
        if (mkdir(names[i], 0755) != 0) fail("mkdir", names[i]);
    stop_clock();
    for (unsigned i = 0; i < plan->count; i++) rmdir(names[i]);
    return plan->count;
}

static uint64_t rename_phase(const struct plan *plan) {
    char **from = names_with(plan, "from"), **to = names_with(plan, "to");
    make_directories(plan);
    make_all(from, plan, 0);
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++)
        if (rename(from[i], to[i]) != 0) fail("rename", from[i]);
    stop_clock();
    remove_all(to, plan);
    return plan->count;
}

static uint64_t chmod_phase(const struct plan *plan) {
    char **names = names_with(plan, "mode");
    make_directories(plan);
    make_all(names, plan, 0);
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++)
        if (chmod(names[i], 0600) != 0) fail("chmod", names[i]);
    stop_clock();
    remove_all(names, plan);
    return plan->count;
}

static uint64_t unlink_phase(const struct plan *plan) {
    char **names = names_with(plan, "gone");
    make_directories(plan);
    make_all(names, plan, 0);
    start_clock(plan);
    remove_all(names, plan);
    stop_clock();
    return plan->count;
}

// Removes files that were there before: in an overlay, one whiteout each.
static uint64_t whiteout_phase(const struct plan *plan) {
    char **names = names_of(plan, "");
    struct stat found;
    for (unsigned i = 0; i < plan->count; i++)
        if (lstat(names[i], &found) != 0) fail("stat", names[i]);
    start_clock(plan);
    remove_all(names, plan);
    stop_clock();
    return plan->count;
}

// Opens files that were there before for writing: in an overlay, one copy-up each.
static uint64_t copy_up_phase(const struct plan *plan) {
    char **names = names_of(plan, "");
    struct stat found;
    for (unsigned i = 0; i < plan->count; i++)
        if (lstat(names[i], &found) != 0) fail("stat", names[i]);
    start_clock(plan);
    for (unsigned i = 0; i < plan->count; i++) {
        int fd = open(names[i], O_WRONLY | O_CLOEXEC);
        if (fd < 0) fail("open for writing", names[i]);
        close(fd);
    }
    stop_clock();
    return plan->count;
}

// One large file, named by the tag, opened for writing, and then removed to give its space back.
static uint64_t copy_up_large_phase(const struct plan *plan) {
    start_clock(plan);
    int fd = open(plan->tag, O_WRONLY | O_CLOEXEC);
    if (fd < 0) fail("open for writing", plan->tag);
    stop_clock();
    close(fd);
    if (unlink(plan->tag) != 0) fail("unlink", plan->tag);
    return 1;
}

phase_fn change_phase(const char *name) {
    static const struct {
        const char *name;
        phase_fn run;
    } phases[] = {
        {"create", create_phase}, {"create-write", create_write_phase}, {"mkdir", mkdir_phase},
        {"rename", rename_phase}, {"chmod", chmod_phase},               {"unlink", unlink_phase},
        {"whiteout", whiteout_phase}, {"copy-up", copy_up_phase},       {"copy-up-large", copy_up_large_phase},
    };
    for (unsigned i = 0; i < sizeof phases / sizeof *phases; i++)
        if (strcmp(phases[i].name, name) == 0) return phases[i].run;
    return NULL;
}
