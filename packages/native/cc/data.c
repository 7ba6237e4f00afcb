/* A file's content: reading and writing at a position, size, seeking, reflinks, inode flags, locks. */
#include "native.h"

#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

int64_t data_transfer(const struct transfer *transfer) {
  struct iovec piece = {transfer->data, transfer->length};
  long number = transfer->writing ? SYS_pwritev2 : SYS_preadv2;
  int64_t count;
  do {
    if (transfer->flags != 0) count = syscall(number, transfer->fd, &piece, 1L, transfer->position, 0L, transfer->flags);
    else if (transfer->writing) count = pwrite(transfer->fd, transfer->data, transfer->length, transfer->position);
    else count = pread(transfer->fd, transfer->data, transfer->length, transfer->position);
  } while (count < 0 && errno == EINTR);
  return or_errno(count);
}

/* Flat arguments: fd, bytes, offset, length, position, flags. */
struct transfer data_arguments(struct args *args, bool writing) {
  struct transfer transfer;
  transfer.writing = writing;
  transfer.fd = arg_int(args, 0);
  struct slice piece = arg_piece(args, 1);
  transfer.data = piece.data;
  transfer.length = piece.length;
  transfer.position = arg_offset(args, 4);
  transfer.flags = arg_int(args, 5);
  return transfer;
}

static napi_value fs_pread(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 6);
  struct transfer transfer = data_arguments(&args, false);
  if (args.failure) return args_failed(&args);
  return result_number(env, data_transfer(&transfer));
}

static napi_value fs_pwrite(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 6);
  struct transfer transfer = data_arguments(&args, true);
  if (args.failure) return args_failed(&args);
  return result_number(env, data_transfer(&transfer));
}

static napi_value fs_ftruncate(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  int64_t size = arg_offset(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, ftruncate(fd, size));
}

static napi_value fs_lseek(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  int fd = arg_int(&args, 0);
  int64_t offset = arg_offset(&args, 1);
  int whence = arg_int(&args, 2);
  if (args.failure) return args_failed(&args);
  return result_offset(env, or_errno(lseek(fd, offset, whence)));
}

/* Without CAP_FSETID the target would lose suid and sgid: it is a new file, which has neither. */
static napi_value fs_ficlone(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  int target = arg_int(&args, 0);
  int source = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(target, FICLONE, source));
}

static napi_value fs_fsync(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, fsync(fd));
}

/* The kernel moves an int here, whatever the ioctl's number says of a long. */
static napi_value fs_get_flags(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 1);
  uint32_t flags[2] = {0, 0};
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  if (ioctl(fd, FS_IOC_GETFLAGS, flags) < 0) return result_number(env, -errno);
  return result_number(env, flags[0]);
}

static napi_value fs_set_flags(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  uint32_t flags[2] = {arg_uint(&args, 1), 0};
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(fd, FS_IOC_SETFLAGS, flags));
}

/* struct fsuuid2 and its ioctl are new in 6.9's headers. */
struct fs_uuid {
  uint8_t length;
  uint8_t bytes[16];
};
#define GET_FS_UUID _IOR(0x15, 0, struct fs_uuid)

static napi_value fs_get_fs_uuid(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct fs_uuid uuid = {0};
  int fd = arg_int(&args, 0);
  struct slice out = arg_bytes(&args, 1);
  if (!args.failure && out.length < sizeof uuid.bytes) args_throw_range(&args, "the buffer must hold 16 bytes");
  if (args.failure) return args_failed(&args);
  if (ioctl(fd, GET_FS_UUID, &uuid) < 0) return result_number(env, -errno);
  memcpy(out.data, uuid.bytes, sizeof uuid.bytes);
  return result_number(env, uuid.length);
}

/* Both ways alike: struct fsxattr in `bytes`. */
static napi_value move_fsxattr(napi_env env, napi_callback_info info, unsigned long command) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  struct slice bytes = arg_bytes(&args, 1);
  if (!args.failure && bytes.length < sizeof(struct fsxattr)) args_throw_range(&args, "the buffer must hold a struct fsxattr");
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(fd, command, bytes.data));
}

static napi_value fs_get_fsxattr(napi_env env, napi_callback_info info) { return move_fsxattr(env, info, FS_IOC_FSGETXATTR); }

static napi_value fs_set_fsxattr(napi_env env, napi_callback_info info) { return move_fsxattr(env, info, FS_IOC_FSSETXATTR); }

static napi_value fs_flock(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  int operation = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, flock(fd, operation));
}

const struct exported data_functions[] = {
  {"pread", fs_pread},   {"pwrite", fs_pwrite},       {"ftruncate", fs_ftruncate}, {"lseek", fs_lseek},
  {"fsync", fs_fsync},
  {"ficlone", fs_ficlone}, {"getFlags", fs_get_flags}, {"setFlags", fs_set_flags},  {"flock", fs_flock},
  {"getFsUuid", fs_get_fs_uuid}, {"getFsxattr", fs_get_fsxattr}, {"setFsxattr", fs_set_fsxattr},
  {NULL, NULL},
};
