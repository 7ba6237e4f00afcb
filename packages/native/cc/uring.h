/*
 * A plain io_uring: set up, mapped, submitted to and reaped by one thread. It knows nothing of FUSE, and needs no liburing.
 */
#ifndef SLUICE_URING_H
#define SLUICE_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A submission of 128 bytes (IORING_SETUP_SQE128), as far as it is used here. */
struct uring_sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  /* A command's number in the low word; else an offset. */
  uint64_t command;
  uint64_t addr;
  uint32_t len;
  uint32_t op_flags;
  uint64_t user_data;
  uint64_t unused;
  uint8_t payload[80];
};
_Static_assert(sizeof(struct uring_sqe) == 128, "the kernel's layout");

struct uring_cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};

struct uring {
  int fd;
  /* The name of the ring for `uring_enter`: its place among the thread's registered rings, or `fd`. */
  int enter_fd;
  unsigned enter_flags;
  /* Signalled when something completes, except while `uring_quiet`. */
  int event_fd;
  uint32_t sq_entries, sq_mask, cq_mask;
  /* Filled, not submitted yet. */
  uint32_t pending;
  uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail, *cq_flags;
  struct uring_sqe *sqes;
  struct uring_cqe *cqes;
  void *rings;
  size_t rings_bytes, sqes_bytes;
};

/* 0 or a negative errno, with nothing left open. `completions`: how many may be outstanding at a time. */
int uring_open(struct uring *ring, uint32_t submissions, uint32_t completions);
/* Cancels what is outstanding; the kernel lets go of it in the background. */
void uring_close(struct uring *ring);
/* The files that submissions name by their place in the list (SQE_FIXED_FILE): looked up once, not each time. */
#define SQE_FIXED_FILE 1
int uring_files(struct uring *ring, const int *files, uint32_t count);
/* A zeroed submission to fill in; if the queue is full, pending ones are submitted first. NULL if that fails. */
struct uring_sqe *uring_submission(struct uring *ring);
/*
 * Submits what is pending and runs the completions' work; waits for one where asked to and none is there. 0 or a
 * negative errno (never -EINTR: having waited in vain is no failure).
 */
int uring_enter(struct uring *ring, bool wait);
/* The next completion, or NULL; `uring_seen` hands it back. */
struct uring_cqe *uring_completion(struct uring *ring);
void uring_seen(struct uring *ring);
/* Something has completed, or would with the next `uring_enter`. */
bool uring_has_work(struct uring *ring);
/* Stops signalling the eventfd, or starts again: whoever starts must ask `uring_has_work` afterwards. */
void uring_quiet(struct uring *ring, bool quiet);

#endif
