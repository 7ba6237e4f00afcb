// Mappings: private, shared, executable; and a program that may not be written while it runs.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

enum { PAGE = 4096, SIZE = 16 * PAGE };

static unsigned char *map(int fd, int protection, int kind) {
    unsigned char *at = mmap(NULL, SIZE, protection, kind, fd, 0);
    if (at == MAP_FAILED) say("mmap", -1);
    return at;
}

static void map_private(void) {
    int fd = fresh("mapped", O_RDWR);
    write_filled(fd, SIZE);
    unsigned char *at = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE), back[PAGE];
    if (at == MAP_FAILED) return;
    say("read", is_filled(at, SIZE, 0));
    memset(at, 'p', PAGE);
    say("pread", pread(fd, back, PAGE, 0));
    say("the file is as it was", is_filled(back, PAGE, 0));
    munmap(at, SIZE);
}

static void map_shared(void) {
    int fd = fresh("mapped", O_RDWR);
    write_filled(fd, SIZE);
    unsigned char *at = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), back[PAGE];
    if (at == MAP_FAILED) return;
    memset(at + PAGE, 's', PAGE);
    say("pread", pread(fd, back, PAGE, PAGE));
    say("sees the store", back[0] == 's' && back[PAGE - 1] == 's');
    say("pwrite", pwrite(fd, "written", 7, 2 * PAGE));
    say("the mapping sees the write", memcmp(at + 2 * PAGE, "written", 7) == 0);
    say("msync", msync(at, SIZE, MS_SYNC));
    close(fd);
    at[0] = 'c';
    int again = open("mapped", O_RDONLY | O_CLOEXEC);
    say("after close", pread(again, back, 1, 0));
    say("it still writes", back[0] == 'c');
    munmap(at, SIZE);
}

// A file ends within a page, and the mapping reaches to the end of the page.
static void stores_beyond_the_end(void) {
    for (int how = 0; how < 3; how++) {
        int fd = fresh("mapped", O_RDWR);
        write_filled(fd, SIZE);
        unsigned char *at = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), back[PAGE];
        if (at == MAP_FAILED) return;
        if (ftruncate(fd, 100) != 0) broken("ftruncate");
        memset(at + 100, 'x', PAGE - 100);
        const int grown = how == 0 ? ftruncate(fd, PAGE) : how == 1 ? posix_fallocate(fd, 0, PAGE) : pwrite(fd, "end", 3, PAGE - 3) != 3;
        if (grown != 0) broken("growth");
        if (pread(fd, back, PAGE, 0) != PAGE) broken("pread");
        say(how == 0 ? "zeros after ftruncate" : how == 1 ? "zeros after fallocate" : "zeros after a write", back[200] == 0);
        munmap(at, SIZE);
        close(fd);
    }
}

static void read_only_mapping(void) {
    int fd = fresh("mapped", O_RDWR);
    write_filled(fd, SIZE);
    close(fd);
    fd = open("mapped", O_RDONLY | O_CLOEXEC);
    say("shared writable", mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    unsigned char *at = map(fd, PROT_READ, MAP_SHARED);
    if (at == MAP_FAILED) return;
    say("same", is_filled(at, SIZE, 0));
    munmap(at, SIZE);
}

// A program of its own, so that a write to it hurts nobody.
static void install(const char *name) {
    int in = open("/bin/sleep", O_RDONLY | O_CLOEXEC), out = fresh(name, O_WRONLY);
    struct stat found;
    if (fstat(in, &found) != 0 || sendfile(out, in, NULL, found.st_size) != found.st_size) broken("install");
    if (fchmod(out, 0755) != 0) broken("chmod");
    close(in);
    close(out);
}

static int run(const char *name) {
    pid_t child = fork();
    if (child == 0) {
        execl(name, "sleep", "0", (char *)NULL);
        _exit(errno == ETXTBSY ? 26 : 27);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void execute(void) {
    install("program");
    say("exit code", run("./program"));
}

static void busy_text(void) {
    install("program");
    int writer = open("program", O_WRONLY | O_CLOEXEC);
    say("run while it is open for writing", run("./program"));
    close(writer);
    pid_t child = fork();
    if (child == 0) {
        execl("./program", "sleep", "30", (char *)NULL);
        _exit(1);
    }
    char path[64], seen[4096] = "";
    for (int tries = 0; tries < 1000 && strstr(seen, "program") == NULL; tries++, usleep(2000)) {
        snprintf(path, sizeof path, "/proc/%d/exe", child);
        ssize_t length = readlink(path, seen, sizeof seen - 1);
        seen[length < 0 ? 0 : length] = 0;
    }
    int fd = open("program", O_WRONLY | O_CLOEXEC);
    say("open for writing while it runs", fd < 0 ? -1 : 0);
    say("truncate while it runs", truncate("program", 0));
    kill(child, 9);
    waitpid(child, NULL, 0);
}

const struct rule map_rules[] = {
    {"a private mapping", map_private},
    {"a shared mapping", map_shared},
    {"stores of a mapping beyond the end, then a longer file", stores_beyond_the_end},
    {"a mapping of a descriptor that only reads", read_only_mapping},
    {"a program runs", execute},
    {"a running program is not written", busy_text},
    {NULL, NULL},
};
