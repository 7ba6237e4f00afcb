/* Opens the file as a member of a group and after it has left the group: by a call, and by a thread of io_uring from before. Prints errnos. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *file;

static int opened(int fd) {
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

static int by_call(void) { return opened(open(file, O_RDONLY)); }

/* Each call has a ring of its own: the threads that do the work belong to the process. */
static int by_ring(void) {
  struct io_uring_params params = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
  if (ring < 0) return by_call(); /* The machine has none. */
  size_t entries = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  size_t answers = params.cq_off.cqes + sizeof(struct io_uring_cqe) * params.cq_entries;
  size_t size = entries > answers ? entries : answers;
  unsigned char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (rings == MAP_FAILED || entry == MAP_FAILED) return errno;
  *entry = (struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .flags = IOSQE_ASYNC, .fd = AT_FDCWD};
  entry->addr = (unsigned long)file;
  *(unsigned *)(rings + params.sq_off.array) = 0;
  __atomic_store_n((unsigned *)(rings + params.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) return errno;
  int result = ((struct io_uring_cqe *)(rings + params.cq_off.cqes))->res;
  close(ring);
  errno = -result;
  return opened(result);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  file = arguments[1];
  gid_t group = (gid_t)atoi(arguments[2]);
  if (setgroups(1, &group) < 0) return 1;
  printf("member: %d %d\n", by_call(), by_ring());
  if (setgroups(0, NULL) < 0) return 1;
  printf("left: %d %d\n", by_call(), by_ring());
  return 0;
}
