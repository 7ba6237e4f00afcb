/*
 * Asynchronous direct writes of a whole file beside threads that read its end through the page cache, by descriptors that stay open.
 * Prints in how many rounds the end that was read after a write was not what had been written. argv = PATH ROUNDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE = 1280 << 10, END = 4096, READERS = 2 };
static const char *path;
static atomic_int finished;

static void fail(const char *what) {
  perror(what);
  exit(2);
}

static int open_reader(void) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) fail("open");
  return fd;
}

static void read_end(int fd, char *bytes) {
  if (pread(fd, bytes, END, SIZE - END) != END) fail("read");
}

static void *keep_reading(void *bytes) {
  int fd = open_reader();
  while (!finished) read_end(fd, bytes);
  return NULL;
}

/* Opened for the one write and closed after it, as aio-dio-cycle-write of xfstests does. */
static void write_all(aio_context_t context, char *bytes) {
  struct iocb block = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (unsigned long)bytes, .aio_nbytes = SIZE};
  struct iocb *blocks[] = {&block};
  struct io_event event;
  int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0644);
  if (fd < 0) fail("open");
  block.aio_fildes = fd;
  if (syscall(SYS_io_submit, context, 1, blocks) != 1) fail("io_submit");
  if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1) fail("io_getevents");
  if (event.res != SIZE) fail("a short write");
  close(fd);
}

int main(int argc, char **argv) {
  static char ends[READERS + 1][END];
  pthread_t readers[READERS];
  aio_context_t context = 0;
  char *bytes;
  int stale = 0;
  if (argc != 3 || posix_memalign((void **)&bytes, 4096, SIZE) != 0) return 2;
  path = argv[1];
  if (syscall(SYS_io_setup, 1, &context) < 0) fail("io_setup");
  memset(bytes, 'a', SIZE);
  write_all(context, bytes);
  int reader = open_reader();
  for (int i = 0; i < READERS; i++) pthread_create(&readers[i], NULL, keep_reading, ends[i]);
  for (int round = 1; round <= atoi(argv[2]); round++) {
    memset(bytes, 'a' + round % 26, SIZE);
    write_all(context, bytes);
    read_end(reader, ends[READERS]);
    stale += memcmp(ends[READERS], bytes, END) != 0;
  }
  finished = 1;
  for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
  printf("%d\n", stale);
  return 0;
}
