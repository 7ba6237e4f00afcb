/* A file's content: reading and writing at a position, size, seeking, reflinks, inode flags, locks, shared mappings. */
#include "native.h"

#include <linux/btrfs.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

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

static napi_value fs_syncfs(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, syncfs(fd));
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

/* btrfs has a UUID, and does not answer that ioctl (fs/btrfs/disk-io.c open_ctree sets no s_uuid_len). */
static int btrfs_uuid(int fd, struct fs_uuid *uuid) {
  struct btrfs_ioctl_fs_info_args about = {0};
  if (ioctl(fd, BTRFS_IOC_FS_INFO, &about) < 0) return -1;
  uuid->length = sizeof uuid->bytes;
  memcpy(uuid->bytes, about.fsid, sizeof uuid->bytes);
  return 0;
}

static napi_value fs_get_fs_uuid(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct fs_uuid uuid = {0};
  int fd = arg_int(&args, 0);
  struct slice out = arg_bytes(&args, 1);
  if (!args.failure && out.length < sizeof uuid.bytes) args_throw_range(&args, "the buffer must hold 16 bytes");
  if (args.failure) return args_failed(&args);
  if (ioctl(fd, GET_FS_UUID, &uuid) < 0 && (errno != ENOTTY || btrfs_uuid(fd, &uuid) < 0)) return result_number(env, -errno);
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

/*
 * The kernel grants a read lease only while nobody has the file open for writing, be it by a mapping alone (fs/locks.c
 * check_conflicting_open). A writer that comes while the lease is there waits for its end, and would signal SIGIO, which ends this process.
 */
static int64_t is_written(int fd) {
  if (fcntl(fd, F_SETSIG, SIGURG) < 0) return -errno;
  if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) return errno == EAGAIN ? 1 : -errno;
  return or_errno(fcntl(fd, F_SETLEASE, F_UNLCK));
}

static napi_value fs_is_written(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result_number(env, is_written(fd));
}

/*
 * A mapping is a Buffer, or lies over memory that is there. A file truncated below it ends the process: seal it against shrinking. This is
 * freed when both the Buffer and the object around it are gone.
 */
struct mapping {
  void *address;
  size_t length;
  int owners;
};

static int64_t unmap(struct mapping *mapping) {
  if (mapping->address == NULL) return -EINVAL;
  int64_t status = or_errno(munmap(mapping->address, mapping->length));
  mapping->address = NULL;
  return status;
}

static void on_collected(napi_env env, void *data, void *hint) {
  struct mapping *mapping = hint;
  (void)env;
  (void)data;
  if (--mapping->owners > 0) return;
  unmap(mapping);
  free(mapping);
}

/* The Buffer is detached first: a later access finds it empty and not somebody else's memory. */
static napi_value mapping_unmap(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  void *mapping = NULL;
  napi_value bytes, memory;
  if (napi_unwrap(env, args.self, &mapping) != napi_ok || napi_get_named_property(env, args.self, "bytes", &bytes) != napi_ok) {
    napi_throw_type_error(env, NULL, "unmap must be called on a mapping");
    return NULL;
  }
  if (napi_get_typedarray_info(env, bytes, NULL, NULL, NULL, &memory, NULL) != napi_ok || napi_detach_arraybuffer(env, memory) != napi_ok) {
    return result_number(env, -EBUSY);
  }
  return result_number(env, unmap(mapping));
}

static napi_value map_shared(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  int fd = arg_int(&args, 0);
  int64_t length = arg_int64(&args, 1);
  bool writable = arg_bool(&args, 2);
  bool populated = args.count > 3 && arg_bool(&args, 3);
  if (args.failure) return args_failed(&args);
  if (length <= 0) return result_number(env, -EINVAL);
  void *address = mmap(NULL, (size_t)length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return result_number(env, -errno);
  if (populated && madvise(address, (size_t)length, MADV_POPULATE_READ) < 0) {
    int64_t failure = -errno;
    munmap(address, (size_t)length);
    return result_number(env, failure);
  }
  struct mapping *mapping = calloc(1, sizeof *mapping);
  napi_value object, bytes;
  if (mapping == NULL || napi_create_external_buffer(env, (size_t)length, address, on_collected, mapping, &bytes) != napi_ok) {
    munmap(address, (size_t)length);
    free(mapping);
    return result_number(env, -ENOMEM);
  }
  *mapping = (struct mapping){address, (size_t)length, 2};
  napi_create_object(env, &object);
  napi_set_named_property(env, object, "bytes", bytes);
  set_method(env, object, "unmap", mapping_unmap);
  napi_wrap(env, object, mapping, on_collected, mapping, NULL);
  return object;
}

/* With a negative descriptor: memory of nobody, so that a late access does no harm. */
static napi_value map_over(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct slice place = arg_bytes(&args, 0);
  int fd = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (place.length == 0 || (uintptr_t)place.data % page != 0 || place.length % page != 0) return result_number(env, -EINVAL);
  int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED);
  void *mapped = mmap(place.data, place.length, PROT_READ | PROT_WRITE, flags, fd, 0);
  return result_number(env, mapped == MAP_FAILED ? -errno : 0);
}

const struct exported data_functions[] = {
  {"pread", fs_pread},   {"pwrite", fs_pwrite},       {"ftruncate", fs_ftruncate}, {"lseek", fs_lseek},
  {"fsync", fs_fsync},   {"syncfs", fs_syncfs},
  {"ficlone", fs_ficlone}, {"getFlags", fs_get_flags}, {"setFlags", fs_set_flags},  {"flock", fs_flock},
  {"isWritten", fs_is_written},
  {"getFsUuid", fs_get_fs_uuid}, {"getFsxattr", fs_get_fsxattr}, {"setFsxattr", fs_set_fsxattr},
  {"mapShared", map_shared}, {"mapOver", map_over},
  {NULL, NULL},
};
