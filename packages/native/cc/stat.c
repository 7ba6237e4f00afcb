/* statx(2) into the word array whose first 22 words are struct fuse_attr. */
#include "native.h"

#include <sys/stat.h>

/* struct statx of Linux 6.8 under a name of its own, so that older distributions' headers do. */
struct stat_time {
  int64_t sec;
  uint32_t nsec;
  int32_t reserved;
};
struct stat_result {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, spare0;
  uint64_t ino, size, blocks, attributes_mask;
  struct stat_time atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t mount_id;
  uint64_t spare[13];
};
_Static_assert(sizeof(struct stat_result) == 256, "struct statx is 256 bytes");
_Static_assert(offsetof(struct stat_result, mount_id) == 0x90, "stx_mnt_id is at 0x90");

/* BASIC_STATS | BTIME | MNT_ID | MNT_ID_UNIQUE; kernels before 6.8 ignore the last and give the reusable id. */
#define STAT_MASK (0x7ffU | 0x800U | 0x1000U | 0x4000U)

static inline void put64(uint32_t *words, uint64_t value) {
  words[0] = (uint32_t)value;
  words[1] = (uint32_t)(value >> 32);
}

static void fill(uint32_t *words, const struct stat_result *stat) {
  put64(words + 0, stat->ino);
  put64(words + 2, stat->size);
  put64(words + 4, stat->blocks);
  put64(words + 6, (uint64_t)stat->atime.sec);
  put64(words + 8, (uint64_t)stat->mtime.sec);
  put64(words + 10, (uint64_t)stat->ctime.sec);
  words[12] = stat->atime.nsec;
  words[13] = stat->mtime.nsec;
  words[14] = stat->ctime.nsec;
  words[15] = stat->mode;
  words[16] = stat->nlink;
  words[17] = stat->uid;
  words[18] = stat->gid;
  words[19] = (stat->rdev_minor & 0xff) | (stat->rdev_major << 8) | ((stat->rdev_minor & ~0xffU) << 12);
  words[20] = stat->blksize;
  words[21] = 0;
  words[22] = stat->dev_major;
  words[23] = stat->dev_minor;
  put64(words + 24, stat->mount_id);
  put64(words + 26, (uint64_t)stat->btime.sec);
  words[28] = stat->btime.nsec;
  words[29] = (uint32_t)stat->attributes;
  words[30] = stat->mask;
  words[31] = 0;
}

struct stat_request {
  int dirfd;
  const char *name;
  int flags;
  struct stat_result *stat;
};

static int64_t look(void *data) {
  const struct stat_request *request = data;
  return or_errno(syscall(SYS_statx, request->dirfd, request->name, request->flags, STAT_MASK, request->stat));
}

napi_value stat_statx(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name name;
  struct stat_result stat;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  int flags = arg_int(&args, 2);
  struct slice words = arg_typed(&args, 3, napi_uint32_array);
  if (!args.failure && words.length < STAT_WORDS) args_throw_range(&args, "the array must hold 32 words");
  if (args.failure) return args_failed(&args);
  struct stat_request request = {dirfd, name.bytes, flags, &stat};
  int64_t status = retried_as_owner(look(&request), look, &request);
  if (status < 0) return result_number(env, status);
  fill((uint32_t *)(void *)words.data, &stat);
  return result_number(env, 0);
}

int64_t stat_descriptor(int fd, uint32_t *words) {
  struct stat_result stat;
  struct stat_request request = {fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, &stat};
  int64_t status = look(&request);
  if (status == 0) fill(words, &stat);
  return status;
}

#define ATTRIBUTE_WORD 31
/* No attribute that is asked about this way is longer. */
#define ATTRIBUTE_BYTES 128
/* The result if a regular file has the attribute `mark`. */
#define HAS_MARK 1

napi_value stat_with_attribute(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 5);
  struct name name, attribute, mark;
  struct stat_result stat;
  uint8_t value[ATTRIBUTE_BYTES];
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  struct slice slice = arg_typed(&args, 2, napi_uint32_array);
  arg_name(&args, 3, &attribute);
  arg_name(&args, 4, &mark);
  if (!args.failure && slice.length < STAT_WORDS) args_throw_range(&args, "the array must hold 32 words");
  if (args.failure) return args_failed(&args);
  uint32_t *words = (uint32_t *)(void *)slice.data;
  struct stat_request request = {dirfd, name.bytes, AT_SYMLINK_NOFOLLOW, &stat};
  int64_t status = retried_as_owner(look(&request), look, &request);
  if (status < 0) return result_number(env, status);
  fill(words, &stat);
  if (S_ISREG(stat.mode)) {
    struct slice room = {value, sizeof value};
    words[ATTRIBUTE_WORD] = (uint32_t)xattr_get(dirfd, name.bytes, attribute.bytes, room);
    if (mark.bytes[0] != '\0' && xattr_get(dirfd, name.bytes, mark.bytes, room) >= 0) return result_number(env, HAS_MARK);
  }
  return result_number(env, 0);
}

/* include/uapi/linux/openat2.h RESOLVE_CACHED: only names that the kernel knows, so that no file system is asked. */
#define RESOLVE_ONLY_CACHED 0x20
/* include/uapi/linux/stat.h AT_STATX_DONT_SYNC. */
#define STATX_DONT_SYNC 0x4000

/*
 * Stats the object of a path, as far as the kernel knows it without asking any file system: openat2(2) with RESOLVE_CACHED,
 * statx(2) and close(2). -EAGAIN if a name on the way would have to be looked up.
 */
napi_value stat_cached(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  struct name path;
  struct stat_result stat;
  struct {
    uint64_t flags, mode, resolve;
  } how = {.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_ONLY_CACHED};
  arg_name(&args, 0, &path);
  struct slice words = arg_typed(&args, 1, napi_uint32_array);
  if (!args.failure && words.length < STAT_WORDS) args_throw_range(&args, "the array must hold 32 words");
  if (args.failure) return args_failed(&args);
  int fd = (int)syscall(SLUICE_SYS_openat2, AT_FDCWD, path.bytes, &how, sizeof how);
  if (fd < 0) return result_number(env, -errno);
  int status = syscall(SYS_statx, fd, "", AT_EMPTY_PATH | STATX_DONT_SYNC, STAT_MASK, &stat) < 0 ? -errno : 0;
  close(fd);
  if (status == 0) fill((uint32_t *)(void *)words.data, &stat);
  return result_number(env, status);
}

int64_t stat_data_bytes(int fd, uint32_t *links) {
  struct stat_result stat;
  int flags = AT_EMPTY_PATH | STATX_DONT_SYNC;
  if (syscall(SYS_statx, fd, "", flags, STATX_TYPE | STATX_NLINK | STATX_BLOCKS, &stat) < 0 || !S_ISREG(stat.mode)) return 0;
  *links = stat.nlink;
  return (int64_t)stat.blocks * 512;
}
