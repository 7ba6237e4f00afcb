/*
 * System calls that neither Node nor the addon makes, one for each run: prints the result or the negative errno.
 * A test's tool, no part of the product.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
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

/* Calls on a descriptor for reading while its file is changed by name, beside the same calls after it: argv = PATH HOW */
static int by_old_descriptor(const char *path, const char *how) {
  char proc[64];
  struct timespec times[2] = {{1000, 1}, {2000, 2}};
  int old = open(path, O_RDONLY);
  int writer = open(path, O_WRONLY);
  if (old < 0 || writer < 0 || pwrite(writer, "X", 1, 0) != 1) return -1;
  snprintf(proc, sizeof proc, "/proc/self/fd/%d", old);
  if (strcmp(how, "ftruncate") == 0) return ftruncate(old, 1);
  if (strcmp(how, "fchmod") == 0) return fchmod(old, 0601);
  if (strcmp(how, "fchown") == 0) return fchown(old, 7, 8);
  if (strcmp(how, "futimens") == 0) return futimens(old, times);
  if (strcmp(how, "fsetxattr") == 0) return fsetxattr(old, "user.old", "v", 1, 0);
  if (strcmp(how, "fsync") == 0) return fsync(old);
  if (strcmp(how, "reopen") == 0) return open(proc, O_RDWR) < 0 ? -1 : 0;
  if (strcmp(how, "reopen-read") == 0) return open(proc, O_RDONLY) < 0 ? -1 : 0;
  errno = ENOSYS;
  return -1;
}

/* One transfer of 512 bytes by the kernel's own asynchronous interface. */
static int by_aio(int fd) {
  aio_context_t context = 0;
  static char bytes[512];
  struct iocb block = {.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)bytes, .aio_nbytes = sizeof bytes, .aio_offset = 40000};
  struct iocb *blocks[1] = {&block};
  struct io_event event;
  if (syscall(SYS_io_setup, 1, &context) < 0 || syscall(SYS_io_submit, context, 1, blocks) != 1) return -1;
  if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1) return -1;
  syscall(SYS_io_destroy, context);
  return event.res == sizeof bytes ? 0 : -1;
}

/* One write by io_uring: the submission's write is done when the completion is there. */
static int by_uring(int fd) {
  static char bytes[512];
  struct io_uring_params at = {0};
  int ring = syscall(SYS_io_uring_setup, 1, &at);
  if (ring < 0) return -1;
  size_t sq_length = at.sq_off.array + at.sq_entries * sizeof(unsigned);
  size_t cq_length = at.cq_off.cqes + at.cq_entries * sizeof(struct io_uring_cqe);
  char *sq = mmap(NULL, sq_length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  char *cq = mmap(NULL, cq_length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe *sqe = mmap(NULL, sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (sq == MAP_FAILED || cq == MAP_FAILED || sqe == MAP_FAILED) return -1;
  *sqe = (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = fd, .addr = (uintptr_t)bytes, .len = sizeof bytes, .off = 50000};
  *(unsigned *)(sq + at.sq_off.array) = 0;
  __atomic_store_n((unsigned *)(sq + at.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) return -1;
  if (__atomic_load_n((unsigned *)(cq + at.cq_off.tail), __ATOMIC_ACQUIRE) != 1) return -1;
  int written = ((struct io_uring_cqe *)(cq + at.cq_off.cqes))->res;
  if (written < 0) errno = -written;
  return written == sizeof bytes ? 0 : -1;
}

static int by_splice(int fd) {
  int ends[2];
  if (pipe(ends) < 0 || write(ends[1], "spliced", 7) != 7) return -1;
  return splice(ends[0], NULL, fd, NULL, 7, 0) == 7 ? 0 : -1;
}

static int by_mapping(int fd, int protection, int close_first) {
  char *bytes = mmap(NULL, 4096, protection, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return -1;
  if (close_first) close(fd);
  if (protection & PROT_WRITE) bytes[10] = 'm';
  else if (bytes[10] == 1) return -1;
  return munmap(bytes, 4096);
}

/* Changes or reads a file in one of the ways there are: argv = HOW PATH */
static int touch_by(const char *how, const char *path) {
  char bytes[16];
  loff_t from = 0, to = 30000;
  off_t at = 0;
  int reads = strcmp(how, "read") == 0 || strcmp(how, "maprd") == 0;
  int fd = open(path, reads ? O_RDONLY : strcmp(how, "append") == 0 ? O_RDWR | O_APPEND : O_RDWR);
  int other = open(path, O_RDONLY);
  if (fd < 0 || other < 0) return -1;
  if (strcmp(how, "pwrite") == 0) return pwrite(fd, "written", 7, 3) == 7 ? 0 : -1;
  if (strcmp(how, "append") == 0) return write(fd, "written", 7) == 7 ? 0 : -1;
  if (strcmp(how, "truncate") == 0) return ftruncate(fd, 100);
  if (strcmp(how, "fallocate") == 0) return fallocate(fd, 0, 0, 1 << 20);
  if (strcmp(how, "punch") == 0) return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192);
  if (strcmp(how, "copy-range") == 0) return copy_file_range(other, &from, fd, &to, 5000, 0) == 5000 ? 0 : -1;
  if (strcmp(how, "splice") == 0) return by_splice(fd);
  if (strcmp(how, "sendfile") == 0) return sendfile(fd, other, &at, 1000) == 1000 ? 0 : -1;
  if (strcmp(how, "aio") == 0) return by_aio(fd);
  if (strcmp(how, "uring") == 0) return by_uring(fd);
  if (strcmp(how, "map") == 0 || strcmp(how, "mapclose") == 0) return by_mapping(fd, PROT_READ | PROT_WRITE, how[3] == 'c');
  if (strcmp(how, "maprd") == 0) return by_mapping(fd, PROT_READ, 0);
  if (strcmp(how, "read") == 0) return pread(fd, bytes, sizeof bytes, 5) == sizeof bytes ? 0 : -1;
  errno = ENOSYS;
  return -1;
}

/* The first byte of a private mapping: argv = PATH */
static int map_private(const char *path) {
  int fd = open(path, O_RDONLY);
  unsigned char *bytes = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  return bytes == MAP_FAILED ? -1 : bytes[0];
}

static int first_spliced(int fd) {
  int ends[2];
  unsigned char byte;
  loff_t at = 0;
  if (pipe(ends) < 0 || splice(fd, &at, ends[1], NULL, 1, 0) != 1 || read(ends[0], &byte, 1) != 1) return -1;
  close(ends[0]);
  close(ends[1]);
  return byte;
}

/* The first byte that a reader splices again after another open has changed it, waiting a while for the change: argv = PATH BYTE */
static int splice_again(const char *path, int byte) {
  char changed = (char)byte;
  int reader = open(path, O_RDONLY), writer = open(path, O_WRONLY), found = first_spliced(reader);
  if (found < 0 || pwrite(writer, &changed, 1, 0) != 1 || close(writer) < 0) return -1;
  for (int tries = 0; found != byte && found >= 0 && tries < 1000; tries++, usleep(5000)) found = first_spliced(reader);
  return found;
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

/* Is ".." listed by the inode number of the directory that it leads to, in a list that is read to its end: argv = PATH */
static int parent_listed(const char *path) {
  struct stat parent;
  DIR *directory = opendir(path);
  ino_t listed = 0;
  if (directory == NULL || fstatat(dirfd(directory), "..", &parent, 0) < 0) return -1;
  for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
    if (strcmp(entry->d_name, "..") == 0) listed = entry->d_ino;
  return listed == parent.st_ino;
}

int main(int argc, char **argv) {
  int result = -1;
  errno = EINVAL;
  if (argc == 4 && strcmp(argv[1], "truncate") == 0) result = truncate(argv[2], atoll(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "tmpfile-link") == 0) result = tmpfile_link(argv[2], argv[3]);
  else if (argc == 4 && strcmp(argv[1], "reopen-unlinked") == 0) result = reopen_unlinked(argv[2], atoi(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "direct") == 0) result = direct(argv[2], atoi(argv[3]));
  else if (argc == 4 && strcmp(argv[1], "copy") == 0) result = copy(argv[2], argv[3]);
  else if (argc == 4 && strcmp(argv[1], "old-descriptor") == 0) result = by_old_descriptor(argv[2], argv[3]);
  else if (argc == 4 && strcmp(argv[1], "touch-by") == 0) result = touch_by(argv[2], argv[3]);
  else if (argc == 4 && strcmp(argv[1], "splice-again") == 0) result = splice_again(argv[2], atoi(argv[3]));
  else if (argc == 3 && strcmp(argv[1], "mapprivate") == 0) result = map_private(argv[2]);
  else if (argc == 3 && strcmp(argv[1], "parent-listed") == 0) result = parent_listed(argv[2]);
  else if (argc == 5 && strcmp(argv[1], "pwrite-once") == 0) result = pwrite_once(argv[2], atoll(argv[3]), atoll(argv[4]));
  else if (argc == 6 && strcmp(argv[1], "fallocate") == 0) result = allocate(argv[2], atoi(argv[3]), atoll(argv[4]), atoll(argv[5]));
  printf("%d\n", result < 0 ? -errno : result);
  return 0;
}
