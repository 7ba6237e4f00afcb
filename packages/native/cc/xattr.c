/*
 * Extended attributes by (directory, name), never following a link: the ...xattrat(2) calls of Linux 6.13, else through
 * /proc/self/fd. An empty name is the object that the descriptor itself stands for.
 */
#include "native.h"

#include <sys/xattr.h>

enum action { GET, SET, LIST, REMOVE };

struct request {
  enum action action;
  const char *attribute;
  void *value;
  size_t size;
  int flags;
  /* Of the object. */
  int dirfd;
  const char *name;
};

static int64_t by_descriptor(int fd, const struct request *request) {
  switch (request->action) {
    case GET: return or_errno(fgetxattr(fd, request->attribute, request->value, request->size));
    case SET: return or_errno(fsetxattr(fd, request->attribute, request->value, request->size, request->flags));
    case LIST: return or_errno(flistxattr(fd, request->value, request->size));
    case REMOVE: return or_errno(fremovexattr(fd, request->attribute));
  }
  return -EINVAL;
}

/* /proc/self/fd/N leads to the object itself, even to a symlink; it is not followed further. */
static int64_t by_proc(int fd, const struct request *request) {
  char path[32];
  proc_fd_path(path, fd);
  switch (request->action) {
    case GET: return or_errno(getxattr(path, request->attribute, request->value, request->size));
    case SET: return or_errno(setxattr(path, request->attribute, request->value, request->size, request->flags));
    case LIST: return or_errno(listxattr(path, request->value, request->size));
    case REMOVE: return or_errno(removexattr(path, request->attribute));
  }
  return -EINVAL;
}

static int64_t by_name(int dirfd, const char *name, const struct request *request) {
  struct {
    uint64_t value;
    uint32_t size, flags;
  } in = {(uint64_t)(uintptr_t)request->value, (uint32_t)request->size, (uint32_t)request->flags};
  const int at = AT_SYMLINK_NOFOLLOW;
  switch (request->action) {
    case GET: return or_errno(syscall(SLUICE_SYS_getxattrat, dirfd, name, at, request->attribute, &in, sizeof in));
    case SET: return or_errno(syscall(SLUICE_SYS_setxattrat, dirfd, name, at, request->attribute, &in, sizeof in));
    case LIST: return or_errno(syscall(SLUICE_SYS_listxattrat, dirfd, name, at, request->value, request->size));
    case REMOVE: return or_errno(syscall(SLUICE_SYS_removexattrat, dirfd, name, at, request->attribute));
  }
  return -EINVAL;
}

/*
 * Only an O_PATH descriptor takes the detour: f...xattr(2) and AT_EMPTY_PATH alike refuse it with EBADF. Most are of directories, which "."
 * leads to (ENOTDIR: it is of something else; EACCES: it is of a directory that we may not search, which /proc does not ask for).
 */
static int64_t on_itself(int fd, const struct request *request) {
  int64_t status = by_descriptor(fd, request);
  if (status != -EBADF || fd < 0) return status;
  if (!assume_old_kernel) {
    status = by_name(fd, ".", request);
    if (status != -ENOSYS && status != -ENOTDIR && status != -EACCES) return status;
  }
  if (fcntl(fd, F_GETFD) < 0) return -errno;
  return by_proc(fd, request);
}

static int64_t perform(int dirfd, const char *name, const struct request *request) {
  if (name[0] == 0) return on_itself(dirfd, request);
  if (!assume_old_kernel) {
    int64_t status = by_name(dirfd, name, request);
    if (status != -ENOSYS) return status;
  }
  int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  int64_t status = by_proc(fd, request);
  close(fd);
  return status;
}

static int64_t performed(void *data) {
  const struct request *request = data;
  return perform(request->dirfd, request->name, request);
}

static int64_t perform_reading(struct request *request) {
  return retried_as_owner(performed(request), performed, request);
}

static napi_value fs_getxattrat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name name, attribute;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  arg_name(&args, 2, &attribute);
  struct slice value = arg_bytes(&args, 3);
  if (args.failure) return args_failed(&args);
  struct request request = {GET, attribute.bytes, value.data, value.length, 0, dirfd, name.bytes};
  return result_number(env, perform_reading(&request));
}

static napi_value fs_setxattrat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  struct name name, attribute;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  arg_name(&args, 2, &attribute);
  struct slice value = arg_bytes(&args, 3);
  int flags = arg_int(&args, 4);
  if (args.failure) return args_failed(&args);
  /* An access control list sets the mode, too. */
  if (strncmp(attribute.bytes, "system.", 7) == 0) fsetid_put_back();
  struct request request = {SET, attribute.bytes, value.data, value.length, flags, dirfd, name.bytes};
  return result_number(env, performed(&request));
}

/*
 * The kernel allocates as much as it is offered (fs/xattr.c listxattr), which for the longest list takes as long as all the rest.
 * Most lists are short.
 */
#define SHORT_LIST 1024

static int64_t list_names(int dirfd, const char *name, struct slice list) {
  struct request request = {LIST, NULL, list.data, list.length < SHORT_LIST ? list.length : SHORT_LIST, 0, dirfd, name};
  int64_t status = perform_reading(&request);
  if (status != -ERANGE || list.length <= SHORT_LIST) return status;
  request.size = list.length;
  return perform_reading(&request);
}

int64_t xattr_list_length(int fd) {
  struct request request = {LIST, NULL, NULL, 0, 0, fd, ""};
  return perform_reading(&request);
}

int64_t xattr_get(int dirfd, const char *name, const char *attribute, struct slice value) {
  struct request request = {GET, attribute, value.data, value.length, 0, dirfd, name};
  return perform_reading(&request);
}

int64_t xattr_set(int fd, const char *attribute, struct slice value) {
  struct request request = {SET, attribute, value.data, value.length, 0, fd, ""};
  return performed(&request);
}

static napi_value fs_listxattrat(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  struct slice list = arg_bytes(&args, 2);
  if (args.failure) return args_failed(&args);
  return result_number(env, list_names(dirfd, name.bytes, list));
}

static napi_value fs_removexattrat(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  struct name name, attribute;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  arg_name(&args, 2, &attribute);
  if (args.failure) return args_failed(&args);
  struct request request = {REMOVE, attribute.bytes, NULL, 0, 0, dirfd, name.bytes};
  return result_number(env, performed(&request));
}

const struct exported xattr_functions[] = {
  {"getxattrat", fs_getxattrat},
  {"setxattrat", fs_setxattrat},
  {"listxattrat", fs_listxattrat},
  {"removexattrat", fs_removexattrat},
  {NULL, NULL},
};
