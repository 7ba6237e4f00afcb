/*
 * Whom the kernel takes us for. Raw system calls throughout: the C library's setfsuid is the thread's alone already, but
 * capset and setgroups must not be spread over all threads. The umask is the exception, the kernel shares it between the
 * threads of a process.
 */
#include "native.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define GROUPS_MAX_KEPT 256
#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif
#define BIT(capability) (UINT64_C(1) << (capability))

struct capabilities {
  uint64_t effective, permitted, inheritable;
};

static int64_t capabilities_read(struct capabilities *out) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct halves[2];
  if (syscall(SYS_capget, &header, halves) < 0) return -errno;
  out->effective = halves[0].effective | ((uint64_t)halves[1].effective << 32);
  out->permitted = halves[0].permitted | ((uint64_t)halves[1].permitted << 32);
  out->inheritable = halves[0].inheritable | ((uint64_t)halves[1].inheritable << 32);
  return 0;
}

static int64_t capabilities_write(const struct capabilities *in) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const struct __user_cap_data_struct halves[2] = {
    {(uint32_t)in->effective, (uint32_t)in->permitted, (uint32_t)in->inheritable},
    {(uint32_t)(in->effective >> 32), (uint32_t)(in->permitted >> 32), (uint32_t)(in->inheritable >> 32)},
  };
  return or_errno(syscall(SYS_capset, &header, halves));
}

/* The ids that asCaller changed on this thread, so that asDaemon can put them back. */
static _Thread_local struct {
  bool active;
  bool identity_changed;
  bool groups_changed;
  /* The caller has no CAP_FSETID, whatever the daemon has. */
  bool without_fsetid;
  mode_t umask;
  uint64_t effective;
  int group_count;
  gid_t groups[GROUPS_MAX_KEPT];
} daemon_self;

_Thread_local bool fsetid_is_out = false;

/* While the thread acts as a caller that goes without it, it stays out, and is still due. */
void fsetid_put_back(void) {
  struct capabilities now;
  if (!fsetid_is_out || (daemon_self.active && daemon_self.without_fsetid)) return;
  if (capabilities_read(&now) < 0) return;
  now.effective |= BIT(CAP_FSETID);
  if (capabilities_write(&now) < 0) return;
  fsetid_is_out = false;
  if (daemon_self.active) daemon_self.effective |= BIT(CAP_FSETID);
}

/* A server that runs as its only caller has the caller's groups already, and may take no others. */
static bool groups_held(const gid_t *groups, int count) {
  for (int at = 0; at < count; at++) {
    bool held = groups[at] == getegid();
    for (int own = 0; own < daemon_self.group_count && !held; own++) held = daemon_self.groups[own] == groups[at];
    if (!held) return false;
  }
  return true;
}

static int64_t groups_replace(const gid_t *groups, int count) {
  if (count < 0) return 0;
  if (!daemon_self.groups_changed) {
    daemon_self.group_count = (int)syscall(SYS_getgroups, GROUPS_MAX_KEPT, daemon_self.groups);
    if (daemon_self.group_count < 0) return -errno;
  }
  if (syscall(SYS_setgroups, (size_t)count, groups) < 0) return errno == EPERM && groups_held(groups, count) ? 0 : -errno;
  daemon_self.groups_changed = true;
  return 0;
}

/*
 * A change of credentials costs microseconds, a look at them a tenth of one: so look first. An invalid id changes
 * nothing and gives the one in force, which is also the only way to learn that setfsuid(2) or setfsgid(2) failed.
 */
static bool identity_take(long number, uint32_t id) {
  if ((uint32_t)syscall(number, -1) == id) return true;
  syscall(number, id);
  return (uint32_t)syscall(number, -1) == id;
}

static int64_t effective_take(uint64_t wanted) {
  struct capabilities now;
  int64_t status = capabilities_read(&now);
  if (status < 0 || now.effective == wanted) return status;
  now.effective = wanted;
  return capabilities_write(&now);
}

static void restore(void) {
  if (!daemon_self.active) return;
  daemon_self.active = false;
  if (daemon_self.identity_changed) {
    identity_take(SYS_setfsuid, geteuid());
    identity_take(SYS_setfsgid, getegid());
    /* Back at root the kernel raises every permitted file-system capability, also those that were not in force. */
    effective_take(daemon_self.effective);
  }
  if (daemon_self.groups_changed) syscall(SYS_setgroups, (size_t)daemon_self.group_count, daemon_self.groups);
  daemon_self.groups_changed = false;
  umask(daemon_self.umask);
}

/*
 * setfsuid away from root drops CAP_CHOWN, MKNOD, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE and
 * MAC_OVERRIDE from the effective set; the set in force comes back, so that layer permissions do not get in the way.
 * CAP_FSETID stays out for callers other than root: with it vfs_prepare_mode and setattr_prepare keep S_ISGID on files
 * that a caller outside the group makes or chmods, and a write or chown would leave suid and sgid standing.
 */
static int64_t become(uint32_t uid, uint32_t gid) {
  struct capabilities now;
  daemon_self.identity_changed = uid != 0 || (uint32_t)syscall(SYS_setfsuid, -1) != 0 || (uint32_t)syscall(SYS_setfsgid, -1) != gid;
  if (!daemon_self.identity_changed) return 0;
  int64_t status = capabilities_read(&now);
  daemon_self.effective = now.effective;
  daemon_self.identity_changed = status == 0;
  if (status < 0) return status;
  daemon_self.without_fsetid = uid != 0;
  uint64_t effective = uid == 0 ? now.effective : now.effective & ~BIT(CAP_FSETID);
  if (!identity_take(SYS_setfsgid, gid) || !identity_take(SYS_setfsuid, uid)) return -EPERM;
  return effective_take(effective);
}

int arg_groups(struct args *args, size_t index, gid_t groups[GROUPS_MAX_GIVEN]) {
  napi_valuetype kind = napi_undefined;
  uint32_t count = 0;
  if (args->failure || args->count <= index) return -1;
  napi_typeof(args->env, args->values[index], &kind);
  if (kind == napi_undefined) return -1;
  if (napi_get_array_length(args->env, args->values[index], &count) != napi_ok || count > GROUPS_MAX_GIVEN) {
    args_throw_type(args, index, "an array of at most 256 group ids");
    return -1;
  }
  for (uint32_t at = 0; at < count; at++) {
    napi_value element;
    if (napi_get_element(args->env, args->values[index], at, &element) != napi_ok ||
        napi_get_value_uint32(args->env, element, &groups[at]) != napi_ok) {
      args_throw_type(args, index, "an array of at most 256 group ids");
      return -1;
    }
  }
  return (int)count;
}

static napi_value as_caller(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 3);
  gid_t groups[GROUPS_MAX_GIVEN];
  uint32_t uid = arg_uint(&args, 0);
  uint32_t gid = arg_uint(&args, 1);
  uint32_t mask = arg_uint(&args, 2);
  int group_count = arg_groups(&args, 3, groups);
  if (args.failure) return args_failed(&args);
  if (daemon_self.active) restore();
  daemon_self.active = true;
  daemon_self.identity_changed = false;
  daemon_self.without_fsetid = false;
  daemon_self.umask = umask((mode_t)mask);
  int64_t status = groups_replace(groups, group_count);
  if (status == 0) status = become(uid, gid);
  if (status < 0) restore();
  return result_number(env, status);
}

static napi_value as_daemon(napi_env env, napi_callback_info info) {
  (void)info;
  restore();
  return result_number(env, 0);
}

static napi_value effective_capabilities(napi_env env, napi_callback_info info) {
  (void)info;
  struct capabilities now = {0, 0, 0};
  napi_value mask;
  fsetid_put_back();
  capabilities_read(&now);
  napi_create_bigint_uint64(env, now.effective, &mask);
  return mask;
}

static napi_value bounding_capabilities(napi_env env, napi_callback_info info) {
  (void)info;
  uint64_t held = 0;
  napi_value mask;
  for (unsigned long capability = 0; capability < 64; capability++)
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) > 0) held |= BIT(capability);
  napi_create_bigint_uint64(env, held, &mask);
  return mask;
}

static napi_value set_effective_capabilities(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct capabilities now;
  uint64_t mask = arg_mask(&args, 0);
  if (args.failure) return args_failed(&args);
  int64_t status = capabilities_read(&now);
  if (status < 0) return result_number(env, status);
  now.effective = mask;
  return result_number(env, capabilities_write(&now));
}

/* Nobody writes by a file of such a mount, whatever the kernel's credentials for it are. `flags` are those of its open. */
bool is_on_read_only_mount(int fd, int64_t flags) {
  struct statfs mount;
  return (flags & O_ACCMODE) == O_RDONLY && fstatfs(fd, &mount) == 0 && (mount.f_flags & ST_RDONLY) != 0;
}

static napi_value backing_open_without_fsetid(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 2);
  struct capabilities now;
  int fuse_fd = arg_int(&args, 0);
  int fd = arg_int(&args, 1);
  bool read_only = args.count > 2 && arg_bool(&args, 2);
  if (args.failure) return args_failed(&args);
  int64_t status = fuse_backing_refuse(fd);
  /* Two changes of credentials take longer than everything else here. */
  if (status >= 0 && read_only && is_on_read_only_mount(fd, status)) return result_number(env, fuse_backing_open(fuse_fd, fd));
  if (status >= 0) status = capabilities_read(&now);
  if (status < 0) return result_number(env, status);
  /* Whether it is out is asked of the kernel each time: a file that was registered with it would keep suid when it is written. */
  if (!(now.effective & BIT(CAP_FSETID))) return result_number(env, fuse_backing_open(fuse_fd, fd));
  pool_begin(env);
  struct capabilities without = now;
  without.effective &= ~BIT(CAP_FSETID);
  status = capabilities_write(&without);
  if (status < 0) return result_number(env, status);
  int64_t id = fuse_backing_open(fuse_fd, fd);
  /* asDaemon gives back the daemon's own set: here it must not be due. */
  if (daemon_self.active) capabilities_write(&now);
  else fsetid_is_out = true;
  return result_number(env, id);
}

static int64_t bounding_limit(uint64_t mask) {
  for (unsigned long capability = 0; capability < 64; capability++) {
    if (mask & BIT(capability)) continue;
    int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) return 0; /* Beyond the last capability that this kernel knows. */
    if (held > 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return -errno;
  }
  return 0;
}

/* The bounding set first: dropping from it needs CAP_SETPCAP, which the last step may take away. */
static napi_value limit_capabilities(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct capabilities now;
  uint64_t mask = arg_mask(&args, 0);
  if (args.failure) return args_failed(&args);
  int64_t status = capabilities_read(&now);
  if (status < 0) return result_number(env, status);
  int64_t bounding = bounding_limit(mask);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  struct capabilities kept = {now.permitted & mask, now.permitted & mask, 0};
  status = capabilities_write(&kept);
  return result_number(env, status < 0 ? status : bounding);
}

static napi_value set_umask(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  uint32_t mask = arg_uint(&args, 0);
  if (args.failure) return args_failed(&args);
  return result_number(env, umask((mode_t)mask));
}

/*
 * Reading as the owner. The mount of an ordinary user's session has all rights over the user's files, by a user namespace, and
 * leaves files and directories whose mode hides them from their own owner. A command that reads such layers, and moves objects out of
 * them, gets the same rights for single calls: a child that shares memory and descriptors makes the call in a user namespace with the
 * ids of the user alone.
 * The user could do as much by a chmod, which would change the files.
 */
bool reads_as_owner = false;

#define STACK_BYTES 65536

struct errand {
  int64_t (*call)(void *);
  void *data;
  int64_t result;
  char uids[64], gids[64];
};

static bool write_file(const char *path, const char *text) {
  int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t length = strlen(text);
  bool written = write(fd, text, length) == (ssize_t)length;
  close(fd);
  return written;
}

static int run_errand(void *data) {
  struct errand *errand = data;
  if (write_file("/proc/self/uid_map", errand->uids) && write_file("/proc/self/setgroups", "deny") &&
      write_file("/proc/self/gid_map", errand->gids)) {
    errand->result = errand->call(errand->data);
  }
  return 0;
}

int64_t call_as_owner(int64_t (*call)(void *), void *data) {
  struct errand errand = {.call = call, .data = data, .result = -EACCES};
  snprintf(errand.uids, sizeof errand.uids, "%u %u 1", geteuid(), geteuid());
  snprintf(errand.gids, sizeof errand.gids, "%u %u 1", getegid(), getegid());
  char *stack = malloc(STACK_BYTES);
  if (stack == NULL) return -EACCES;
  /* A handler in the child would act on the memory of this process. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = clone(run_errand, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWUSER, &errand);
  if (child > 0) {
    while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR) continue;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  free(stack);
  return errand.result;
}

static napi_value read_as_owner(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  bool on = arg_bool(&args, 0);
  if (args.failure) return args_failed(&args);
  reads_as_owner = on;
  return NULL;
}

const struct exported credentials_functions[] = {
  {"asCaller", as_caller},
  {"asDaemon", as_daemon},
  {"effectiveCapabilities", effective_capabilities},
  {"boundingCapabilities", bounding_capabilities},
  {"setEffectiveCapabilities", set_effective_capabilities},
  {"backingOpenWithoutFsetid", backing_open_without_fsetid},
  {"limitCapabilities", limit_capabilities},
  {"umask", set_umask},
  {"readAsOwner", read_as_owner},
  {NULL, NULL},
};
