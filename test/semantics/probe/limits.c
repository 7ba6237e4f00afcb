// Limits: of the process, of the descriptor, of the file system.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"

static volatile sig_atomic_t signals;

static void count(int number) { signals += number == SIGXFSZ; }

static void file_size_limit(void) {
    const struct rlimit limit = {65536, 65536};
    char block[1024] = "";
    int fd = fresh("limited", O_RDWR);
    signal(SIGXFSZ, count);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) broken("setrlimit");
    say("up to the limit", pwrite(fd, block, 1024, 65536 - 1024));
    say("across it", pwrite(fd, block, 1024, 65536 - 512));
    say("signals", signals);
    say("beyond it", pwrite(fd, block, 1024, 65536));
    say("signals", signals);
    say("ftruncate", ftruncate(fd, 70000));
    say("signals", signals);
    say("fallocate", fallocate(fd, 0, 0, 70000));
    say("signals", signals);
    struct stat found;
    say("fstat", fstat(fd, &found));
    say("size", found.st_size);
}

static void access_mode(void) {
    close(fresh("mode", O_RDWR));
    int reader = open("mode", O_RDONLY | O_CLOEXEC), writer = open("mode", O_WRONLY | O_CLOEXEC);
    char byte = 'x';
    say("write to a reader", write(reader, &byte, 1));
    say("read from a writer", read(writer, &byte, 1));
    say("ftruncate a reader", ftruncate(reader, 0));
    say("fallocate a reader", fallocate(reader, 0, 0, 4096));
    int path = open("mode", O_PATH | O_CLOEXEC);
    say("read from O_PATH", read(path, &byte, 1));
}

// Fills the file system, and prints the error at its end; no written byte may be lost.
static void no_space(void) {
    enum { BLOCK = 65536 };
    unsigned char *block = malloc(BLOCK);
    int fd = fresh("filler", O_RDWR);
    ssize_t wrote;
    off_t size = 0;
    for (;; size += wrote) {
        fill(block, BLOCK, size);
        wrote = pwrite(fd, block, BLOCK, size);
        if (wrote <= 0 || size > ((off_t)1 << 30)) break;
    }
    say("ends", wrote);
    say("fallocate", fallocate(fd, 0, size, (off_t)1 << 30));
    int same = 1;
    for (off_t at = 0; at + BLOCK <= size; at += BLOCK)
        same &= pread(fd, block, BLOCK, at) == BLOCK && is_filled(block, BLOCK, at);
    say("what was written is there", same);
    close(fd);
    unlink("filler");
    free(block);
}

const struct rule limit_rules[] = {
    {"RLIMIT_FSIZE and SIGXFSZ", file_size_limit},
    {"a descriptor's access mode", access_mode},
    {"the file system is full", no_space},
    {NULL, NULL},
};
