// Two processes of one user race, in a directory that nobody else touches: one moves, links or creates something below a
// directory while the other renames that directory from a governed name to a free one, or the other way round.
#define _GNU_SOURCE
#include "name-hunter.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LONGEST_PAUSE_US = 15000 };

// A file under a rule, the name of its directory that the rule names, and one that no rule names.
static const struct {
    const char *governed, *free, *file;
} kinds[] = {{".git", "plain", "config"}, {"private", "open", "f"}, {"slow", "fast", "f"}, {"logs", "away", "f"}, {"asked", "told", "f"}};

static int exists(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0;
}

static void pause_a_little(void) {
    if (draw(4) != 0) usleep(draw(LONGEST_PAUSE_US));
}

// The directory that will receive a file of one kind is renamed. No planted file ever has its free name.
static void move_in(const char *ground) {
    unsigned kind = draw(sizeof kinds / sizeof *kinds), here = draw(2);
    char from[PATH_BYTES], to[PATH_BYTES], governed[PATH_BYTES], freed[PATH_BYTES], found[PATH_BYTES], mark[PLANTED_BYTES];
    snprintf(from, sizeof from, "%s/%u/%s/%s", ground, here, kinds[kind].governed, kinds[kind].file);
    if (!exists(from)) {
        here = 1 - here;
        snprintf(from, sizeof from, "%s/%u/%s/%s", ground, here, kinds[kind].governed, kinds[kind].file);
    }
    snprintf(governed, sizeof governed, "%s/%u/%s", ground, 1 - here, kinds[kind].governed);
    snprintf(freed, sizeof freed, "%s/%u/%s", ground, 1 - here, kinds[kind].free);
    snprintf(to, sizeof to, "%.200s/%s", governed, kinds[kind].file);
    snprintf(found, sizeof found, "%.200s/%s", freed, kinds[kind].file);
    unsigned way = draw(4);
    pid_t mover = fork();
    if (mover == 0) {
        if (way == 0) linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
        else renameat2(AT_FDCWD, from, AT_FDCWD, to, way == 1 ? RENAME_NOREPLACE : 0);
        _exit(0);
    }
    pause_a_little();
    rename(governed, freed);
    waitpid(mover, NULL, 0);
    if (getxattr(found, MARK, mark, sizeof mark) >= 0) {
        violation("%s: a file of %s came to a name that is not", found, kinds[kind].governed);
        scan(open(found, O_RDONLY | O_CLOEXEC), found);
    }
    rename(freed, governed);
    if (way == 0 && exists(to)) unlink(from);
}

static void make_one(const char *path, const char *bait) {
    int fd = -1;
    switch (draw(6)) {
        case 0: mkdir(path, 0777); return;
        case 1: mknod(path, S_IFIFO | 0666, 0); return;
        case 2: symlink("bait", path); return;
        case 3: linkat(AT_FDCWD, bait, AT_FDCWD, path, 0); return;
        case 4: rename(bait, path); return;
        default: fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0755);
    }
    if (fd >= 0) close(fd);
}

// Directories without and with a rule that denies making the name in them. The second rule hides the name, too.
static const struct {
    const char *before, *after, *name;
} receivers[] = {{".git/new-hooks", ".git/hooks", "pre-commit"}, {"sun", "shade", "veil"}};

static int is_listed(const char *directory, const char *name) {
    int found = 0;
    DIR *listing = opendir(directory);
    if (listing == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) found |= strcmp(entry->d_name, name) == 0;
    closedir(listing);
    return found;
}

// An object is created in a directory that is renamed to one that denies creation.
static void make_in(const char *ground) {
    unsigned kind = draw(sizeof receivers / sizeof *receivers);
    const char *name = receivers[kind].name;
    char before[PATH_BYTES], after[PATH_BYTES], made[PATH_BYTES], found[PATH_BYTES], bait[PATH_BYTES];
    snprintf(before, sizeof before, "%s/0/%s", ground, receivers[kind].before);
    snprintf(after, sizeof after, "%s/0/%s", ground, receivers[kind].after);
    snprintf(made, sizeof made, "%.200s/%s", before, name);
    snprintf(found, sizeof found, "%.200s/%s", after, name);
    snprintf(bait, sizeof bait, "%s/bait", ground);
    int fd = open(bait, O_WRONLY | O_CREAT, 0666);
    if (fd >= 0) close(fd);
    pid_t maker = fork();
    if (maker == 0) {
        for (unsigned i = 0; i < 8 + (unsigned)getpid() % 8; i++) draw(2); // Without this, each process would draw the same.
        make_one(made, bait);
        _exit(0);
    }
    pause_a_little();
    rename(before, after);
    waitpid(maker, NULL, 0);
    if (exists(found) || is_listed(after, name)) violation("%s: nothing may be created there", found);
    rename(after, before);
    if (unlink(made) != 0) rmdir(made);
}

void duel(const char *ground) {
    if (draw(3) == 0) make_in(ground);
    else move_in(ground);
}
