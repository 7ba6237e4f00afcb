// The operations of the hunter for names. Errors do not matter: most of them are refusals. The bytes that it reads do.
#define _GNU_SOURCE
#include "name-hunter.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PICK(list) (list[draw(sizeof list / sizeof *list)])
static const char *const tops[] = {"p", "q", "p", "q", "."};
// Pairs of a governed name and a free one: directories are renamed between them.
static const char *const directories[] = {".git", "plain", "logs", "free", "private", "open", "slow", "fast", "asked", "told", "shade", "sun"};
static const char *const entries[] = {"config", "config", "f", "f", "g", "hooks", "new-hooks", "veil"};
static const char *const hooks[] = {"hooks", "new-hooks"};
static const char *const leaves[] = {"pre-commit", "config", "f"};

static void place(char *path) {
    const char *top = PICK(tops), *directory = PICK(directories);
    if (draw(3) == 0) snprintf(path, PATH_BYTES, "%s/%s/%s/%s", top, draw(2) ? ".git" : directory, PICK(hooks), PICK(leaves));
    else snprintf(path, PATH_BYTES, "%s/%s/%s", top, directory, PICK(entries));
}

static void directory_place(char *path) {
    if (draw(3) == 0) snprintf(path, PATH_BYTES, "%s/%s/%s", PICK(tops), draw(2) ? ".git" : "plain", PICK(hooks));
    else snprintf(path, PATH_BYTES, "%s/%s", PICK(tops), PICK(directories));
}

static unsigned rename_flags(void) {
    static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    return PICK(flags);
}

// Within its parent: the kernel does not lock that against changes below the directory.
static void rename_ancestor(void) {
    char from[PATH_BYTES], to[PATH_BYTES];
    const char *top = PICK(tops);
    if (draw(2) == 0) {
        const char *git = draw(4) ? ".git" : "plain";
        unsigned way = draw(2);
        snprintf(from, sizeof from, "%s/%s/%s", top, git, hooks[way]);
        snprintf(to, sizeof to, "%s/%s/%s", top, git, hooks[1 - way]);
    } else {
        unsigned pair = draw(sizeof directories / sizeof *directories);
        snprintf(from, sizeof from, "%s/%s", top, directories[pair]);
        snprintf(to, sizeof to, "%s/%s", top, directories[draw(4) ? pair ^ 1 : draw(sizeof directories / sizeof *directories)]);
    }
    renameat2(AT_FDCWD, from, AT_FDCWD, to, rename_flags());
}

static void move(void) {
    char from[PATH_BYTES], to[PATH_BYTES];
    if (draw(5) == 0) directory_place(from), directory_place(to);
    else place(from), place(to);
    if (draw(4) == 0) linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    else renameat2(AT_FDCWD, from, AT_FDCWD, to, rename_flags());
}

static void fill(int fd) {
    if (fd < 0) return;
    // Not shorter than the planted file: a locked file may be written, but not truncated.
    char text[PLANTED_BYTES] = "PLAIN";
    if (pwrite(fd, text, sizeof text, 0) < 0) return;
}

static void make_nameless(const char *path) {
    char directory[PATH_BYTES], proc[64];
    directory_place(directory);
    int fd = open(directory, O_TMPFILE | O_RDWR, 0666);
    if (fd < 0) return;
    fill(fd);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
    close(fd);
}

static void make(void) {
    char path[PATH_BYTES], target[PATH_BYTES];
    if (draw(4) == 0) {
        directory_place(path);
        mkdir(path, 0777);
        return;
    }
    place(path);
    int fd = -1;
    switch (draw(6)) {
        case 0: mkdir(path, 0777); return;
        case 1: mknod(path, S_IFIFO | 0666, 0); return;
        case 2: place(target); symlink(target, path); return;
        case 3: make_nameless(path); return;
        case 4: fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK, 0777); break;
        default: fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0777);
    }
    fill(fd);
    if (fd >= 0) close(fd);
}

static void take_away(void) {
    char path[PATH_BYTES];
    if (draw(3) == 0) {
        directory_place(path);
        rmdir(path);
        return;
    }
    place(path);
    if (unlink(path) != 0) rmdir(path);
}

static void change(void) {
    static const mode_t modes[] = {0777, 0666, 0600};
    char path[PATH_BYTES];
    place(path);
    switch (draw(5)) {
        case 0: truncate(path, draw(8)); return;
        case 1: fchmodat(AT_FDCWD, path, PICK(modes), 0); return;
        case 2: utimensat(AT_FDCWD, path, NULL, 0); return;
        case 3: setxattr(path, "user.other", "v", 1, 0); return;
        default: break;
    }
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    fill(fd);
    if (fd >= 0) close(fd);
}

void scan(int fd, const char *how) {
    struct stat found;
    if (fd < 0) return;
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0) {
        char text[PLANTED_BYTES] = "";
        if (draw(3) == 0) {
            char *mapping = mmap(NULL, PLANTED_BYTES, PROT_READ, draw(2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);
            // Not longer than the file, which others truncate: that part may be gone when it is read.
            if (mapping != MAP_FAILED) {
                int copy = memfd_create("copy", MFD_CLOEXEC);
                // write(2) reports EFAULT for a page whose direct access would raise SIGBUS.
                if (write(copy, mapping, PLANTED_BYTES) > 0 && pread(copy, text, sizeof text, 0) < 0) text[0] = 0;
                close(copy);
                munmap(mapping, PLANTED_BYTES);
            }
        } else if (pread(fd, text, sizeof text, 0) < 0) text[0] = 0;
        if (memmem(text, sizeof text, SECRET, strlen(SECRET)) != NULL) {
            char proc[64], name[PATH_BYTES] = "";
            snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
            if (readlink(proc, name, sizeof name - 1) < 0) name[0] = 0;
            violation("uid %u read what may not be read: opened by %s, by now at %s", getuid(), how, name);
        }
    }
    close(fd);
}

static void look(void) {
    char path[PATH_BYTES], proc[64];
    place(path);
    if (draw(2) == 0) {
        scan(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), path);
        return;
    }
    // The name is looked up first, and opened after it may have changed.
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return;
    if (draw(2) == 0) rename_ancestor();
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    scan(open(proc, O_RDONLY | O_NONBLOCK | O_CLOEXEC), path);
    close(fd);
}

void act(void) {
    uint32_t what = draw(20);
    if (what < 6) rename_ancestor();
    else if (what < 11) move();
    else if (what < 14) make();
    else if (what < 15) take_away();
    else if (what < 17) change();
    else look();
}

enum { HANDLES = 8 };

void act_by_handle(void) {
    static struct {
        struct file_handle head;
        unsigned char bytes[MAX_HANDLE_SZ];
    } handles[HANDLES];
    static char names[HANDLES][PATH_BYTES];
    unsigned at = draw(HANDLES);
    int mount;
    if (names[at][0] == 0 || draw(8) == 0) {
        place(names[at]);
        handles[at].head.handle_bytes = MAX_HANDLE_SZ;
        if (name_to_handle_at(AT_FDCWD, names[at], &handles[at].head, &mount, 0) != 0) names[at][0] = 0;
        return;
    }
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scan(open_by_handle_at(here, &handles[at].head, O_RDONLY | O_NONBLOCK | O_CLOEXEC), names[at]);
    close(here);
}
