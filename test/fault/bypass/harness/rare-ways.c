/*
 * Tries to open a file by ways that take no ordinary open of its name. Arguments: the file, its directory, a free name in another directory
 * of the mount, an empty file elsewhere. It prints one line for each way: its name, and 0 or the errno.
 *
 * It runs as root in a mount namespace of its own: a rule holds for every caller.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FAILED(call) ((call) < 0 ? errno : 0)

static const char *file, *directory, *other, *elsewhere;

/* Closes what it gets. */
static int opened(int fd) {
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

static const char *by_descriptor(int fd) {
  static char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return path;
}

static int path_descriptor(void) {
  int fd = open(file, O_PATH);
  if (fd < 0) exit(2);
  return fd;
}

static int read_by_path_descriptor(void) { return opened(open(by_descriptor(path_descriptor()), O_RDONLY)); }
static int write_by_path_descriptor(void) { return opened(open(by_descriptor(path_descriptor()), O_WRONLY)); }
static int truncate_by_path_descriptor(void) { return FAILED(truncate(by_descriptor(path_descriptor()), 0)); }
static int attribute_by_path_descriptor(void) { return FAILED(setxattr(by_descriptor(path_descriptor()), "user.a", "b", 1, 0)); }

static int linked(int status) {
  int result = FAILED(status);
  unlink(other);
  return result;
}

static int link_of_path_descriptor(void) { return linked(linkat(path_descriptor(), "", AT_FDCWD, other, AT_EMPTY_PATH)); }
static int link_by_proc(void) { return linked(linkat(AT_FDCWD, by_descriptor(path_descriptor()), AT_FDCWD, other, AT_SYMLINK_FOLLOW)); }

static int ended(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) continue;
  return WEXITSTATUS(status);
}

static int run_path_descriptor(void) {
  pid_t child = fork();
  if (child != 0) return ended(child);
  char *const none[] = {NULL};
  syscall(SYS_execveat, path_descriptor(), "", none, none, AT_EMPTY_PATH);
  _exit(errno);
}

static int file_handle(void) {
  struct {
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
  } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
  int mount_id;
  if (name_to_handle_at(AT_FDCWD, file, &handle.head, &mount_id, 0) < 0) return errno;
  return opened(open_by_handle_at(open(directory, O_RDONLY | O_DIRECTORY), &handle.head, O_RDONLY));
}

static int bind_of_file(void) {
  if (mount(file, elsewhere, NULL, MS_BIND, NULL) < 0) return errno;
  int result = opened(open(elsewhere, O_RDONLY));
  umount2(elsewhere, MNT_DETACH);
  return result;
}

static int detached_tree(void) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, file, 1 /* OPEN_TREE_CLONE */);
  return fd < 0 ? errno : opened(open(by_descriptor(fd), O_RDONLY));
}

static int detached_directory(void) {
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, directory, 1 /* OPEN_TREE_CLONE */);
  return fd < 0 ? errno : opened(openat(fd, strrchr(file, '/') + 1, O_RDONLY));
}

static int from_directory(void) { return chdir(directory) < 0 ? errno : opened(open(strrchr(file, '/') + 1, O_RDONLY)); }

static int from_root(void) {
  pid_t child = fork();
  if (child != 0) return ended(child);
  _exit(chroot(directory) < 0 ? errno : opened(open(strrchr(file, '/'), O_RDONLY)));
}

static int exchange(void) {
  close(open(other, O_CREAT | O_WRONLY, 0666));
  int result = FAILED(renameat2(AT_FDCWD, file, AT_FDCWD, other, RENAME_EXCHANGE));
  unlink(other);
  return result;
}

static int moved_directory(void) { return FAILED(renameat2(AT_FDCWD, directory, AT_FDCWD, other, 0)); }

/* One submission, and its result. */
static int by_ring(void) {
  struct io_uring_params params = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
  if (ring < 0) return opened(open(file, O_RDONLY)); /* The machine has none. */
  size_t questions = params.sq_off.array + sizeof(unsigned) * params.sq_entries;
  size_t answers = params.cq_off.cqes + sizeof(struct io_uring_cqe) * params.cq_entries;
  size_t size = questions > answers ? questions : answers;
  unsigned char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (rings == MAP_FAILED || entry == MAP_FAILED) return errno;
  memset(entry, 0, sizeof *entry);
  entry->opcode = IORING_OP_OPENAT;
  entry->fd = AT_FDCWD;
  entry->addr = (uint64_t)(uintptr_t)file;
  entry->open_flags = O_RDONLY;
  *(unsigned *)(rings + params.sq_off.array) = 0;
  __atomic_store_n((unsigned *)(rings + params.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) return errno;
  struct io_uring_cqe *done = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
  int result = done->res < 0 ? -done->res : opened(done->res);
  close(ring);
  return result;
}

static const struct {
  const char *name;
  int (*tries)(void);
} ways[] = {
    {"read by O_PATH", read_by_path_descriptor},
    {"file handle", file_handle},
    {"bind mount", bind_of_file},
    {"detached mount of the file", detached_tree},
    {"detached mount of the directory", detached_directory},
    {"working directory", from_directory},
    {"root directory", from_root},
    {"io_uring", by_ring},
    {"execveat of O_PATH", run_path_descriptor},
    {"link of O_PATH", link_of_path_descriptor},
    {"link by /proc", link_by_proc},
    {"write by O_PATH", write_by_path_descriptor},
    {"attribute by O_PATH", attribute_by_path_descriptor},
    {"truncation by O_PATH", truncate_by_path_descriptor},
    {"exchange", exchange},
    {"rename of the directory", moved_directory},
};

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  file = argv[1], directory = argv[2], other = argv[3], elsewhere = argv[4];
  if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return 2;
  for (size_t at = 0; at < sizeof ways / sizeof ways[0]; at++) {
    int result = ways[at].tries();
    printf("%s: %d\n", ways[at].name, result);
    fflush(stdout);
  }
  return 0;
}
