/* Mounts: making, taking down, cloning privately, and changing their attributes. */
#include "native.h"

#include <linux/types.h>
#include <sys/mount.h>
#include <sys/vfs.h>

/* include/uapi/linux/mount.h of 5.12, under a name of its own: C libraries define it in different headers. */
struct mount_attributes {
  uint64_t set;
  uint64_t clear;
  uint64_t propagation;
  uint64_t userns_fd;
};
#define TREE_CLONE 1
#define AT_RECURSIVE_FLAG 0x8000

static napi_value fs_mount(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 5);
  struct name source, target, type, data;
  arg_name(&args, 0, &source);
  arg_name(&args, 1, &target);
  arg_name(&args, 2, &type);
  int64_t flags = arg_int64(&args, 3);
  arg_name(&args, 4, &data);
  if (args.failure) return args_failed(&args);
  return result(env, mount(source.bytes, target.bytes, type.bytes, (unsigned long)flags, data.bytes));
}

static napi_value fs_umount2(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct name target;
  arg_name(&args, 0, &target);
  int flags = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, umount2(target.bytes, flags));
}

static int64_t set_attributes(int dirfd, const char *path, int flags, const struct mount_attributes *attributes) {
  return or_errno(syscall(SLUICE_SYS_mount_setattr, dirfd, path, flags, attributes, sizeof *attributes));
}

/*
 * A clone of a shared mount joins its peer group. While it is detached the kernel propagates nothing into it, but once
 * attached somewhere it would show what is mounted below the original, our own FUSE mount with it. So it is made private
 * before anybody can see it.
 */
static napi_value fs_open_tree(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  struct name path;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &path);
  int flags = arg_int(&args, 2);
  if (args.failure) return args_failed(&args);
  int64_t fd = or_errno(syscall(SLUICE_SYS_open_tree, dirfd, path.bytes, flags | O_CLOEXEC));
  if (fd < 0 || !(flags & TREE_CLONE)) return result_number(env, fd);
  struct mount_attributes private = {.propagation = MS_PRIVATE};
  int64_t failure = set_attributes((int)fd, "", AT_EMPTY_PATH | (flags & AT_RECURSIVE_FLAG), &private);
  if (failure == 0) return result_number(env, fd);
  close((int)fd);
  return result_number(env, failure);
}

static napi_value fs_mount_setattr(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 5);
  struct name path;
  int dirfd = arg_int(&args, 0);
  arg_name(&args, 1, &path);
  int flags = arg_int(&args, 2);
  struct mount_attributes attributes = {0};
  attributes.set = (uint64_t)arg_int64(&args, 3);
  attributes.clear = (uint64_t)arg_int64(&args, 4);
  if (args.failure) return args_failed(&args);
  return result_number(env, set_attributes(dirfd, path.bytes, flags, &attributes));
}

/* A file system that is configured, not yet there. */
static napi_value fs_fsopen(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct name type;
  arg_name(&args, 0, &type);
  if (args.failure) return args_failed(&args);
  return result(env, syscall(SLUICE_SYS_fsopen, type.bytes, 1 /* FSOPEN_CLOEXEC */));
}

/* FSCONFIG_SET_STRING, or FSCONFIG_SET_FLAG where the value is empty. */
static napi_value fs_fsconfig(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  struct name key, value;
  int fd = arg_int(&args, 0);
  arg_name(&args, 1, &key);
  arg_name(&args, 2, &value);
  if (args.failure) return args_failed(&args);
  bool flag = value.bytes[0] == 0;
  return result(env, syscall(SLUICE_SYS_fsconfig, fd, flag ? 0 : 1, key.bytes, flag ? NULL : value.bytes, 0));
}

/* FSCONFIG_CMD_CREATE, then fsmount(2): a mount that is nowhere, and gone with its descriptor. */
static napi_value fs_fsmount(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  int64_t status = or_errno(syscall(SLUICE_SYS_fsconfig, fd, 6, NULL, NULL, 0));
  if (status < 0) return result_number(env, status);
  return result(env, syscall(SLUICE_SYS_fsmount, fd, 1 /* FSMOUNT_CLOEXEC */, 0));
}

/* move_mount(2) of a mount that is nowhere onto the directory of a descriptor; no path is followed. */
static napi_value fs_move_mount(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  int onto = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, syscall(SLUICE_SYS_move_mount, fd, "", onto, "", 0x04 | 0x40 /* MOVE_MOUNT_{F,T}_EMPTY_PATH */));
}

#define STATFS_FIELDS 12

static napi_value fs_fstatfs(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  struct slice out = arg_typed(&args, 1, napi_float64_array);
  if (!args.failure && out.length < STATFS_FIELDS) args_throw_range(&args, "the array must hold 12 doubles");
  if (args.failure) return args_failed(&args);
  struct statfs fs;
  int fsid[2];
  if (fstatfs(fd, &fs) < 0) return result_number(env, -errno);
  memcpy(fsid, &fs.f_fsid, sizeof fsid);
  const double values[STATFS_FIELDS] = {
    (double)(uint32_t)fs.f_type, (double)fs.f_bsize, (double)fs.f_blocks, (double)fs.f_bfree, (double)fs.f_bavail, (double)fs.f_files,
    (double)fs.f_ffree, (double)(uint32_t)fsid[0], (double)(uint32_t)fsid[1], (double)fs.f_namelen, (double)fs.f_frsize, (double)fs.f_flags,
  };
  memcpy(out.data, values, sizeof values);
  return result_number(env, 0);
}

const struct exported mounts_functions[] = {
  {"mount", fs_mount},     {"umount2", fs_umount2},   {"openTree", fs_open_tree}, {"mountSetattr", fs_mount_setattr},
  {"fsopen", fs_fsopen},   {"fsconfig", fs_fsconfig}, {"fsmount", fs_fsmount}, {"moveMount", fs_move_mount}, {"fstatfs", fs_fstatfs}, {NULL, NULL},
};
