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

int main(int argc, char **argv) {
  int result = -1;
  errno = EINVAL;
  if (argc == 4 && strcmp(argv[1], "truncate") == 0) result = truncate(argv[2], atoll(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "tmpfile-link") == 0) result = tmpfile_link(argv[2], argv[3]);
  else if (argc == 4 && strcmp(argv[1], "reopen-unlinked") == 0) result = reopen_unlinked(argv[2], atoi(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "direct") == 0) result = direct(argv[2], atoi(argv[3]));
  printf("%d\n", result < 0 ? -errno : result);
  return 0;
}
