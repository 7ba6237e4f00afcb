/* File handles: naming an object without a path, and opening it again. */
#include "native.h"

#define HANDLE_BYTES_MAX 128

struct handle {
  uint32_t bytes;
  int32_t type;
  uint8_t data[HANDLE_BYTES_MAX];
};

static napi_value fs_name_to_handle_at(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name name;
  struct handle handle = {0};
  int mount_id;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  int flags = arg_int(&args, 2);
  struct slice out = arg_bytes(&args, 3);
  if (args.failure) return args_failed(&args);
  handle.bytes = out.length < HANDLE_BYTES_MAX ? (uint32_t)out.length : HANDLE_BYTES_MAX;
  if (syscall(SYS_name_to_handle_at, dirfd, name.bytes, &handle, &mount_id, flags) < 0) return result_number(env, -errno);
  if (handle.type < 0 || handle.type > INT16_MAX) return result_number(env, -EOVERFLOW);
  memcpy(out.data, handle.data, handle.bytes);
  return result_number(env, (int64_t)handle.bytes | ((int64_t)handle.type << 16));
}

static napi_value fs_open_by_handle_at(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct handle handle = {0};
  int mount_fd = arg_int(&args, 0);
  handle.type = arg_int(&args, 1);
  struct slice data = arg_bytes(&args, 2);
  int flags = arg_int(&args, 3);
  if (args.failure) return args_failed(&args);
  if (data.length > HANDLE_BYTES_MAX) return result_number(env, -EINVAL);
  handle.bytes = (uint32_t)data.length;
  memcpy(handle.data, data.data, data.length);
  return result(env, syscall(SYS_open_by_handle_at, mount_fd, &handle, flags | O_CLOEXEC));
}

const struct exported handles_functions[] = {
  {"nameToHandleAt", fs_name_to_handle_at},
  {"openByHandleAt", fs_open_by_handle_at},
  {NULL, NULL},
};
