/*
 * Calls that may wait, on the libuv pool: each gives a promise of the number that the call itself would give.
 * Pool threads run with the daemon's own credentials, whatever asCaller made of the loop's thread; the umask alone is
 * shared by all threads, which is why asCaller ... asDaemon never spans a return to the loop.
 */
#include "native.h"

#include <pthread.h>
#include <signal.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

struct work {
  napi_async_work handle;
  napi_deferred deferred;
  /* Pins the bytes that the call reads or fills; NULL if there are none. */
  napi_ref bytes;
  int64_t (*run)(struct work *work);
  int64_t result;
  int fd, other_fd, flags;
  uint32_t mode;
  int64_t offset, other_offset, length;
  struct transfer transfer;
  char *name;
};

static void execute(napi_env env, void *data) {
  struct work *work = data;
  (void)env;
  do work->result = work->run(work);
  while (work->result == -EINTR);
}

static void work_free(napi_env env, struct work *work) {
  if (work == NULL) return;
  if (work->bytes != NULL) napi_delete_reference(env, work->bytes);
  free(work->name);
  free(work);
}

static void complete(napi_env env, napi_status status, void *data) {
  struct work *work = data;
  int64_t result = status == napi_cancelled ? -ECANCELED : work->result;
  napi_resolve_deferred(env, work->deferred, result_offset(env, result));
  napi_delete_async_work(env, work->handle);
  work_free(env, work);
}

static struct work *work_new(struct args *args, int64_t (*run)(struct work *work)) {
  struct work *work = calloc(1, sizeof *work);
  if (work == NULL) args->failure = ENOMEM;
  else work->run = run;
  return work;
}

static void work_name(struct args *args, size_t index, struct work *work) {
  struct name name;
  arg_name(args, index, &name);
  if (args->failure) return;
  work->name = strdup(name.bytes);
  if (work->name == NULL) args->failure = ENOMEM;
}

static napi_value settled(struct args *args) {
  napi_value promise;
  napi_deferred deferred;
  if (napi_create_promise(args->env, &deferred, &promise) != napi_ok) return NULL;
  napi_resolve_deferred(args->env, deferred, result_number(args->env, -args->failure));
  return promise;
}

/* Takes `work` over. A failure of the arguments throws, or resolves to the errno. */
static napi_value start(struct args *args, struct work *work) {
  napi_env env = args->env;
  napi_value promise, name;
  if (args->failure) {
    work_free(env, work);
    return args->failure == ARGS_THROWN ? NULL : settled(args);
  }
  napi_create_string_latin1(env, "sluice.call", NAPI_AUTO_LENGTH, &name);
  napi_create_promise(env, &work->deferred, &promise);
  napi_create_async_work(env, NULL, name, execute, complete, work, &work->handle);
  napi_queue_async_work(env, work->handle);
  return promise;
}

static void do_nothing(napi_env env, void *data) {
  (void)env;
  (void)data;
}

static void forget(napi_env env, napi_status status, void *data) {
  (void)status;
  napi_delete_async_work(env, *(napi_async_work *)data);
  free(data);
}

void pool_begin(napi_env env) {
  static bool begun = false;
  napi_async_work *work = begun ? NULL : malloc(sizeof *work);
  napi_value name;
  if (work == NULL) return;
  begun = true;
  napi_create_string_latin1(env, "sluice.pool", NAPI_AUTO_LENGTH, &name);
  if (napi_create_async_work(env, NULL, name, do_nothing, forget, work, work) == napi_ok) napi_queue_async_work(env, *work);
  else free(work);
}

static int64_t run_umount(struct work *work) {
  return or_errno(umount2(work->name, work->flags));
}

static napi_value umount2_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct work *work = work_new(&args, run_umount);
  if (work != NULL) {
    work_name(&args, 0, work);
    work->flags = arg_int(&args, 1);
  }
  return start(&args, work);
}

/* Ignored by default, so one that comes late does nothing. */
#define WAKE SIGURG
#define WAKE_NS 1000000
#define TO_THREAD 4 /* SIGEV_THREAD_ID */

/* struct sigevent, as the kernel reads it. */
struct thread_event {
  uint64_t value;
  int32_t signal, how, thread, unused[11];
};

static void on_wake(int signal) {
  (void)signal;
}

/* Linux has closed the descriptor even if it answers EINTR: closing again would hit somebody else's. */
static int64_t close_once(int fd) {
  int64_t status = or_errno(close(fd));
  return status == -EINTR ? 0 : status;
}

/*
 * A close may wait for hours if the owner of a socket likes (SO_LINGER), also that of a socket in which such a one waits to be received.
 * The kernel gives up at a signal (net/core/stream.c sk_stream_wait_close), and the descriptor is closed in any case.
 */
static int64_t run_close_soon(struct work *work) {
  struct sigaction action = {.sa_handler = on_wake};
  struct thread_event event = {.signal = WAKE, .how = TO_THREAD, .thread = (int32_t)syscall(SYS_gettid)};
  struct itimerspec again = {{0, WAKE_NS}, {0, WAKE_NS}};
  sigset_t wake, before;
  int timer = 0;
  sigemptyset(&wake);
  sigaddset(&wake, WAKE);
  sigaction(WAKE, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &wake, &before);
  bool armed = syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0;
  if (armed) syscall(SYS_timer_settime, timer, 0, &again, NULL);
  int64_t status = close_once(work->fd);
  if (armed) syscall(SYS_timer_delete, timer);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status;
}

static napi_value close_soon_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct work *work = work_new(&args, run_close_soon);
  if (work != NULL) work->fd = arg_int(&args, 0);
  return start(&args, work);
}

/* So much takes about a millisecond to write, or to give back to the file system. */
#define MUCH_BYTES (4 << 20)

/*
 * The last close of a file that has no name gives its space back. Any close of another one may write what is in memory (ext4 after a
 * truncation, xfs, btrfs), but nobody has written to one of a read-only layer.
 */
static bool closes_late(int fd) {
  uint32_t links;
  if (stat_data_bytes(fd, &links) < MUCH_BYTES) return false;
  if (links == 0) return true;
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && !(flags & O_PATH) && !is_on_read_only_mount(fd, flags);
}

static int64_t run_close(struct work *work) {
  return close_once(work->fd);
}

static napi_value close_file(napi_env env, napi_callback_info info) {
  struct args args = args_read_as_is(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  if (!closes_late(fd)) return result_number(env, close_once(fd));
  struct work *work = work_new(&args, run_close);
  if (work == NULL) return result_number(env, close_once(fd));
  work->fd = fd;
  return start(&args, work);
}

static int64_t run_openat(struct work *work) {
  return names_openat(work->fd, work->name, work->flags, work->mode);
}

static napi_value openat_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  struct work *work = work_new(&args, run_openat);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work_name(&args, 1, work);
    work->flags = arg_int(&args, 2);
    work->mode = arg_uint(&args, 3);
  }
  return start(&args, work);
}

static int64_t run_unlinkat(struct work *work) {
  return or_errno(unlinkat(work->fd, work->name, work->flags));
}

static napi_value unlinkat_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  struct work *work = work_new(&args, run_unlinkat);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work_name(&args, 1, work);
    work->flags = arg_int(&args, 2);
  }
  return start(&args, work);
}

static int64_t run_transfer(struct work *work) {
  return data_transfer(&work->transfer);
}

static napi_value transfer_async(napi_env env, napi_callback_info info, bool writing) {
  struct args args = args_read(env, info, 6);
  struct work *work = work_new(&args, run_transfer);
  if (work == NULL) return start(&args, work);
  work->transfer = data_arguments(&args, writing);
  if (!args.failure && napi_create_reference(env, args.values[1], 1, &work->bytes) != napi_ok) args.failure = ENOMEM;
  return start(&args, work);
}

static napi_value pread_async(napi_env env, napi_callback_info info) {
  return transfer_async(env, info, false);
}

static napi_value pwrite_async(napi_env env, napi_callback_info info) {
  return transfer_async(env, info, true);
}

static int64_t run_ftruncate(struct work *work) {
  return or_errno(ftruncate(work->fd, work->length));
}

static napi_value ftruncate_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct work *work = work_new(&args, run_ftruncate);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work->length = arg_offset(&args, 1);
  }
  return start(&args, work);
}

static int64_t run_fallocate(struct work *work) {
  return or_errno(fallocate(work->fd, work->flags, work->offset, work->length));
}

static napi_value fallocate_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  struct work *work = work_new(&args, run_fallocate);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work->flags = arg_int(&args, 1);
    work->offset = arg_offset(&args, 2);
    work->length = arg_offset(&args, 3);
  }
  return start(&args, work);
}

static int64_t run_copy(struct work *work) {
  int64_t from = work->offset;
  int64_t to = work->other_offset;
  return or_errno(syscall(SYS_copy_file_range, work->fd, &from, work->other_fd, &to, (size_t)work->length, 0));
}

static napi_value copy_file_range_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 5);
  struct work *work = work_new(&args, run_copy);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work->offset = arg_offset(&args, 1);
    work->other_fd = arg_int(&args, 2);
    work->other_offset = arg_offset(&args, 3);
    work->length = arg_int64(&args, 4);
  }
  return start(&args, work);
}

static int64_t run_lseek(struct work *work) {
  return or_errno(lseek(work->fd, work->offset, work->flags));
}

static napi_value lseek_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  struct work *work = work_new(&args, run_lseek);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work->offset = arg_offset(&args, 1);
    work->flags = arg_int(&args, 2);
  }
  return start(&args, work);
}

static int64_t run_ficlone(struct work *work) {
  return or_errno(ioctl(work->fd, FICLONE, work->other_fd));
}

static napi_value ficlone_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct work *work = work_new(&args, run_ficlone);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work->other_fd = arg_int(&args, 1);
  }
  return start(&args, work);
}

static int64_t run_fsync(struct work *work) {
  return or_errno(work->flags ? fdatasync(work->fd) : fsync(work->fd));
}

static napi_value fsync_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct work *work = work_new(&args, run_fsync);
  if (work != NULL) {
    work->fd = arg_int(&args, 0);
    work->flags = arg_bool(&args, 1);
  }
  return start(&args, work);
}

/* Begins to write, without waiting for the disk: data without a place on it gets one. */
static int64_t run_begin_write(struct work *work) {
  return or_errno(sync_file_range(work->fd, 0, 0, SYNC_FILE_RANGE_WRITE));
}

static napi_value begin_write_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct work *work = work_new(&args, run_begin_write);
  if (work != NULL) work->fd = arg_int(&args, 0);
  return start(&args, work);
}

static int64_t run_syncfs(struct work *work) {
  return or_errno(syncfs(work->fd));
}

static napi_value syncfs_async(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct work *work = work_new(&args, run_syncfs);
  if (work != NULL) work->fd = arg_int(&args, 0);
  return start(&args, work);
}

const struct exported async_functions[] = {
  {"closeSoonAsync", close_soon_async}, {"closeFile", close_file},          {"beginWriteAsync", begin_write_async},
  {"umount2Async", umount2_async},     {"openatAsync", openat_async},       {"unlinkatAsync", unlinkat_async},
  {"preadAsync", pread_async},         {"pwriteAsync", pwrite_async},       {"ftruncateAsync", ftruncate_async},
  {"fallocateAsync", fallocate_async}, {"copyFileRangeAsync", copy_file_range_async},
  {"ficloneAsync", ficlone_async},       {"lseekAsync", lseek_async},
  {"fsyncAsync", fsync_async},         {"syncfsAsync", syncfs_async},       {NULL, NULL},
};
