/* FUSE over io_uring without JavaScript: see fuse-ring.c. */
#ifndef SLUICE_FUSE_RING_H
#define SLUICE_FUSE_RING_H

#include "uring.h"

/* The part of libuv that is used: see poll.c. */
typedef struct uv_loop_s uv_loop_t;

/* The offset in an entry's memory at which a request is found and a reply is built. */
#define RING_PAYLOAD_AT 4096
#define RING_REQUEST_AT (RING_PAYLOAD_AT - 80)
#define RING_REPLY_AT (RING_PAYLOAD_AT - 16)
/* Requests that one turn brings, in pairs of entry and length, then a word that says whether the loop has something else. */
#define RING_READY_MAX 128
#define RING_LOOP_WORD (2 * RING_READY_MAX)
/* Instead of a length: the entry brings no more requests. */
#define RING_LOST UINT32_MAX
#define RING_READY_WORDS (2 * RING_READY_MAX + 2)

struct entry {
  uint8_t *memory;
  uint64_t commit_id;
  uint16_t queue;
  /* A request is in it that has not been answered. */
  bool held;
};

struct fuse_ring {
  struct uring uring;
  uv_loop_t *loop;
  uint32_t payload_bytes;
  struct entry *entries;
  uint32_t count, limit;
  /* Tells JavaScript which entries are ready: pairs of entry and request length, and LOOP_WORD. */
  uint32_t *ready;
  napi_ref ready_ref;
  bool loop_watched, timer_set;
  /* There is something besides requests, or the time is over: do not wait for those. */
  bool loop_ready, time_over;
  bool open;
};

/* 0 or a negative errno, with nothing left open. `limit` and `payload_bytes` are set before. */
int fuse_ring_open(struct fuse_ring *ring, int fuse_fd);
size_t fuse_ring_entry_bytes(const struct fuse_ring *ring);
/* Hands over `count` entries that lie in `memory` one after the other. 0 or a negative errno. */
int fuse_ring_register(struct fuse_ring *ring, uint8_t *memory, uint16_t queue, uint32_t count);
/*
 * Submits the committed entries and puts the ready ones into `ready`; their number, or a negative errno. With `linger`, if none
 * is ready: looks for one for so long, then sleeps a moment for it.
 */
int64_t fuse_ring_turn(struct fuse_ring *ring, bool linger, uint32_t look_us);
/* Submits what was committed, and takes back what turns wait by. */
int fuse_ring_settle(struct fuse_ring *ring);
/* There is something left for a turn or `fuse_ring_settle`. */
bool fuse_ring_more(struct fuse_ring *ring);
/* Hands the reply that was built in the entry to the kernel: with the next uring_enter. -EBADMSG: it was made EIO. */
int fuse_ring_commit(struct fuse_ring *ring, uint32_t index);

#endif
