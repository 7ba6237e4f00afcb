/* See uring.h. The rings are shared with the kernel: heads and tails are read and written with acquire and release order. */
#include "native.h"
#include "uring.h"

#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/* Of kernels newer than the oldest headers that are built with. */
#ifndef IORING_SETUP_SQE128
#define IORING_SETUP_SQE128 (1U << 10)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif
#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif
#define REGISTER_RING_FDS 20
#define UNREGISTER_RING_FDS 21
#define SYS_SETUP 425
#define SYS_ENTER 426
#define SYS_REGISTER 427


static uint32_t load(uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static uint32_t *word_at(struct uring *ring, uint32_t offset) {
  return (uint32_t *)((uint8_t *)ring->rings + offset);
}

static void *map(int fd, size_t bytes, off_t offset) {
  return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
}

static int map_rings(struct uring *ring, const struct io_uring_params *params) {
  size_t sq_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
  size_t cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct uring_cqe);
  ring->rings_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
  ring->sqes_bytes = params->sq_entries * sizeof(struct uring_sqe);
  ring->rings = map(ring->fd, ring->rings_bytes, IORING_OFF_SQ_RING);
  if (ring->rings == MAP_FAILED) return -errno;
  ring->sqes = map(ring->fd, ring->sqes_bytes, (off_t)IORING_OFF_SQES);
  if (ring->sqes == MAP_FAILED) return -errno;
  ring->sq_entries = params->sq_entries;
  ring->sq_mask = params->sq_entries - 1;
  ring->cq_mask = params->cq_entries - 1;
  ring->sq_head = word_at(ring, params->sq_off.head);
  ring->sq_tail = word_at(ring, params->sq_off.tail);
  ring->sq_flags = word_at(ring, params->sq_off.flags);
  ring->cq_head = word_at(ring, params->cq_off.head);
  ring->cq_tail = word_at(ring, params->cq_off.tail);
  ring->cq_flags = word_at(ring, params->cq_off.flags);
  ring->cqes = (struct uring_cqe *)((uint8_t *)ring->rings + params->cq_off.cqes);
  /* The n-th submission lies in the n-th place, always. */
  for (uint32_t at = 0; at < params->sq_entries; at++) word_at(ring, params->sq_off.array)[at] = at;
  return 0;
}

/* Saves each uring_enter a look-up; not to be had on an older kernel, and then done without. */
static void register_ring(struct uring *ring) {
  struct io_uring_rsrc_update update = {.offset = UINT32_MAX, .data = (uint64_t)ring->fd};
  ring->enter_fd = ring->fd;
  ring->enter_flags = IORING_ENTER_GETEVENTS;
  if (syscall(SYS_REGISTER, ring->fd, REGISTER_RING_FDS, &update, 1) != 1) return;
  ring->enter_fd = (int)update.offset;
  ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
}

/*
 * DEFER_TASKRUN: completions are worked on in `uring_enter` and nowhere else, so no system call of this thread is
 * interrupted for them. In return, the thread that makes the ring has to be the only one to use it.
 */
static int set_up(struct uring *ring, uint32_t submissions, uint32_t completions) {
  struct io_uring_params params = {0};
  params.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = completions;
  ring->fd = (int)syscall(SYS_SETUP, submissions, &params);
  if (ring->fd < 0) return -errno;
  if (!(params.features & IORING_FEAT_SINGLE_MMAP)) return -ENOSYS;
  int failure = map_rings(ring, &params);
  if (failure < 0) return failure;
  ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (ring->event_fd < 0) return -errno;
  if (syscall(SYS_REGISTER, ring->fd, IORING_REGISTER_EVENTFD, &ring->event_fd, 1) < 0) return -errno;
  register_ring(ring);
  return 0;
}

int uring_files(struct uring *ring, const int *files, uint32_t count) {
  return syscall(SYS_REGISTER, ring->fd, IORING_REGISTER_FILES, files, count) < 0 ? -errno : 0;
}

int uring_open(struct uring *ring, uint32_t submissions, uint32_t completions) {
  *ring = (struct uring){.fd = -1, .event_fd = -1, .rings = MAP_FAILED, .sqes = MAP_FAILED};
  int failure = set_up(ring, submissions, completions);
  if (failure < 0) uring_close(ring);
  return failure;
}

/* A registered ring is held by the thread until it is unregistered. */
static void unregister_ring(struct uring *ring) {
  struct io_uring_rsrc_update update = {.offset = (uint32_t)ring->enter_fd};
  if (ring->enter_flags & IORING_ENTER_REGISTERED_RING) syscall(SYS_REGISTER, ring->fd, UNREGISTER_RING_FDS, &update, 1);
}

void uring_close(struct uring *ring) {
  if (ring->fd >= 0) unregister_ring(ring);
  if (ring->rings != MAP_FAILED) munmap(ring->rings, ring->rings_bytes);
  if (ring->sqes != MAP_FAILED) munmap(ring->sqes, ring->sqes_bytes);
  if (ring->fd >= 0) close(ring->fd);
  if (ring->event_fd >= 0) close(ring->event_fd);
  *ring = (struct uring){.fd = -1, .event_fd = -1, .rings = MAP_FAILED, .sqes = MAP_FAILED};
}

struct uring_sqe *uring_submission(struct uring *ring) {
  uint32_t tail = *ring->sq_tail;
  if (tail - load(ring->sq_head) >= ring->sq_entries && uring_enter(ring, false) < 0) return NULL;
  if (tail - load(ring->sq_head) >= ring->sq_entries) return NULL;
  struct uring_sqe *sqe = &ring->sqes[tail & ring->sq_mask];
  memset(sqe, 0, sizeof *sqe);
  /* Nobody reads past the tail before uring_enter: the caller fills the submission in before that. */
  __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
  ring->pending++;
  return sqe;
}

int uring_enter(struct uring *ring, bool wait) {
  long submitted = syscall(SYS_ENTER, ring->enter_fd, ring->pending, wait ? 1 : 0, ring->enter_flags, NULL, 0);
  if (submitted >= 0) {
    ring->pending -= (uint32_t)submitted;
    return 0;
  }
  /* The queue's head tells what was submitted: the result is the wait's. */
  ring->pending = *ring->sq_tail - load(ring->sq_head);
  return errno == EINTR ? 0 : -errno;
}

struct uring_cqe *uring_completion(struct uring *ring) {
  uint32_t head = *ring->cq_head;
  return head == load(ring->cq_tail) ? NULL : &ring->cqes[head & ring->cq_mask];
}

void uring_seen(struct uring *ring) {
  __atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
}

bool uring_has_work(struct uring *ring) {
  return *ring->cq_head != load(ring->cq_tail) || (load(ring->sq_flags) & IORING_SQ_TASKRUN) != 0;
}

void uring_quiet(struct uring *ring, bool quiet) {
  uint64_t count;
  if (quiet) {
    __atomic_store_n(ring->cq_flags, IORING_CQ_EVENTFD_DISABLED, __ATOMIC_RELEASE);
    while (read(ring->event_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
  } else {
    __atomic_store_n(ring->cq_flags, 0, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
  }
}
