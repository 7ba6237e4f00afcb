/*
 * Names: opening, making, linking, renaming and removing directory entries, and an object's mode, owner and times. File handles name an
 * object without a path.
 */
#include "native.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

bool assume_old_kernel = false;

void proc_fd_path(char path[32], int fd) {
  snprintf(path, 32, "/proc/self/fd/%d", fd);
}

int64_t names_openat(int dirfd, const char *name, int flags, mode_t mode) {
  return or_errno(syscall(SYS_openat, dirfd, name, flags | O_CLOEXEC, mode));
}

/* A file that is made with sgid keeps it, and one that is truncated keeps suid, only by CAP_FSETID. */
static bool opens_with_fsetid(int64_t flags, uint64_t mode) {
  return (flags & O_TRUNC) != 0 || ((flags & O_CREAT) != 0 && (mode & S_ISGID) != 0) || (flags & O_TMPFILE) == O_TMPFILE;
}

static napi_value fs_openat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  int flags = arg_int(&args, 2);
  uint32_t mode = arg_uint(&args, 3);
  if (args.failure) return args_failed(&args);
  if (opens_with_fsetid(flags, mode)) fsetid_put_back();
  return result_number(env, names_openat(dirfd, name.bytes, flags, mode));
}

struct open_request {
  int dirfd;
  const char *path;
  struct {
    uint64_t flags, mode, resolve;
  } how;
};

static int64_t open_resolved(void *data) {
  struct open_request *request = data;
  return or_errno(syscall(SLUICE_SYS_openat2, request->dirfd, request->path, &request->how, sizeof request->how));
}

static napi_value fs_openat2(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  struct name path;
  struct open_request request = {.dirfd = arg_int(&args, 0), .path = path.bytes};
  arg_name(&args, 1, &path);
  request.how.flags = arg_uint(&args, 2) | O_CLOEXEC;
  request.how.mode = arg_uint(&args, 3);
  request.how.resolve = arg_uint(&args, 4);
  if (args.failure) return args_failed(&args);
  if (opens_with_fsetid((int64_t)request.how.flags, request.how.mode)) fsetid_put_back();
  int64_t status = open_resolved(&request);
  bool reads = (request.how.flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY;
  return result_number(env, reads ? retried_as_owner(status, open_resolved, &request) : status);
}

/* Linux has closed the descriptor even if it answers EINTR: closing again would hit somebody else's. */
static napi_value fs_close(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  int status = close(fd);
  return result_number(env, status < 0 && errno != EINTR ? -errno : 0);
}

static napi_value fs_dupfd(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* Not close-on-exec: it is for standard input, output and error. */
static napi_value fs_dup2(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  int onto = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, dup2(fd, onto));
}

static napi_value fs_getdents64(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  int fd = arg_int(&args, 0);
  struct slice bytes = arg_bytes(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, syscall(SYS_getdents64, fd, bytes.data, bytes.length));
}

static napi_value fs_mkdirat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  uint32_t mode = arg_uint(&args, 2);
  if (args.failure) return args_failed(&args);
  return result(env, mkdirat(dirfd, name.bytes, mode));
}

static napi_value fs_mknodat(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 5);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  uint32_t mode = arg_uint(&args, 2);
  uint32_t major = arg_uint(&args, 3);
  uint32_t minor = arg_uint(&args, 4);
  if (args.failure) return args_failed(&args);
  /* By number: mknodat is a symbol only since glibc 2.33. The kernel takes 32 bits of a device number. */
  return result(env, syscall(SYS_mknodat, dirfd, name.bytes, mode, (uint32_t)makedev(major, minor)));
}

static napi_value fs_symlinkat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  struct name target, name;
  arg_name(&args, 0, &target);
  int dirfd = arg_int(&args, 1);
  arg_name(&args, 2, &name);
  if (args.failure) return args_failed(&args);
  return result(env, symlinkat(target.bytes, dirfd, name.bytes));
}

static napi_value fs_linkat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  struct name from, to;
  int from_dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &from);
  int to_dirfd = arg_int(&args, 2);
  arg_name(&args, 3, &to);
  int flags = arg_int(&args, 4);
  if (args.failure) return args_failed(&args);
  return result(env, linkat(from_dirfd, from.bytes, to_dirfd, to.bytes, flags));
}

static napi_value fs_unlinkat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  int flags = arg_int(&args, 2);
  if (args.failure) return args_failed(&args);
  return result(env, unlinkat(dirfd, name.bytes, flags));
}

struct rename_request {
  int from_dirfd;
  const char *from;
  int to_dirfd;
  const char *to;
  uint32_t flags;
};

static int64_t renamed(void *data) {
  struct rename_request *request = data;
  return or_errno(syscall(SYS_renameat2, request->from_dirfd, request->from, request->to_dirfd, request->to, request->flags));
}

static napi_value fs_renameat2(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  struct name from, to;
  struct rename_request request = {.from = from.bytes, .to = to.bytes};
  request.from_dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &from);
  request.to_dirfd = arg_int(&args, 2);
  arg_name(&args, 3, &to);
  request.flags = arg_uint(&args, 4);
  if (args.failure) return args_failed(&args);
  return result_number(env, retried_as_owner(renamed(&request), renamed, &request));
}

static napi_value fs_readlinkat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  struct slice bytes = arg_bytes(&args, 2);
  if (args.failure) return args_failed(&args);
  return result(env, readlinkat(dirfd, name.bytes, (char *)bytes.data, bytes.length));
}

static int64_t chmod_by_proc(int dirfd, const char *name, mode_t mode, int flags) {
  char path[32];
  bool itself = name[0] == 0 && (flags & AT_EMPTY_PATH) != 0;
  int nofollow = (flags & AT_SYMLINK_NOFOLLOW) ? O_NOFOLLOW : 0;
  int fd = itself ? dirfd : openat(dirfd, name, O_PATH | O_CLOEXEC | nofollow);
  if (fd < 0) return itself ? -EBADF : -errno;
  proc_fd_path(path, fd);
  int64_t status = or_errno(chmod(path, mode));
  if (!itself) close(fd);
  return itself && status == -ENOENT ? -EBADF : status;
}

int64_t names_fchmodat(int dirfd, const char *name, mode_t mode, int flags) {
  if (!assume_old_kernel) {
    int64_t status = or_errno(syscall(SLUICE_SYS_fchmodat2, dirfd, name, mode, flags));
    if (status != -ENOSYS) return status;
  }
  return chmod_by_proc(dirfd, name, mode, flags);
}

static napi_value fs_fchmodat(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  uint32_t mode = arg_uint(&args, 2);
  int flags = arg_int(&args, 3);
  if (args.failure) return args_failed(&args);
  return result_number(env, names_fchmodat(dirfd, name.bytes, mode, flags));
}

/* Whether the object has sgid, or nobody can tell: a change of its owner then clears more without CAP_FSETID. */
static bool may_have_sgid(int dirfd, const char *name, int flags) {
  struct stat stat;
  return syscall(SYS_newfstatat, dirfd, name, &stat, flags) < 0 || (stat.st_mode & S_ISGID) != 0;
}

static napi_value fs_fchownat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  uint32_t uid = arg_uint(&args, 2);
  uint32_t gid = arg_uint(&args, 3);
  int flags = arg_int(&args, 4);
  if (args.failure) return args_failed(&args);
  if (fsetid_is_out && may_have_sgid(dirfd, name.bytes, flags)) fsetid_put_back();
  return result(env, fchownat(dirfd, name.bytes, uid, gid, flags));
}

/* Flat arguments: dirfd, name, flags, then seconds and nanoseconds of atime and of mtime. */
static napi_value fs_utimensat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 7);
  struct name name;
  struct timespec times[2];
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  int flags = arg_int(&args, 2);
  for (size_t which = 0; which < 2; which++) {
    times[which].tv_sec = arg_int64(&args, 3 + 2 * which);
    times[which].tv_nsec = arg_int64(&args, 4 + 2 * which);
  }
  if (args.failure) return args_failed(&args);
  return result(env, syscall(SYS_utimensat, dirfd, name.bytes, times, flags));
}

#define HANDLE_BYTES_MAX 128

struct handle {
  uint32_t bytes;
  int32_t type;
  uint8_t data[HANDLE_BYTES_MAX];
};

int64_t handle_of(int dirfd, const char *name, int flags, struct slice out) {
  struct handle handle = {0};
  int mount_id;
  handle.bytes = out.length < HANDLE_BYTES_MAX ? (uint32_t)out.length : HANDLE_BYTES_MAX;
  if (syscall(SYS_name_to_handle_at, dirfd, name, &handle, &mount_id, flags) < 0) return -errno;
  if (handle.type < 0 || handle.type > INT16_MAX) return -EOVERFLOW;
  memcpy(out.data, handle.data, handle.bytes);
  return (int64_t)handle.bytes | ((int64_t)handle.type << 16);
}

static napi_value fs_name_to_handle_at(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  int flags = arg_int(&args, 2);
  struct slice out = arg_bytes(&args, 3);
  if (args.failure) return args_failed(&args);
  return result_number(env, handle_of(dirfd, name.bytes, flags, out));
}

static int64_t open_handle(int mount_fd, int type, struct slice data, int flags) {
  struct handle handle = {.bytes = (uint32_t)data.length, .type = type};
  if (data.length > HANDLE_BYTES_MAX) return -EINVAL;
  memcpy(handle.data, data.data, data.length);
  return or_errno(syscall(SYS_open_by_handle_at, mount_fd, &handle, flags | O_CLOEXEC));
}

static napi_value fs_open_by_handle_at(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  int mount_fd = arg_int(&args, 0);
  int type = arg_int(&args, 1);
  struct slice data = arg_bytes(&args, 2);
  int flags = arg_int(&args, 3);
  if (args.failure) return args_failed(&args);
  return result_number(env, open_handle(mount_fd, type, data, flags));
}

/* The path in its mount, as far as the kernel remembers one. */
static int64_t path_of(int fd, struct slice path) {
  char link[32];
  proc_fd_path(link, fd);
  return or_errno(readlink(link, (char *)path.data, path.length));
}

static napi_value fs_stat_by_handle(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  int mount_fd = arg_int(&args, 0);
  int type = arg_int(&args, 1);
  struct slice data = arg_bytes(&args, 2);
  struct slice words = arg_typed(&args, 3, napi_uint32_array);
  struct slice path = arg_bytes(&args, 4);
  if (!args.failure && words.length < STAT_WORDS) args_throw_range(&args, "the array must hold 32 words");
  if (args.failure) return args_failed(&args);
  int64_t fd = open_handle(mount_fd, type, data, O_PATH | O_NOFOLLOW);
  if (fd < 0) return result_number(env, fd);
  int64_t status = stat_descriptor((int)fd, (uint32_t *)(void *)words.data);
  int64_t length = status < 0 ? status : path_of((int)fd, path);
  close((int)fd);
  return result_number(env, status < 0 ? status : length < 0 ? 0 : length);
}

static napi_value fs_assume_old_kernel(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  bool on = arg_bool(&args, 0);
  if (args.failure) return args_failed(&args);
  assume_old_kernel = on;
  return NULL;
}

const struct exported names_functions[] = {
  {"openat", fs_openat},         {"openat2", fs_openat2},
  {"close", fs_close},           {"dupfd", fs_dupfd},             {"dup2", fs_dup2},
  {"statx", stat_statx},         {"statCached", stat_cached},     {"statWithAttribute", stat_with_attribute},
  {"getdents64", fs_getdents64},
  {"mkdirat", fs_mkdirat},       {"mknodat", fs_mknodat},
  {"symlinkat", fs_symlinkat},   {"linkat", fs_linkat},
  {"unlinkat", fs_unlinkat},     {"renameat2", fs_renameat2},
  {"readlinkat", fs_readlinkat}, {"fchmodat", fs_fchmodat},
  {"fchownat", fs_fchownat},     {"utimensat", fs_utimensat},
  {"nameToHandleAt", fs_name_to_handle_at}, {"openByHandleAt", fs_open_by_handle_at},
  {"statByHandle", fs_stat_by_handle},
  {"assumeOldKernel", fs_assume_old_kernel},
  {NULL, NULL},
};
