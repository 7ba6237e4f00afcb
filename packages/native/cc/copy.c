/*
 * The steps of a copy-up: each is a fixed sequence of calls. A call from JavaScript costs about as much as a short system call, and far
 * more while V8 has not compiled its caller: a copy-up is long code that runs rarely.
 */
#include "native.h"

#include <sys/stat.h>

#define COPY_PIECE (64 * 1024)

static int64_t read_piece(int fd, uint8_t *bytes, size_t length, off_t position) {
  ssize_t count;
  do count = pread(fd, bytes, length, position);
  while (count < 0 && errno == EINTR);
  return or_errno(count);
}

static int64_t write_piece(int fd, const uint8_t *bytes, size_t length, off_t position) {
  size_t done = 0;
  while (done < length) {
    ssize_t count = pwrite(fd, bytes + done, length - done, position + (off_t)done);
    if (count < 0 && errno != EINTR) return -errno;
    if (count == 0) return -ENOSPC;
    if (count > 0) done += (size_t)count;
  }
  return 0;
}

/* Whether writing to the file clears a bit of its mode without CAP_FSETID, or nobody can tell. */
static bool may_have_suid(int fd) {
  struct stat stat;
  return syscall(SYS_fstat, fd, &stat) < 0 || (stat.st_mode & (S_ISUID | S_ISGID)) != 0;
}

static napi_value fs_copy_bytes(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  uint8_t bytes[COPY_PIECE];
  int target = arg_int(&args, 0);
  int source = arg_int(&args, 1);
  int64_t length = arg_offset(&args, 2);
  if (args.failure) return args_failed(&args);
  if (fsetid_is_out && may_have_suid(target)) fsetid_put_back();
  int64_t done = 0;
  while (done < length) {
    int64_t piece = length - done < COPY_PIECE ? length - done : COPY_PIECE;
    int64_t count = read_piece(source, bytes, (size_t)piece, done);
    if (count <= 0) return result_number(env, count < 0 ? count : done);
    int64_t status = write_piece(target, bytes, (size_t)count, done);
    if (status < 0) return result_number(env, status);
    done += count;
  }
  return result_number(env, done);
}

/* A file's mode and times, as statx leaves them in its words (stat.c). */
static struct timespec time_of(const uint32_t *words, size_t seconds, size_t nanoseconds) {
  uint64_t sec = words[seconds] | ((uint64_t)words[seconds + 1] << 32);
  return (struct timespec){.tv_sec = (time_t)(int64_t)sec, .tv_nsec = words[nanoseconds]};
}

static napi_value fs_set_mode_and_times(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  int fd = arg_int(&args, 0);
  struct slice slice = arg_typed(&args, 1, napi_uint32_array);
  if (!args.failure && slice.length < 16) args_throw_range(&args, "the array must hold the words of a stat");
  if (args.failure) return args_failed(&args);
  const uint32_t *words = (const uint32_t *)(const void *)slice.data;
  if (words[15] & S_ISGID) fsetid_put_back();
  const struct timespec times[2] = {time_of(words, 6, 12), time_of(words, 8, 13)};
  int64_t status = S_ISLNK(words[15]) ? 0 : names_fchmodat(fd, "", words[15] & 07777, AT_EMPTY_PATH);
  if (status < 0) return result_number(env, status);
  return result(env, syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

/* The times are restored by the way: whether that works makes no difference to the result. */
static napi_value fs_move_keeping_times(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name from, to;
  struct stat before;
  int from_dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &from);
  int to_dirfd = arg_int(&args, 2);
  arg_name(&args, 3, &to);
  if (args.failure) return args_failed(&args);
  /* By number: fstat is a symbol only since glibc 2.33. */
  bool known = syscall(SYS_fstat, to_dirfd, &before) == 0;
  if (syscall(SYS_renameat2, from_dirfd, from.bytes, to_dirfd, to.bytes, 1 /* RENAME_NOREPLACE */) < 0) return result_number(env, -errno);
  const struct timespec times[2] = {before.st_atim, before.st_mtim};
  if (known) syscall(SYS_utimensat, to_dirfd, "", times, AT_EMPTY_PATH);
  return result_number(env, 0);
}

const struct exported copy_functions[] = {
  {"copyBytes", fs_copy_bytes},
  {"setModeAndTimes", fs_set_mode_and_times},
  {"moveKeepingTimes", fs_move_keeping_times},
  {NULL, NULL},
};
