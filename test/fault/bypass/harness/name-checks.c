// Root's checks of a tree after the hunters, by names and extended attributes alone: they open no file.
#define _GNU_SOURCE
#include "name-hunter.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int seen[MAX_LOCKED];

// Tells whether one of the directories of the path, which ends before `end`, has this name.
static int is_below(const char *path, const char *end, const char *directory) {
    size_t length = strlen(directory);
    for (const char *at = strstr(path, directory); at != NULL && at < end; at = strstr(at + 1, directory))
        if (at[-1] == '/' && at[length] == '/') return 1;
    return 0;
}

static int ends_with(const char *path, const char *end) {
    size_t whole = strlen(path), length = strlen(end);
    return whole >= length && strcmp(path + whole - length, end) == 0;
}

static void check_locked(const char *path, const char *end, const char *mark, const struct stat *found) {
    int number = atoi(mark + strlen(LOCKED));
    if (number >= 0 && number < MAX_LOCKED) seen[number] = 1;
    if (!is_below(path, end, "logs")) violation("%s: a file that may not be changed was moved where it may", path);
    if ((found->st_mode & 07777) != PLANTED_MODE) violation("%s: its mode is %o", path, found->st_mode & 07777);
    if (found->st_size < PLANTED_BYTES) violation("%s: it was truncated to %ld bytes", path, (long)found->st_size);
}

// `path` begins with "./".
static int check_entry(const char *path, const struct stat *found, int type, struct FTW *where) {
    const char *end = path + where->base, *hooks = strstr(path, "/.git/hooks/");
    // A whiteout of an upper layer.
    if (S_ISCHR(found->st_mode) && found->st_rdev == 0) return 0;
    if (hooks != NULL && strchr(hooks + strlen("/.git/hooks/"), '/') == NULL) violation("%s: nothing may be created there", path);
    if (ends_with(path, "/shade/veil")) violation("%s: nobody may make or see this name", path);
    if (type != FTW_F) return 0;
    char mark[PLANTED_BYTES] = "";
    if (lgetxattr(path, MARK, mark, sizeof mark - 1) < 0) return 0;
    if (strcmp(mark, VEILED) == 0) violation("%s: a hidden file is visible", path);
    int denied = ends_with(path, "/.git/config") || is_below(path, end, "private") || is_below(path, end, "asked");
    if (strncmp(mark, SECRET, strlen(SECRET)) == 0 && !denied) violation("%s: a file that may not be read was moved where it may", path);
    if (strncmp(mark, METERED, strlen(METERED)) == 0 && !denied && !is_below(path, end, "slow"))
        violation("%s: a file whose reads are audited was moved where they are not", path);
    if (strncmp(mark, LOCKED, strlen(LOCKED)) == 0) check_locked(path, end, mark, found);
    return 0;
}

void check_tree(int locked) {
    if (nftw(".", check_entry, 16, FTW_PHYS) != 0) violation("the tree cannot be walked");
    for (int i = 0; i < locked && i < MAX_LOCKED; i++)
        if (!seen[i]) violation("the locked file %d is gone", i);
}
