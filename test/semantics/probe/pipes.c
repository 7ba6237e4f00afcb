// Bytes that do not pass through the program: splice, sendfile, copy_file_range; and asynchronous I/O at depth.
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

enum { SIZE = 60000, DEPTH = 16, BLOCK = 4096 };

static int holds_filled(const char *name, size_t size) {
    unsigned char *buffer = malloc(size + 1);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    int same = read(fd, buffer, size + 1) == (ssize_t)size && is_filled(buffer, size, 0);
    close(fd);
    free(buffer);
    return same;
}

static void splice_both_ways(void) {
    int in = fresh("source", O_RDWR), out = fresh("target", O_RDWR), ends[2];
    write_filled(in, SIZE);
    if (pipe(ends) != 0) broken("pipe");
    loff_t from = 0, to = 0;
    while (from < SIZE) {
        ssize_t got = splice(in, &from, ends[1], NULL, SIZE, 0);
        if (got <= 0) { say("from the file", got); return; }
        for (ssize_t left = got; left > 0;) {
            ssize_t put = splice(ends[0], NULL, out, &to, left, 0);
            if (put <= 0) { say("to the file", put); return; }
            left -= put;
        }
    }
    say("offsets", from == SIZE && to == SIZE);
    say("same", holds_filled("target", SIZE));
}

static void send_file(void) {
    int in = fresh("source", O_RDWR), out = fresh("target", O_RDWR), ends[2];
    write_filled(in, SIZE);
    off_t from = 0;
    say("to a file", sendfile(out, in, &from, SIZE));
    say("same", holds_filled("target", SIZE));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) broken("socketpair");
    from = 100;
    unsigned char back[1000];
    say("to a socket", sendfile(ends[1], in, &from, sizeof back));
    say("received", read(ends[0], back, sizeof back));
    say("same", is_filled(back, sizeof back, 100));
}

static void copy_range(void) {
    int in = fresh("source", O_RDWR), out = fresh("target", O_RDWR);
    write_filled(in, SIZE);
    loff_t from = 0, to = 0;
    while (from < SIZE) {
        ssize_t got = copy_file_range(in, &from, out, &to, SIZE - from, 0);
        if (got <= 0) { say("copy", got); return; }
    }
    say("same", holds_filled("target", SIZE));
    from = 0, to = 100;
    say("within one file, overlapping", copy_file_range(in, &from, in, &to, SIZE, 0));
}

static long submit_all(aio_context_t context, int fd, int opcode, unsigned char *buffer) {
    struct iocb blocks[DEPTH], *list[DEPTH];
    struct io_event done[DEPTH];
    memset(blocks, 0, sizeof blocks);
    for (int i = 0; i < DEPTH; i++) {
        blocks[i].aio_fildes = fd;
        blocks[i].aio_lio_opcode = opcode;
        blocks[i].aio_buf = (uint64_t)(uintptr_t)(buffer + i * BLOCK);
        blocks[i].aio_nbytes = BLOCK;
        blocks[i].aio_offset = (int64_t)i * BLOCK;
        list[i] = &blocks[i];
    }
    long sent = syscall(SYS_io_submit, context, DEPTH, list);
    if (sent < 0) return sent;
    long got = syscall(SYS_io_getevents, context, sent, sent, done, NULL), whole = 0;
    for (long i = 0; i < got; i++) whole += done[i].res == BLOCK;
    return whole;
}

// Completion must not come before its effect: the size after it is final.
static void asynchronous(int flags) {
    unsigned char *buffer;
    if (posix_memalign((void **)&buffer, BLOCK, DEPTH * BLOCK) != 0) broken("allocate");
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, DEPTH, &context) != 0) broken("io_setup");
    int fd = fresh("async", O_RDWR | flags);
    fill(buffer, DEPTH * BLOCK, 0);
    say("writes", submit_all(context, fd, IOCB_CMD_PWRITE, buffer));
    say("size at completion", lseek(fd, 0, SEEK_END));
    memset(buffer, 0, DEPTH * BLOCK);
    say("reads", submit_all(context, fd, IOCB_CMD_PREAD, buffer));
    say("same", is_filled(buffer, DEPTH * BLOCK, 0));
    syscall(SYS_io_destroy, context);
    free(buffer);
}

static void aio_buffered(void) { asynchronous(0); }
static void aio_direct(void) { asynchronous(O_DIRECT); }

const struct rule pipe_rules[] = {
    {"splice to and from a pipe", splice_both_ways},
    {"sendfile to a file and a socket", send_file},
    {"copy_file_range", copy_range},
    {"AIO, buffered, 16 at once", aio_buffered},
    {"AIO, O_DIRECT, 16 at once", aio_direct},
    {NULL, NULL},
};
