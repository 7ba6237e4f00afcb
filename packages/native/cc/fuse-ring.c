/*
 * FUSE over io_uring (Linux 6.14): requests come into memory that was handed to the kernel, and the answer to one fetches
 * the next. All queues, one a possible CPU, are entries of one io_uring that the event loop's thread serves.
 *
 * An entry's memory is laid out so that requests and replies are whole messages, as on /dev/fuse, without copying data:
 *
 *   0      what the kernel calls fuse_uring_req_header: in/out header, the operation's header, sizes
 *   4016   a request as /dev/fuse would give it: its two headers are moved here, before ...
 *   4096   ... the payload. A reply is built from 4080 on: its header, then its body in the payload's place.
 *
 * The headers before a WRITE's data take 80 bytes, so that they meet the payload; a shorter or longer operation's header
 * has its payload, which is names then, moved to it.
 */
#include "native.h"

#include "fuse-ring.h"

/* The few functions of libuv that are used: see poll.c. */
extern int uv_backend_fd(const uv_loop_t *loop);
extern int uv_backend_timeout(const uv_loop_t *loop);

#define OP_POLL_ADD 6
#define OP_POLL_REMOVE 7
#define OP_TIMEOUT 11
#define OP_TIMEOUT_REMOVE 12
#define OP_URING_CMD 46
#define POLL_IN 1
#define CMD_REGISTER 1
#define CMD_COMMIT_AND_FETCH 2

#define PAGE 4096
#define HEADERS_BYTES 288
#define IN_HEADER_BYTES 40
#define OUT_HEADER_BYTES 16
#define OP_HEADER_BYTES_MAX 128
/* user_data of the poll on the event loop itself. */
#define LOOP_READY UINT64_MAX
/*
 * user_data of the timer that ends a wait for the next request. One is set for many waits: setting one for each would
 * have the machine's timer set twice a request, which on a virtual machine costs more than the request.
 */
#define LINGER_OVER (UINT64_MAX - 1)
#define LINGER_NS 2000000
/* user_data of the cancellation of those two. */
#define TAKEN_BACK (UINT64_MAX - 2)
#define SUBMISSIONS 256
#define LOOKS_BETWEEN_CLOCKS 32
/* Places in the ring's list of files. */
#define FUSE_FILE 0
#define LOOP_FILE 1

/* include/uapi/linux/fuse.h of 6.14 */
struct uring_headers {
  uint8_t in_out[128];
  uint8_t operation[OP_HEADER_BYTES_MAX];
  uint64_t flags;
  uint64_t commit_id;
  uint32_t payload_bytes;
  uint32_t padding;
  uint64_t reserved;
};
_Static_assert(sizeof(struct uring_headers) == HEADERS_BYTES, "the kernel's layout");
struct uring_command {
  uint64_t flags;
  uint64_t commit_id;
  uint16_t queue;
  uint8_t padding[6];
};
struct in_header {
  uint32_t length, opcode;
  uint64_t unique;
};
struct out_header {
  uint32_t length;
  int32_t error;
  uint64_t unique;
};

size_t fuse_ring_entry_bytes(const struct fuse_ring *ring) {
  return (size_t)RING_PAYLOAD_AT + ((ring->payload_bytes + PAGE - 1) & ~(size_t)(PAGE - 1)) + PAGE;
}

static struct uring_sqe *command(struct fuse_ring *ring, uint32_t index, uint32_t number) {
  struct uring_sqe *sqe = uring_submission(&ring->uring);
  if (sqe == NULL) return NULL;
  struct entry *entry = &ring->entries[index];
  struct uring_command request = {.commit_id = entry->commit_id, .queue = entry->queue};
  sqe->opcode = OP_URING_CMD;
  sqe->flags = SQE_FIXED_FILE;
  sqe->fd = FUSE_FILE;
  sqe->command = number;
  sqe->user_data = index;
  memcpy(sqe->payload, &request, sizeof request);
  return sqe;
}

/* The iovecs are read while the submission is: they need not outlive uring_enter. */
int fuse_ring_register(struct fuse_ring *ring, uint8_t *memory, uint16_t queue, uint32_t count) {
  struct iovec {
    void *base;
    size_t length;
  } pieces[count][2];
  for (uint32_t at = 0; at < count; at++) {
    uint32_t index = ring->count++;
    uint8_t *piece = memory + at * fuse_ring_entry_bytes(ring);
    ring->entries[index] = (struct entry){.memory = piece, .queue = queue};
    struct uring_sqe *sqe = command(ring, index, CMD_REGISTER);
    if (sqe == NULL) return -EIO;
    pieces[at][0] = (struct iovec){piece, HEADERS_BYTES};
    pieces[at][1] = (struct iovec){piece + RING_PAYLOAD_AT, ring->payload_bytes};
    sqe->addr = (uint64_t)(uintptr_t)pieces[at];
    sqe->len = 2;
  }
  while (ring->uring.pending > 0) {
    int failure = uring_enter(&ring->uring, false);
    if (failure < 0) return failure;
  }
  return 0;
}

/* Makes one message of the parts the kernel gave; its length, or 0 if they do not fit each other. */
static uint32_t take(struct fuse_ring *ring, struct entry *entry) {
  const struct uring_headers *headers = (struct uring_headers *)entry->memory;
  uint8_t *payload = entry->memory + RING_PAYLOAD_AT;
  const struct in_header *in = (struct in_header *)headers->in_out;
  uint32_t payload_bytes = headers->payload_bytes;
  entry->commit_id = headers->commit_id;
  entry->held = true;
  if (payload_bytes > ring->payload_bytes || in->length < IN_HEADER_BYTES + payload_bytes) return 0;
  uint32_t operation_bytes = in->length - IN_HEADER_BYTES - payload_bytes;
  if (operation_bytes > OP_HEADER_BYTES_MAX) return 0;
  uint8_t *body = payload - IN_HEADER_BYTES;
  if (operation_bytes != IN_HEADER_BYTES) memmove(body + operation_bytes, payload, payload_bytes);
  memcpy(body, headers->operation, operation_bytes);
  memcpy(body - IN_HEADER_BYTES, headers->in_out, IN_HEADER_BYTES);
  return in->length;
}

int fuse_ring_commit(struct fuse_ring *ring, uint32_t index) {
  struct entry *entry = &ring->entries[index];
  if (!entry->held) return -EINVAL;
  struct uring_headers *headers = (struct uring_headers *)entry->memory;
  struct out_header out;
  memcpy(&out, entry->memory + RING_REPLY_AT, sizeof out);
  bool fits = out.unique == entry->commit_id && out.length >= OUT_HEADER_BYTES && out.length - OUT_HEADER_BYTES <= ring->payload_bytes;
  if (!fits) out = (struct out_header){.length = OUT_HEADER_BYTES, .error = -EIO, .unique = entry->commit_id};
  memcpy(headers->in_out, &out, sizeof out);
  headers->flags = 0;
  headers->payload_bytes = out.length - OUT_HEADER_BYTES;
  if (command(ring, index, CMD_COMMIT_AND_FETCH) == NULL) return -EIO;
  entry->held = false;
  return fits ? 0 : -EBADMSG;
}

static void watch_loop(struct fuse_ring *ring) {
  if (ring->loop_watched) return;
  struct uring_sqe *sqe = uring_submission(&ring->uring);
  if (sqe == NULL) return;
  sqe->opcode = OP_POLL_ADD;
  sqe->flags = SQE_FIXED_FILE;
  sqe->fd = LOOP_FILE;
  sqe->op_flags = POLL_IN;
  sqe->user_data = LOOP_READY;
  ring->loop_watched = true;
}

struct timespec64 {
  int64_t seconds, nanoseconds;
};

static void set_timer(struct fuse_ring *ring) {
  static const struct timespec64 limit = {.nanoseconds = LINGER_NS};
  if (ring->timer_set) return;
  struct uring_sqe *sqe = uring_submission(&ring->uring);
  if (sqe == NULL) return;
  sqe->opcode = OP_TIMEOUT;
  sqe->fd = -1;
  sqe->addr = (uint64_t)(uintptr_t)&limit;
  sqe->len = 1;
  sqe->user_data = LINGER_OVER;
  ring->timer_set = true;
}

static void on_ring_event(struct fuse_ring *ring, const struct uring_cqe *cqe) {
  bool happened = cqe->result != -ECANCELED;
  if (cqe->user_data == LOOP_READY) {
    ring->loop_watched = false;
    ring->loop_ready |= happened;
  } else if (cqe->user_data == LINGER_OVER) {
    ring->timer_set = false;
    ring->time_over |= happened;
  }
}

static void take_back(struct fuse_ring *ring, uint8_t operation, uint64_t what) {
  struct uring_sqe *sqe = uring_submission(&ring->uring);
  if (sqe == NULL) return;
  sqe->opcode = operation;
  sqe->fd = -1;
  sqe->addr = what;
  sqe->user_data = TAKEN_BACK;
}

/*
 * Nothing but requests may complete while the eventfd is armed. The kernel signals it for the first of several
 * completions only, and not at all if the completion comes from another eventfd's wake-up (libuv's threads wake the loop
 * by one): requests behind it would then never be reported. A ring that stuck so was seen on
 * Linux 6.18; the cause is inferred from the kernel's source.
 */
int fuse_ring_settle(struct fuse_ring *ring) {
  if (ring->loop_watched) take_back(ring, OP_POLL_REMOVE, LOOP_READY);
  if (ring->timer_set) take_back(ring, OP_TIMEOUT_REMOVE, LINGER_OVER);
  int failure = ring->uring.pending > 0 ? uring_enter(&ring->uring, false) : 0;
  struct uring_cqe *cqe;
  while ((cqe = uring_completion(&ring->uring)) != NULL && cqe->user_data >= TAKEN_BACK) {
    on_ring_event(ring, cqe);
    uring_seen(&ring->uring);
  }
  ring->loop_ready = ring->time_over = false;
  return failure;
}

bool fuse_ring_more(struct fuse_ring *ring) {
  return uring_has_work(&ring->uring) || ring->uring.pending > 0 || ring->loop_watched || ring->timer_set;
}

static uint32_t reap(struct fuse_ring *ring) {
  uint32_t count = 0;
  struct uring_cqe *cqe;
  while (count < RING_READY_MAX && (cqe = uring_completion(&ring->uring)) != NULL) {
    if (cqe->user_data >= TAKEN_BACK) {
      on_ring_event(ring, cqe);
    } else if (cqe->result == 0) {
      ring->ready[2 * count] = (uint32_t)cqe->user_data;
      ring->ready[2 * count + 1] = take(ring, &ring->entries[cqe->user_data]);
      count++;
    } else {
      /* The connection is over (-ENOTCONN), or the kernel does not take the entry: it brings nothing more. */
      ring->entries[cqe->user_data].held = false;
      ring->ready[2 * count] = (uint32_t)cqe->user_data;
      ring->ready[2 * count + 1] = RING_LOST;
      count++;
    }
    uring_seen(&ring->uring);
  }
  return count;
}

/* Lets the processor's other thread, if it has one, go first. */
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Whether the loop itself would sleep now. */
static bool may_wait(struct fuse_ring *ring) {
  return !ring->loop_ready && !ring->time_over && uring_completion(&ring->uring) == NULL && uv_backend_timeout(ring->loop) != 0;
}

/* The kernel tells of what would complete in the mapped ring (IORING_SQ_TASKRUN), so looking for it takes no system call. */
static bool comes_within(struct fuse_ring *ring, uint32_t look_us) {
  int64_t until = monotonic_us() + look_us;
  do {
    for (int look = 0; look < LOOKS_BETWEEN_CLOCKS; look++) {
      if (uring_has_work(&ring->uring)) return true;
      relax();
    }
  } while (monotonic_us() < until);
  return false;
}

int64_t fuse_ring_turn(struct fuse_ring *ring, bool linger, uint32_t look_us) {
  bool wait = linger && may_wait(ring);
  if (wait && look_us > 0) {
    int failure = ring->uring.pending > 0 ? uring_enter(&ring->uring, false) : 0;
    if (failure == 0 && comes_within(ring, look_us)) wait = false;
  }
  if (wait) {
    watch_loop(ring);
    set_timer(ring);
    wait = ring->loop_watched && ring->timer_set;
  }
  bool is_there = ring->uring.pending == 0 && uring_completion(&ring->uring) != NULL;
  int failure = is_there ? 0 : uring_enter(&ring->uring, wait);
  uint32_t count = reap(ring);
  if (count > 0) return count;
  ring->ready[RING_LOOP_WORD] = ring->loop_ready && !ring->time_over;
  ring->loop_ready = ring->time_over = false;
  return failure;
}

int fuse_ring_open(struct fuse_ring *ring, int fuse_fd) {
  int failure = uring_open(&ring->uring, SUBMISSIONS, ring->limit + SUBMISSIONS);
  if (failure < 0) return failure;
  const int files[] = {[FUSE_FILE] = fuse_fd, [LOOP_FILE] = uv_backend_fd(ring->loop)};
  failure = uring_files(&ring->uring, files, 2);
  if (failure < 0) uring_close(&ring->uring);
  return failure;
}
