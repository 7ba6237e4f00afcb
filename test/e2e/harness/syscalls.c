/*
 * System calls that neither Node nor the addon makes, one for each run: prints the result or the negative errno.
 * A test's tool, no part of the product.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_TMPFILE in a directory, written, then given a name by way of /proc: argv = DIRECTORY TARGET */
static int tmpfile_link(const char *directory, const char *target) {
  char path[64];
  int fd = open(directory, O_TMPFILE | O_RDWR, 0644);
  if (fd < 0) return -1;
  if (write(fd, "smuggled", 8) != 8) return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return linkat(AT_FDCWD, path, AT_FDCWD, target, AT_SYMLINK_FOLLOW);
}

/* Opens, unlinks, then opens again by the descriptor: argv = PATH FLAGS */
static int reopen_unlinked(const char *path, int flags) {
  char proc[64];
  int fd = open(path, O_PATH);
  if (fd < 0 || unlink(path) < 0) return -1;
  snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
  return open(proc, flags) < 0 ? -1 : 0;
}

/* O_DIRECT round trip of one aligned block: argv = PATH BYTE */
static int direct(const char *path, int byte) {
  void *block;
  if (posix_memalign(&block, 4096, 4096) != 0) return -1;
  int fd = open(path, O_RDWR | O_DIRECT);
  if (fd < 0) return -1;
  memset(block, byte, 4096);
  if (pwrite(fd, block, 4096, 4096) != 4096) return -1;
  memset(block, 0, 4096);
  if (pread(fd, block, 4096, 4096) != 4096) return -1;
  return ((unsigned char *)block)[4095];
}

/* copy_file_range(2) from the start of one file to the start of another: argv = FROM TO */
static int copy(const char *from, const char *to) {
  loff_t in_at = 0, out_at = 0;
  int in = open(from, O_RDONLY), out = open(to, O_RDWR);
  return in < 0 || out < 0 ? -1 : (int)copy_file_range(in, &in_at, out, &out_at, 64, 0);
}

/* The first byte of a private mapping: argv = PATH */
static int map_private(const char *path) {
  int fd = open(path, O_RDONLY);
  unsigned char *bytes = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  return bytes == MAP_FAILED ? -1 : bytes[0];
}

/* One write of some bytes: argv = PATH OFFSET LENGTH */
static int pwrite_once(const char *path, off_t offset, size_t length) {
  static char zeros[4096];
  int fd = open(path, O_WRONLY);
  return fd < 0 ? -1 : (int)pwrite(fd, zeros, length, offset);
}

/* argv = PATH MODE OFFSET LENGTH */
static int allocate(const char *path, int mode, off_t offset, off_t length) {
  int fd = open(path, O_WRONLY);
  return fd < 0 ? -1 : fallocate(fd, mode, offset, length);
}

int main(int argc, char **argv) {
  int result = -1;
  errno = EINVAL;
  if (argc == 4 && strcmp(argv[1], "truncate") == 0) result = truncate(argv[2], atoll(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "tmpfile-link") == 0) result = tmpfile_link(argv[2], argv[3]);
  else if (argc == 4 && strcmp(argv[1], "reopen-unlinked") == 0) result = reopen_unlinked(argv[2], atoi(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "direct") == 0) result = direct(argv[2], atoi(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "copy") == 0) result = copy(argv[2], argv[3]);
  else if (argc == 3 && strcmp(argv[1], "mapprivate") == 0) result = map_private(argv[2]);
  else if (argc == 5 && strcmp(argv[1], "pwrite-once") == 0) result = pwrite_once(argv[2], atoll(argv[3]), atoll(argv[4]));
  else if (argc == 6 && strcmp(argv[1], "fallocate") == 0) result = allocate(argv[2], atoi(argv[3]), atoll(argv[4]), atoll(argv[5]));
  printf("%d\n", result < 0 ? -errno : result);
  return 0;
}
