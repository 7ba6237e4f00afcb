/*
 * The steps of a copy-up: each is a fixed sequence of calls. A call from JavaScript costs about as much as a short system call, and far
 * more while V8 has not compiled its caller: a copy-up is long code that runs rarely.
 */
#include "native.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
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

/* The count of bytes, which is lower if the source ends before. */
static int64_t copy_pieces(int target, int source, int64_t length) {
  uint8_t bytes[COPY_PIECE];
  int64_t done = 0;
  while (done < length) {
    int64_t piece = length - done < COPY_PIECE ? length - done : COPY_PIECE;
    int64_t count = read_piece(source, bytes, (size_t)piece, done);
    if (count <= 0) return count < 0 ? count : done;
    int64_t status = write_piece(target, bytes, (size_t)count, done);
    if (status < 0) return status;
    done += count;
  }
  return done;
}

static napi_value fs_copy_bytes(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  int target = arg_int(&args, 0);
  int source = arg_int(&args, 1);
  int64_t length = arg_offset(&args, 2);
  if (args.failure) return args_failed(&args);
  if (fsetid_is_out && may_have_suid(target)) fsetid_put_back();
  return result_number(env, copy_pieces(target, source, length));
}

/* The bytes of an original that are copied at once: by a clone if the file system can, else by reading and writing. */
static int64_t fill_copy(int target, int source, int64_t length, bool clone) {
  if (length == 0 || (clone && ioctl(target, FICLONE, source) == 0)) return 0;
  int64_t copied = copy_pieces(target, source, length);
  if (copied < 0) return copied;
  return copied == length ? 0 : -EIO;
}

/* Without suid and sgid: while the owner is another one, nobody runs the file with that one's rights, and CAP_FSETID does not matter. */
#define MODE_OF_NEW 0777

static napi_value fs_make_copy(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 6);
  struct name name;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &name);
  uint32_t mode = arg_uint(&args, 2) & MODE_OF_NEW;
  int source = arg_int(&args, 3);
  int64_t length = arg_offset(&args, 4);
  bool clone = arg_bool(&args, 5);
  if (args.failure) return args_failed(&args);
  int64_t target = names_openat(dirfd, name.bytes, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (target < 0) return result_number(env, target);
  int64_t status = fill_copy((int)target, source, length, clone);
  if (status == 0) return result_number(env, target);
  close((int)target);
  unlinkat(dirfd, name.bytes, 0);
  return result_number(env, status);
}

/* A file's mode and times, as statx leaves them in its words (stat.c). */
static struct timespec time_of(const uint32_t *words, size_t seconds, size_t nanoseconds) {
  uint64_t sec = words[seconds] | ((uint64_t)words[seconds + 1] << 32);
  return (struct timespec){.tv_sec = (time_t)(int64_t)sec, .tv_nsec = words[nanoseconds]};
}

/* The words of a stat up to the group (stat.c). */
#define MODE_WORD 15
#define UID_WORD 17
#define GID_WORD 18

static const uint32_t *arg_stat(struct args *args, size_t index) {
  struct slice slice = arg_typed(args, index, napi_uint32_array);
  if (!args->failure && slice.length <= GID_WORD) args_throw_range(args, "the array must hold the words of a stat");
  return (const uint32_t *)(const void *)slice.data;
}

/* `mode_is` is the file's own mode, or UNKNOWN_MODE. */
#define UNKNOWN_MODE ((mode_t)-1)

static int64_t set_mode_and_times(int fd, const uint32_t *words, mode_t mode_is) {
  mode_t mode = words[MODE_WORD] & 07777;
  if (mode & S_ISGID) fsetid_put_back();
  bool is_due = !S_ISLNK(words[MODE_WORD]) && (mode_is == UNKNOWN_MODE || (mode_is & 07777) != mode);
  int64_t status = is_due ? names_fchmodat(fd, "", mode, AT_EMPTY_PATH) : 0;
  if (status < 0) return status;
  const struct timespec times[2] = {time_of(words, 6, 12), time_of(words, 8, 13)};
  return or_errno(syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

static napi_value fs_set_mode_and_times(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  int fd = arg_int(&args, 0);
  const uint32_t *words = arg_stat(&args, 1);
  if (args.failure) return args_failed(&args);
  return result_number(env, set_mode_and_times(fd, words, UNKNOWN_MODE));
}

/* Leaves the target's mode in `mode`: unknown after a change of the owner, which takes bits away. */
static int64_t take_owner(int target, const uint32_t *words, mode_t *mode) {
  struct stat own;
  if (syscall(SYS_newfstatat, target, "", &own, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) return -errno;
  *mode = own.st_mode;
  if (own.st_uid == words[UID_WORD] && own.st_gid == words[GID_WORD]) return 0;
  if (own.st_mode & S_ISGID) fsetid_put_back();
  *mode = UNKNOWN_MODE;
  return or_errno(fchownat(target, "", words[UID_WORD], words[GID_WORD], AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

/* As overlayfs copies them (fs/overlayfs/copy_up.c ovl_copy_fileattr), where both file systems have them. */
#define COPIED_FLAGS (FS_SYNC_FL | FS_NOATIME_FL)

/* The kernel moves an int here, whatever the ioctl's number says of a long. */
static void copy_flags(int target, int source) {
  uint32_t flags[2] = {0, 0}, own[2] = {0, 0};
  if (ioctl(source, FS_IOC_GETFLAGS, flags) < 0 || (flags[0] & COPIED_FLAGS) == 0) return;
  if (ioctl(target, FS_IOC_GETFLAGS, own) < 0) return;
  own[0] |= flags[0] & COPIED_FLAGS;
  ioctl(target, FS_IOC_SETFLAGS, own);
}

static napi_value fs_copy_flags(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  int target = arg_int(&args, 0);
  int source = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  copy_flags(target, source);
  return result_number(env, 0);
}

/* The result if the source has extended attributes, which belong between owner and mode: which ones to copy is not known here. */
#define HAS_XATTRS 1

static napi_value fs_copy_attributes(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  mode_t mode = 0;
  int target = arg_int(&args, 0);
  int source = arg_int(&args, 1);
  const uint32_t *words = arg_stat(&args, 2);
  if (args.failure) return args_failed(&args);
  int64_t status = take_owner(target, words, &mode);
  if (status == 0) status = xattr_list_length(source);
  if (status == -EOPNOTSUPP) status = 0;
  if (status != 0) return result_number(env, status < 0 ? status : HAS_XATTRS);
  status = set_mode_and_times(target, words, mode);
  if (status == 0 && S_ISREG(words[MODE_WORD])) copy_flags(target, source);
  return result_number(env, status);
}

/* struct ovl_fb: version, magic, length, flags, type, UUID; then the handle. */
#define MARK_LENGTH_AT 2
#define MARK_TYPE_AT 4
#define MARK_HEAD 21

/* Completes the mark in the caller's memory with the handle of the source; its length is 0 if the file system has no handles. */
static napi_value fs_copy_origin(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 4);
  struct name attribute;
  int target = arg_int(&args, 0);
  int source = arg_int(&args, 1);
  arg_name(&args, 2, &attribute);
  struct slice mark = arg_bytes(&args, 3);
  if (!args.failure && (mark.length <= MARK_HEAD || mark.length > UINT8_MAX)) args_throw_range(&args, "no room for a mark");
  if (args.failure) return args_failed(&args);
  struct slice handle = {mark.data + MARK_HEAD, mark.length - MARK_HEAD};
  int64_t both = handle_of(source, "", AT_EMPTY_PATH, handle);
  mark.data[MARK_LENGTH_AT] = both < 0 ? 0 : (uint8_t)(MARK_HEAD + (both & 0xffff));
  if (both < 0) return result_number(env, 0);
  mark.data[MARK_TYPE_AT] = (uint8_t)(both >> 16);
  return result_number(env, xattr_set(target, attribute.bytes, (struct slice){mark.data, mark.data[MARK_LENGTH_AT]}));
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
  {"makeCopy", fs_make_copy},
  {"copyAttributes", fs_copy_attributes},
  {"copyOrigin", fs_copy_origin},
  {"copyFlags", fs_copy_flags},
  {"copyBytes", fs_copy_bytes},
  {"setModeAndTimes", fs_set_mode_and_times},
  {"moveKeepingTimes", fs_move_keeping_times},
  {NULL, NULL},
};
