/*
 * Records over a unix SOCK_SEQPACKET, with descriptors: one call sends or receives one whole record, and waits a bounded
 * time at most. Nothing is closed here: closing may wait for the server of the file, which could be the peer.
 */
#include "native.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* SCM_MAX_FD of the kernel. */
#define FDS_MAX 253
#define RECORD_MAX 65535
/* The result holds the length below, the count of descriptors above, and above that whether more came than there was room for. */
#define COUNT_SHIFT 16
#define TRUNCATED (INT64_C(1) << 32)

union control {
  char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
  struct cmsghdr align;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0 when `fd` is ready or has an error that the next call will tell, -ETIMEDOUT, or a negative errno. */
static int64_t wait_for(int fd, short events, int64_t until_ms) {
  struct pollfd wanted = {.fd = fd, .events = events, .revents = 0};
  for (;;) {
    int64_t left = until_ms - now_ms();
    int ready = poll(&wanted, 1, left > 0 ? (int)left : 0);
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return -errno;
    if (ready == 0) return -ETIMEDOUT;
  }
}

static napi_value seqpacket_pair(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct slice out = arg_typed(&args, 0, napi_int32_array);
  if (!args.failure && out.length < 2) args_throw_range(&args, "the array must hold 2 descriptors");
  if (args.failure) return args_failed(&args);
  return result(env, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, (int *)(void *)out.data));
}

/* The second one waits in reads and writes, as programs expect it of their standard files. */
static napi_value stream_pair(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct slice out = arg_typed(&args, 0, napi_int32_array);
  if (!args.failure && out.length < 2) args_throw_range(&args, "the array must hold 2 descriptors");
  if (args.failure) return args_failed(&args);
  int *pair = (int *)(void *)out.data;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return result_number(env, -errno);
  return result(env, fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK));
}

static int64_t send_record(int fd, const struct msghdr *message, int64_t timeout_ms) {
  int64_t until = 0;
  for (;;) {
    ssize_t sent = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || timeout_ms <= 0) return -errno;
    if (until == 0) until = now_ms() + timeout_ms;
    int64_t status = wait_for(fd, POLLOUT, until);
    if (status < 0) return status;
  }
}

static napi_value send_message(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 6);
  int fd = arg_int(&args, 0);
  struct slice bytes = arg_bytes(&args, 1);
  int64_t length = arg_int64(&args, 2);
  struct slice fds = arg_typed(&args, 3, napi_int32_array);
  int64_t count = arg_int64(&args, 4);
  int64_t timeout_ms = arg_int64(&args, 5);
  if (!args.failure && (length < 0 || (uint64_t)length > bytes.length || count < 0 || (uint64_t)count > fds.length || count > FDS_MAX)) {
    args_throw_range(&args, "length or count reach beyond what was given");
  }
  if (args.failure) return args_failed(&args);
  struct iovec piece = {bytes.data, (size_t)length};
  union control control;
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(header), fds.data, (size_t)count * sizeof(int));
  }
  return result_number(env, send_record(fd, &message, timeout_ms));
}

/* Moves the descriptors that came into `fds`, which has the room that the kernel was told of. */
static size_t take_fds(struct msghdr *message, int *fds) {
  size_t taken = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds + taken, CMSG_DATA(header), count * sizeof(int));
    taken += count;
  }
  return taken;
}

static int64_t receive_record(int fd, struct msghdr *message, int64_t timeout_ms) {
  int64_t until = 0;
  for (;;) {
    ssize_t length = recvmsg(fd, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length >= 0) return length;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || timeout_ms <= 0) return -errno;
    if (until == 0) until = now_ms() + timeout_ms;
    int64_t status = wait_for(fd, POLLIN, until);
    if (status < 0) return status;
  }
}

static napi_value receive_message(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  int fd = arg_int(&args, 0);
  struct slice bytes = arg_bytes(&args, 1);
  struct slice fds = arg_typed(&args, 2, napi_int32_array);
  int64_t timeout_ms = arg_int64(&args, 3);
  if (args.failure) return args_failed(&args);
  struct iovec piece = {bytes.data, bytes.length < RECORD_MAX ? bytes.length : RECORD_MAX};
  union control control;
  size_t room = fds.length < FDS_MAX ? fds.length : FDS_MAX;
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (room > 0) {
    /* Not CMSG_SPACE, which rounds up: the kernel would find room for one more. */
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_LEN(room * sizeof(int));
  }
  int64_t length = receive_record(fd, &message, timeout_ms);
  if (length < 0) return result_number(env, length);
  size_t count = take_fds(&message, (int *)(void *)fds.data);
  int64_t truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? TRUNCATED : 0;
  return result_number(env, length | ((int64_t)count << COUNT_SHIFT) | truncated);
}

static napi_value poll_now(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  struct pollfd wanted = {.fd = arg_int(&args, 0), .events = (short)arg_int(&args, 1), .revents = 0};
  int timeout_ms = arg_int(&args, 2);
  if (args.failure) return args_failed(&args);
  int ready;
  do ready = poll(&wanted, 1, timeout_ms);
  while (ready < 0 && errno == EINTR);
  if (ready < 0) return result_number(env, -errno);
  if (wanted.fd < 0 || (wanted.revents & POLLNVAL)) return result_number(env, -EBADF);
  return result_number(env, wanted.revents);
}

static napi_value status_flags(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, fcntl(fd, F_GETFL));
}

static napi_value descriptor_flags(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, fcntl(fd, F_GETFD));
}

static napi_value shutdown_sending(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, shutdown(fd, SHUT_WR));
}

const struct exported messages_functions[] = {
  {"seqpacketPair", seqpacket_pair}, {"streamPair", stream_pair}, {"shutdownSending", shutdown_sending}, {"sendMessage", send_message}, {"receiveMessage", receive_message},
  {"pollNow", poll_now},             {"statusFlags", status_flags}, {"descriptorFlags", descriptor_flags}, {NULL, NULL},
};
