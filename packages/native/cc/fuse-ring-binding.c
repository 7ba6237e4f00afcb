/* The JavaScript face of fuse-ring.c. */
#include "native.h"

#include "fuse-ring.h"

#include <sys/mman.h>

/* The completion queue's own limit is 65536. */
#define ENTRIES_MAX 32768
/* Of one `add`: their iovecs are on the stack meanwhile. */
#define ADDED_MAX 1024

static void stop(struct fuse_ring *ring) {
  if (!ring->open) return;
  ring->open = false;
  uring_close(&ring->uring);
}

static void on_environment_end(void *data) {
  stop(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)hint;
  struct fuse_ring *ring = data;
  napi_remove_env_cleanup_hook(env, on_environment_end, ring);
  stop(ring);
  napi_delete_reference(env, ring->ready_ref);
  free(ring->entries);
  free(ring);
}

static struct fuse_ring *ring_of(struct args *args) {
  void *ring = NULL;
  if (args->failure == 0 && napi_unwrap(args->env, args->self, &ring) != napi_ok) {
    args->failure = ARGS_THROWN;
    napi_throw_type_error(args->env, NULL, "must be called on a ring");
  }
  if (args->failure == 0 && !((struct fuse_ring *)ring)->open) args->failure = EBADF;
  return ring;
}

struct block {
  uint8_t *memory;
  size_t bytes;
};

static void on_block_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  struct block *block = hint;
  munmap(block->memory, block->bytes);
  free(block);
}

static napi_value block_buffer(napi_env env, struct block *block) {
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, block->memory, block->bytes, on_block_collected, block, &buffer) == napi_ok) return buffer;
  munmap(block->memory, block->bytes);
  free(block);
  return NULL;
}

/* The object holds all blocks: the kernel is told of them, and JavaScript need not keep them alive. */
static void keep_block(struct args *args, napi_value buffer) {
  napi_value blocks;
  uint32_t count = 0;
  napi_get_named_property(args->env, args->self, "blocks", &blocks);
  napi_get_array_length(args->env, blocks, &count);
  napi_set_element(args->env, blocks, count, buffer);
}

static napi_value ring_add(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct fuse_ring *ring = ring_of(&args);
  uint32_t queue = arg_uint(&args, 0);
  uint32_t count = arg_uint(&args, 1);
  if (args.failure) return args_failed(&args);
  if (count == 0 || count > ADDED_MAX || ring->count + count > ring->limit) return result_number(env, -EINVAL);
  struct block *block = malloc(sizeof *block);
  if (block == NULL) return result_number(env, -ENOMEM);
  block->bytes = count * fuse_ring_entry_bytes(ring);
  block->memory = mmap(NULL, block->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block->memory == MAP_FAILED) {
    free(block);
    return result_number(env, -ENOMEM);
  }
  /* A huge page would hold the memory of two entries for the two pages that a request touches. */
  madvise(block->memory, block->bytes, MADV_NOHUGEPAGE);
  napi_value buffer = block_buffer(env, block);
  if (buffer == NULL) return result_number(env, -ENOMEM);
  keep_block(&args, buffer);
  int failure = fuse_ring_register(ring, block->memory, (uint16_t)queue, count);
  return failure < 0 ? result_number(env, failure) : buffer;
}

static napi_value ring_begin(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  struct fuse_ring *ring = ring_of(&args);
  if (args.failure) return args_failed(&args);
  uring_quiet(&ring->uring, true);
  return NULL;
}

static napi_value ring_turn(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct fuse_ring *ring = ring_of(&args);
  bool linger = arg_bool(&args, 0);
  uint32_t look_us = arg_uint(&args, 1);
  if (args.failure) return args_failed(&args);
  return result_number(env, fuse_ring_turn(ring, linger, look_us));
}

static napi_value ring_end(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  struct fuse_ring *ring = ring_of(&args);
  if (args.failure) return args_failed(&args);
  int failure = fuse_ring_settle(ring);
  uring_quiet(&ring->uring, false);
  uint64_t one = 1;
  if (fuse_ring_more(ring) && write(ring->uring.event_fd, &one, sizeof one) < 0) failure = -errno;
  return result_number(env, failure);
}

static napi_value ring_commit(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct fuse_ring *ring = ring_of(&args);
  uint32_t index = arg_uint(&args, 0);
  if (args.failure) return args_failed(&args);
  if (index >= ring->count) return result_number(env, -EINVAL);
  return result_number(env, fuse_ring_commit(ring, index));
}

static napi_value ring_submit(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  struct fuse_ring *ring = ring_of(&args);
  if (args.failure) return args_failed(&args);
  return result_number(env, uring_enter(&ring->uring, false));
}

static napi_value ring_close(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  void *ring = NULL;
  if (napi_unwrap(env, args.self, &ring) == napi_ok) stop(ring);
  return NULL;
}

/* ---- making one ---- */

static int prepare(struct fuse_ring *ring, napi_env env, int fuse_fd) {
  if (ring->limit == 0 || ring->limit > ENTRIES_MAX || ring->payload_bytes == 0) return -EINVAL;
  if (napi_get_uv_event_loop(env, (void *)&ring->loop) != napi_ok) return -EINVAL;
  ring->entries = calloc(ring->limit, sizeof *ring->entries);
  return ring->entries == NULL ? -ENOMEM : fuse_ring_open(ring, fuse_fd);
}

static napi_value face(napi_env env, struct fuse_ring *ring) {
  napi_value object, memory, ready, blocks;
  void *words = NULL;
  napi_create_object(env, &object);
  napi_create_arraybuffer(env, RING_READY_WORDS * sizeof(uint32_t), &words, &memory);
  napi_create_typedarray(env, napi_uint32_array, RING_READY_WORDS, memory, 0, &ready);
  napi_set_named_property(env, object, "ready", ready);
  napi_create_reference(env, memory, 1, &ring->ready_ref);
  napi_create_array(env, &blocks);
  napi_set_named_property(env, object, "blocks", blocks);
  ring->ready = words;
  ring->open = true;
  set_number(env, object, "eventFd", ring->uring.event_fd);
  set_number(env, object, "entryBytes", (double)fuse_ring_entry_bytes(ring));
  set_number(env, object, "requestAt", RING_REQUEST_AT);
  set_number(env, object, "replyAt", RING_REPLY_AT);
  set_method(env, object, "add", ring_add);
  set_method(env, object, "begin", ring_begin);
  set_method(env, object, "turn", ring_turn);
  set_method(env, object, "end", ring_end);
  set_method(env, object, "commit", ring_commit);
  set_method(env, object, "submit", ring_submit);
  set_method(env, object, "close", ring_close);
  napi_wrap(env, object, ring, on_collected, NULL, NULL);
  napi_add_env_cleanup_hook(env, on_environment_end, ring);
  return object;
}

static napi_value make_ring(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  int fuse_fd = arg_int(&args, 0);
  uint32_t limit = arg_uint(&args, 1);
  uint32_t payload_bytes = arg_uint(&args, 2);
  if (args.failure) return args_failed(&args);
  struct fuse_ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) return result_number(env, -ENOMEM);
  ring->limit = limit;
  ring->payload_bytes = payload_bytes;
  int failure = prepare(ring, env, fuse_fd);
  if (failure == 0) return face(env, ring);
  free(ring->entries);
  free(ring);
  return result_number(env, failure);
}

const struct exported fuse_ring_functions[] = {{"fuseRing", make_ring}, {NULL, NULL}};
