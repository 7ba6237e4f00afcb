/*
 * Shared by the addon's C files: reading arguments, giving results, and the tables of exported functions.
 * No system call is made here. Every exported function follows one shape: read all arguments, ask once whether that
 * went well, make the call, give back the result or the negative errno.
 */
#ifndef SLUICE_NATIVE_H
#define SLUICE_NATIVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
#include <node_api.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "oldest-glibc.h"

/* Microseconds since some moment. */
static inline int64_t monotonic_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A 64-bit offset is passed to raw system calls as one register. */
_Static_assert(sizeof(long) == 8, "the addon needs a 64-bit Linux");

/* Numbers that the C library of an older distribution may lack; the same on every architecture but alpha. */
#define SLUICE_SYS_open_tree 428
#define SLUICE_SYS_move_mount 429
#define SLUICE_SYS_fsopen 430
#define SLUICE_SYS_fsconfig 431
#define SLUICE_SYS_fsmount 432
#define SLUICE_SYS_pidfd_open 434
#define SLUICE_SYS_openat2 437
#define SLUICE_SYS_mount_setattr 442
#define SLUICE_SYS_fchmodat2 452
#define SLUICE_SYS_setxattrat 463
#define SLUICE_SYS_getxattrat 464
#define SLUICE_SYS_listxattrat 465
#define SLUICE_SYS_removexattrat 466

#define MAX_ARGUMENTS 8
#define SAFE_INTEGER_MAX INT64_C(9007199254740991)

/* A name or path as the kernel takes it. Not initialised beyond its NUL: it is on the stack of hot functions. */
struct name {
  char bytes[PATH_MAX];
};

struct slice {
  uint8_t *data;
  size_t length;
};

/* The arguments of one call. After a failure every further read is a no-op, so one check at the end is enough. */
struct args {
  napi_env env;
  napi_value self;
  void *data;
  size_t count;
  /* 0; or the errno to answer with; or ARGS_THROWN when a JavaScript exception is pending. */
  int failure;
  napi_value values[MAX_ARGUMENTS];
};
#define ARGS_THROWN (-1)

/* Puts CAP_FSETID back first, if it is out: see below. */
struct args args_read(napi_env env, napi_callback_info info, size_t least);
struct args args_read_as_is(napi_env env, napi_callback_info info, size_t least);
void args_throw_type(struct args *args, size_t index, const char *expected);
void args_throw_range(struct args *args, const char *message);
/* What to return when `args->failure` is set: the negative errno, or NULL with the exception pending. */
napi_value args_failed(struct args *args);
/* A byte string without NUL into `name`: -EINVAL with a NUL, -ENAMETOOLONG from PATH_MAX bytes on. */
const char *arg_name(struct args *args, size_t index, struct name *name);
int64_t arg_offset(struct args *args, size_t index);
uint64_t arg_mask(struct args *args, size_t index);
bool arg_bool(struct args *args, size_t index);
struct slice arg_typed(struct args *args, size_t index, napi_typedarray_type type);

static inline int arg_int(struct args *args, size_t index) {
  int32_t value = 0;
  if (args->failure == 0 && napi_get_value_int32(args->env, args->values[index], &value) != napi_ok) {
    args_throw_type(args, index, "a number");
  }
  return value;
}

/* Modular, so that -1 is the uid or gid that means "leave it". */
static inline uint32_t arg_uint(struct args *args, size_t index) {
  uint32_t value = 0;
  if (args->failure == 0 && napi_get_value_uint32(args->env, args->values[index], &value) != napi_ok) {
    args_throw_type(args, index, "a number");
  }
  return value;
}

static inline int64_t arg_int64(struct args *args, size_t index) {
  int64_t value = 0;
  if (args->failure == 0 && napi_get_value_int64(args->env, args->values[index], &value) != napi_ok) {
    args_throw_type(args, index, "a number");
  }
  return value;
}

static inline struct slice arg_bytes(struct args *args, size_t index) {
  return arg_typed(args, index, napi_uint8_array);
}

/* Arguments `index`, `index + 1`, `index + 2` are bytes, offset, length: the piece they name, or a RangeError. */
struct slice arg_piece(struct args *args, size_t index);

/* A count, descriptor or negative errno that the call itself gave. */
napi_value result_number(napi_env env, int64_t value);
/* The result of a libc-like call: -1 and errno become the negative errno. */
static inline napi_value result(napi_env env, int64_t value) {
  return result_number(env, value < 0 ? -(int64_t)errno : value);
}
/* A number while it is a safe integer, else a bigint. */
napi_value result_offset(napi_env env, int64_t value);
static inline int64_t or_errno(int64_t value) {
  return value < 0 ? -(int64_t)errno : value;
}

void set_number(napi_env env, napi_value object, const char *key, double value);
void set_method(napi_env env, napi_value object, const char *key, napi_callback method);

/* Shared sequences, each giving a result or the negative errno. */
struct transfer {
  bool writing;
  int fd;
  int flags;
  uint8_t *data;
  size_t length;
  int64_t position;
};
struct transfer data_arguments(struct args *args, bool writing);
int64_t data_transfer(const struct transfer *transfer);
#define GROUPS_MAX_GIVEN 256
/* The number of groups in an array of at most GROUPS_MAX_GIVEN; -1 if the argument is absent or undefined. */
int arg_groups(struct args *args, size_t index, gid_t groups[GROUPS_MAX_GIVEN]);

/*
 * The registration of a backing file takes CAP_FSETID out of this thread's effective set, and leaves it out: the next one needs
 * that again, and each change takes more than a microsecond. `args_read` puts it back, so only functions that ask for their
 * arguments by `args_read_as_is` run without it: those to which it makes no difference, or which put it back themselves if it does.
 */
extern _Thread_local bool fsetid_is_out;
void fsetid_put_back(void);
/* Starts the threads of the pool, which keep the rights that this thread has when they start. */
void pool_begin(napi_env env);

int64_t fuse_backing_refuse(int fd);
int64_t fuse_backing_open(int fuse_fd, int fd);
bool is_on_read_only_mount(int fd, int64_t flags);
int64_t names_fchmodat(int dirfd, const char *name, mode_t mode, int flags);
#define STAT_WORDS 32
int64_t stat_descriptor(int fd, uint32_t *words);
napi_value stat_statx(napi_env env, napi_callback_info info);
napi_value stat_with_attribute(napi_env env, napi_callback_info info);
napi_value stat_cached(napi_env env, napi_callback_info info);
/* The space that a regular file takes, its data in memory alone included; 0 for anything else. No file system asks a network or a daemon for it. */
int64_t stat_data_bytes(int fd, uint32_t *links);
int64_t names_openat(int dirfd, const char *name, int flags, mode_t mode);
void proc_fd_path(char path[32], int fd);
/* The handle of an object into `out`: the count of its bytes | its type << 16. */
int64_t handle_of(int dirfd, const char *name, int flags, struct slice out);
/* Extended attributes: one of (directory, name); the length of the list of a descriptor's own object, and one of it is written. */
int64_t xattr_get(int dirfd, const char *name, const char *attribute, struct slice value);
int64_t xattr_list_length(int fd);
int64_t xattr_set(int fd, const char *attribute, struct slice value);
/* Reading as the owner: see credentials.c. */
extern bool reads_as_owner;
int64_t call_as_owner(int64_t (*call)(void *), void *data);
static inline int64_t retried_as_owner(int64_t status, int64_t (*call)(void *), void *data) {
  return status == -EACCES && reads_as_owner ? call_as_owner(call, data) : status;
}
/* Set by tests only: behave as on a kernel without fchmodat2 and *xattrat. */
extern bool assume_old_kernel;

struct exported {
  const char *name;
  napi_callback function;
};
/* One table a file, ended by an entry without a name. */
extern const struct exported fuse_functions[];
extern const struct exported mounts_functions[];
extern const struct exported names_functions[];
extern const struct exported xattr_functions[];
extern const struct exported data_functions[];
extern const struct exported copy_functions[];
extern const struct exported async_functions[];
extern const struct exported credentials_functions[];
extern const struct exported process_functions[];
extern const struct exported programs_functions[];
extern const struct exported poll_functions[];
extern const struct exported notifier_functions[];
extern const struct exported messages_functions[];
extern const struct exported guard_functions[];
extern const struct exported fuse_ring_functions[];
extern const struct exported terminal_functions[];

#endif
