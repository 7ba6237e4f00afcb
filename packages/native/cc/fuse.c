/* /dev/fuse: opening it, its ioctls, and the reads and writes of the request loop. */
#include "native.h"

#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

/* include/uapi/linux/fuse.h of 6.9; older distributions' headers lack it. */
struct backing_map {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
#define DEV_IOC_CLONE _IOR(229, 0, uint32_t)
#define DEV_IOC_BACKING_OPEN _IOW(229, 1, struct backing_map)
#define DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

static napi_value fuse_open(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

/* Only a regular file that the caller has open: the kernel would take an O_PATH descriptor, too. Gives the flags of its open. */
int64_t fuse_backing_refuse(int fd) {
  struct stat stat;
  int flags = fcntl(fd, F_GETFL);
  /* By number: fstat is a symbol only since glibc 2.33. */
  if (flags < 0 || syscall(SYS_fstat, fd, &stat) < 0) return -errno;
  if (!S_ISREG(stat.st_mode)) return -EINVAL;
  return (flags & O_PATH) ? -EBADF : flags;
}

int64_t fuse_backing_open(int fuse_fd, int fd) {
  struct backing_map map = {.fd = fd, .flags = 0, .padding = 0};
  return or_errno(ioctl(fuse_fd, DEV_IOC_BACKING_OPEN, &map));
}

static napi_value backing_open(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fuse_fd = arg_int(&args, 0);
  int fd = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result_number(env, fuse_backing_open(fuse_fd, fd));
}

static napi_value backing_close(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  int fuse_fd = arg_int(&args, 0);
  uint32_t id = arg_uint(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(fuse_fd, DEV_IOC_BACKING_CLOSE, &id));
}

static napi_value fuse_clone(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int clone_fd = arg_int(&args, 0);
  uint32_t fuse_fd = arg_uint(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(clone_fd, DEV_IOC_CLONE, &fuse_fd));
}

static napi_value fd_read(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  int fd = arg_int(&args, 0);
  struct slice piece = arg_piece(&args, 1);
  if (args.failure) return args_failed(&args);
  ssize_t count;
  do count = read(fd, piece.data, piece.length);
  while (count < 0 && errno == EINTR);
  return result(env, count);
}

/* Into the caller's memory: a number that is returned is an object of its own, but for small ones. */
static void tell_time_of(clockid_t id, struct slice clock) {
  struct timespec now;
  clock_gettime(id, &now);
  double us = (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
  memcpy(clock.data, &us, sizeof us);
}

static void tell_time(struct slice clock) {
  tell_time_of(CLOCK_MONOTONIC, clock);
}

/* As bytes: Node looks for the kind of a typed array by asking for one after the other, and for this one first of all but one. */
static struct slice arg_clock(struct args *args, size_t index) {
  struct slice clock = arg_bytes(args, index);
  if (!args->failure && clock.length < sizeof(double)) args_throw_range(args, "the clock must hold a number");
  return clock;
}

static napi_value read_clock(napi_env env, napi_callback_info info, clockid_t id) {
  struct args args = args_read_as_is(env, info, 1);
  struct slice clock = arg_clock(&args, 0);
  if (args.failure) return args_failed(&args);
  tell_time_of(id, clock);
  return result_number(env, 0);
}

static napi_value monotonic_clock(napi_env env, napi_callback_info info) {
  return read_clock(env, info, CLOCK_MONOTONIC);
}

static napi_value boot_clock(napi_env env, napi_callback_info info) {
  return read_clock(env, info, CLOCK_BOOTTIME);
}

/*
 * Reads as soon as there is something, for so long. It never yields the processor in between: on a busy machine it would
 * come back after milliseconds, while a sleeper is woken up at once.
 */
static napi_value read_request(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 6);
  int fd = arg_int(&args, 0);
  struct slice piece = arg_piece(&args, 1);
  int64_t limit_us = arg_int64(&args, 4);
  struct slice clock = arg_clock(&args, 5);
  if (args.failure) return args_failed(&args);
  int64_t until = limit_us == 0 ? 0 : monotonic_us() + limit_us;
  ssize_t count;
  for (;;) {
    count = syscall(SYS_read, fd, piece.data, piece.length);
    if (count >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    if (limit_us == 0 ? errno == EAGAIN : monotonic_us() >= until) break;
  }
  int failure = errno;
  tell_time(clock);
  errno = failure;
  return result(env, count);
}

static napi_value write_reply(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  int fd = arg_int(&args, 0);
  struct slice piece = arg_piece(&args, 1);
  struct slice clock = arg_clock(&args, 4);
  if (args.failure) return args_failed(&args);
  ssize_t count;
  do count = syscall(SYS_write, fd, piece.data, piece.length);
  while (count < 0 && errno == EINTR);
  int failure = errno;
  tell_time(clock);
  errno = failure;
  return result(env, count);
}

static napi_value fd_write(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  int fd = arg_int(&args, 0);
  struct slice piece = arg_piece(&args, 1);
  if (args.failure) return args_failed(&args);
  ssize_t count;
  do count = write(fd, piece.data, piece.length);
  while (count < 0 && errno == EINTR);
  return result(env, count);
}

static napi_value fd_write2(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 6);
  int fd = arg_int(&args, 0);
  struct slice head = arg_bytes(&args, 1);
  int64_t head_length = arg_int64(&args, 2);
  struct slice body = arg_piece(&args, 3);
  if (!args.failure && (head_length < 0 || (uint64_t)head_length > head.length)) {
    args_throw_range(&args, "the head is shorter than headLength");
  }
  if (args.failure) return args_failed(&args);
  struct iovec pieces[2] = {{head.data, (size_t)head_length}, {body.data, body.length}};
  ssize_t count;
  do count = writev(fd, pieces, 2);
  while (count < 0 && errno == EINTR);
  return result(env, count);
}

const struct exported fuse_functions[] = {
  {"fuseOpen", fuse_open},   {"backingOpen", backing_open}, {"backingClose", backing_close}, {"fuseClone", fuse_clone},
  {"read", fd_read},         {"readRequest", read_request},
  {"write", fd_write},       {"write2", fd_write2}, {"writeReply", write_reply},        {"monotonicClock", monotonic_clock},
  {"bootClock", boot_clock},
  {NULL, NULL},
};
