// Reads and writes of every kind that the kernel has.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

enum { WRITERS = 4, RECORDS = 200, RECORD = 100, BLOCK = 4096 };

static void append_records(int writer) {
    int fd = open("appended", O_WRONLY | O_APPEND | O_CLOEXEC);
    char record[RECORD];
    memset(record, 'a' + writer, sizeof record);
    record[RECORD - 1] = '\n';
    for (int i = 0; i < RECORDS; i++)
        if (write(fd, record, sizeof record) != RECORD) _exit(1);
    _exit(0);
}

static void append_from_several(void) {
    close(fresh("appended", O_WRONLY));
    for (int writer = 0; writer < WRITERS; writer++)
        if (fork() == 0) append_records(writer);
    int status, failed = 0;
    while (wait(&status) > 0) failed += status != 0;
    say("failed", failed);
    char record[RECORD];
    long whole = 0, torn = 0;
    for (int fd = open("appended", O_RDONLY | O_CLOEXEC); read(fd, record, RECORD) == RECORD;) {
        int same = record[RECORD - 1] == '\n';
        for (int i = 1; i < RECORD - 1; i++) same &= record[i] == record[0];
        same ? whole++ : torn++;
    }
    say("whole", whole);
    say("torn", torn);
}

static void append_ignores_offset(void) {
    int fd = fresh("appended", O_RDWR | O_APPEND);
    char back[8] = "";
    say("write", write(fd, "abc", 3));
    say("pwrite at 0", pwrite(fd, "def", 3, 0));
    say("read", pread(fd, back, 6, 0));
    say("in order", strcmp(back, "abcdef") == 0);
}

static void direct_io(void) {
    unsigned char *block;
    if (posix_memalign((void **)&block, BLOCK, 16 * BLOCK) != 0) broken("allocate");
    int fd = fresh("direct", O_RDWR | O_DIRECT);
    fill(block, 16 * BLOCK, 0);
    say("write", pwrite(fd, block, 16 * BLOCK, 0));
    memset(block, 0, 16 * BLOCK);
    say("read", pread(fd, block, 16 * BLOCK, 0));
    say("same", is_filled(block, 16 * BLOCK, 0));
    say("read past the end", pread(fd, block, BLOCK, 17 * BLOCK));
    // A page that another process cached is not on the disk, unless the file system keeps the two coherent.
    int buffered = open("direct", O_RDWR | O_CLOEXEC);
    say("buffered write", pwrite(buffered, "buffered", 8, 0));
    say("direct read", pread(fd, block, BLOCK, 0));
    say("sees it", memcmp(block, "buffered", 8) == 0);
    memcpy(block, "directly", 8);
    say("direct write", pwrite(fd, block, BLOCK, 0));
    char back[9] = "";
    say("buffered read", pread(buffered, back, 8, 0));
    say("sees that", strcmp(back, "directly") == 0);
}

static void direct_unaligned(void) {
    unsigned char *block;
    if (posix_memalign((void **)&block, BLOCK, 2 * BLOCK) != 0) broken("allocate");
    int fd = fresh("direct", O_RDWR | O_DIRECT);
    fill(block, BLOCK, 0);
    say("offset 1", pwrite(fd, block, BLOCK, 1));
    say("length 100", pwrite(fd, block, 100, 0));
    say("buffer at 1", pwrite(fd, block + 1, BLOCK, 0));
}

// As dd(1) does for a last block that is not whole.
static void later_flags(void) {
    unsigned char *block;
    if (posix_memalign((void **)&block, BLOCK, BLOCK) != 0) broken("allocate");
    int fd = fresh("flags", O_RDWR | O_APPEND);
    char back[8] = "";
    say("append", write(fd, "abcdef", 6));
    say("O_APPEND cleared", fcntl(fd, F_SETFL, 0));
    say("write at 0", pwrite(fd, "XY", 2, 0));
    say("bytes of which are at 0", pread(fd, back, 6, 0) == 6 && strcmp(back, "XYcdef") == 0 ? 2 : 0);
    say("O_APPEND set", fcntl(fd, F_SETFL, O_APPEND));
    off_t end = lseek(fd, 0, SEEK_END);
    say("append again", pwrite(fd, "Z", 1, 0));
    say("byte at the end", pread(fd, back, 1, end) == 1 && back[0] == 'Z');
    close(fd);
    fill(block, BLOCK, 0);
    fd = fresh("flags", O_RDWR | O_DIRECT);
    say("direct write", write(fd, block, BLOCK));
    say("O_DIRECT cleared", fcntl(fd, F_SETFL, 0));
    say("write of 3", write(fd, "abc", 3));
    close(fd);
    fd = fresh("flags", O_RDWR);
    say("buffered write", write(fd, block, BLOCK));
    say("O_DIRECT set", fcntl(fd, F_SETFL, O_DIRECT));
    say("direct write of 5", pwrite(fd, "abcde", 5, 0));
    close(fd);
}

static void synchronous(void) {
    const int flags[] = {O_SYNC, O_DSYNC};
    for (int i = 0; i < 2; i++) {
        int fd = fresh("sync", O_RDWR | flags[i]);
        char back[4] = "";
        say("write", write(fd, "abc", 3));
        say("read", pread(fd, back, 3, 0));
        say("flag", (fcntl(fd, F_GETFL) & flags[i]) == flags[i]);
        close(fd);
    }
}

static void per_call_write(const char *label, int fd, int flag) {
    struct iovec part = {(char *)"abcd", 4};
    say(label, pwritev2(fd, &part, 1, 0, flag));
}

static void per_call_flags(void) {
    int fd = fresh("rwf", O_RDWR);
    write_filled(fd, BLOCK);
    per_call_write("RWF_DSYNC", fd, RWF_DSYNC);
    per_call_write("RWF_SYNC", fd, RWF_SYNC);
    per_call_write("RWF_HIPRI", fd, RWF_HIPRI);
    per_call_write("RWF_APPEND", fd, RWF_APPEND);
    struct stat found;
    say("fstat", fstat(fd, &found));
    say("size", found.st_size);
    per_call_write("unknown", fd, 1 << 28);
}

static void no_wait(void) {
    int fd = fresh("nowait", O_RDWR);
    write_filled(fd, BLOCK);
    char back[4];
    struct iovec part = {back, sizeof back};
    say("preadv2", preadv2(fd, &part, 1, 0, RWF_NOWAIT));
    per_call_write("pwritev2", fd, RWF_NOWAIT);
}

static void vectors(void) {
    int fd = fresh("vectors", O_RDWR);
    unsigned char one[3], two[5000], three[1];
    struct iovec parts[] = {{one, sizeof one}, {two, sizeof two}, {three, sizeof three}};
    write_filled(fd, 3 * BLOCK);
    say("preadv", preadv(fd, parts, 3, 77));
    say("same", is_filled(one, 3, 77) && is_filled(two, 5000, 80) && is_filled(three, 1, 5080));
    say("pwritev", pwritev(fd, parts, 3, 2 * BLOCK));
    say("empty", preadv(fd, parts, 0, 0));
    say("negative offset", preadv(fd, parts, 3, -5));
}

static void holes(void) {
    int fd = fresh("holes", O_RDWR);
    say("write", pwrite(fd, "x", 1, 1 << 20));
    say("ftruncate", ftruncate(fd, 4 << 20));
    say("data from 0", lseek(fd, 0, SEEK_DATA));
    say("hole from data", lseek(fd, 1 << 20, SEEK_HOLE));
    say("data after", lseek(fd, 2 << 20, SEEK_DATA));
    say("hole at the end", lseek(fd, 3 << 20, SEEK_HOLE));
    say("past the end", lseek(fd, 5 << 20, SEEK_HOLE));
    say("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, BLOCK));
    say("data from 0", lseek(fd, 0, SEEK_DATA));
}

static void large_offsets(void) {
    const off_t places[] = {((off_t)1 << 32) + 5, ((off_t)1 << 43) - 7, ((off_t)1 << 53) + 3, INT64_MAX - 4096};
    for (int i = 0; i < 4; i++) {
        int fd = fresh("large", O_RDWR);
        char back[4] = "";
        struct stat found;
        say("write", pwrite(fd, "abc", 3, places[i]));
        say("read", pread(fd, back, 3, places[i]));
        say("same", strcmp(back, "abc") == 0);
        if (stat("large", &found) != 0) broken("stat");
        say("size", found.st_size);
        say("truncate", ftruncate(fd, places[i] - 1));
        say("end", lseek(fd, 0, SEEK_END));
        close(fd);
    }
    unlink("large");
}

const struct rule data_rules[] = {
    {"appends from several writers stay whole", append_from_several},
    {"an append goes to the end whatever the offset", append_ignores_offset},
    {"O_DIRECT reads and writes what buffered I/O sees", direct_io},
    {"O_DIRECT that is not aligned", direct_unaligned},
    {"flags that are set and cleared later", later_flags},
    {"O_SYNC and O_DSYNC", synchronous},
    {"RWF flags of single calls", per_call_flags},
    {"RWF_NOWAIT", no_wait},
    {"vectors", vectors},
    {"holes and data", holes},
    {"offsets beyond 32 and 53 bits", large_offsets},
    {NULL, NULL},
};
