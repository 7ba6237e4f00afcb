/* Confines a process: memory that outlives it, a parent that it does not outlive, calls it gives up. */
#include "native.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static napi_value memory_file(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct name name;
  arg_name(&args, 0, &name);
  if (args.failure) return args_failed(&args);
  return result(env, memfd_create(name.bytes, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

static napi_value add_seals(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  int seals = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, fcntl(fd, F_ADD_SEALS, seals));
}

static napi_value seals_of(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, fcntl(fd, F_GET_SEALS));
}

struct watch {
  int signal;
  int parent;
  int pidfd;
  sem_t armed;
};

/*
 * Twice, since neither way is enough: the death signal reaches a stopped process too, but a change of credentials in
 * this thread would forget it, and it says nothing where the parent was gone before; a pidfd forgets nothing.
 */
static void *watch_parent(void *argument) {
  struct watch *watch = argument;
  int signal = watch->signal;
  struct pollfd ended = {.fd = watch->pidfd, .events = POLLIN, .revents = 0};
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  prctl(PR_SET_NAME, "parent-watch", 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0);
  if (getppid() != watch->parent) kill(getpid(), signal);
  /* `watch` lies on the stack of its maker, who goes on now. */
  sem_post(&watch->armed);
  while (poll(&ended, 1, -1) <= 0) continue;
  kill(getpid(), signal);
  return NULL;
}

static napi_value die_with_parent(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int signal = arg_int(&args, 0);
  int parent = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  int pidfd = (int)syscall(SLUICE_SYS_pidfd_open, parent, 0);
  if (pidfd < 0) return result_number(env, -errno);
  struct watch watch = {.signal = signal, .parent = parent, .pidfd = pidfd};
  pthread_t thread;
  /* Looked at with the pidfd in hand, so that it is the parent's and not of another process that got its number. */
  int failure = getppid() == parent ? 0 : ESRCH;
  sem_init(&watch.armed, 0, 0);
  if (failure == 0) failure = pthread_create(&thread, NULL, watch_parent, &watch);
  if (failure == 0) {
    pthread_detach(thread);
    /* A process that is stopped before the death signal is set would outlive its parent. */
    while (sem_wait(&watch.armed) < 0) continue;
  } else {
    close(pidfd);
  }
  sem_destroy(&watch.armed);
  return result_number(env, -failure);
}

struct room {
  sem_t enough;
};

static void *wait_for_room(void *given) {
  struct room *room = given;
  while (sem_wait(&room->enough) < 0) continue;
  return NULL;
}

enum { MOST_THREADS = 1024 };

/* All of them live at once, so that each has a place. */
static napi_value room_for_threads(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int count = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  pthread_t threads[MOST_THREADS];
  if (count > MOST_THREADS) count = MOST_THREADS;
  struct room room;
  sem_init(&room.enough, 0, 0);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int made = 0, failure = 0;
  while (made < count && (failure = pthread_create(&threads[made], NULL, wait_for_room, &room)) == 0) made++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  for (int i = 0; i < made; i++) sem_post(&room.enough);
  for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
  sem_destroy(&room.enough);
  return result_number(env, -failure);
}

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_BIT 0x40000000U /* x32 calls */
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_BIT 0x80000000U
#else
#define NATIVE_ARCH 0
#define FOREIGN_BIT 0U
#endif

/* Numbers of 5.2 on are the same everywhere; older headers lack some. */
static const uint32_t forbidden[] = {
  SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare,
  428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */,
  442 /* mount_setattr */, 467 /* open_tree_attr */,
  SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, 438 /* pidfd_getfd */, SYS_kcmp,
  SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl,
  SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module,
  SYS_swapon, SYS_swapoff, SYS_reboot, SYS_acct, SYS_quotactl, 443 /* quotactl_fd */, SYS_syslog,
  SYS_sethostname, SYS_setdomainname, SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_vhangup,
#if defined(__x86_64__)
  SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
};
#define FORBIDDEN_COUNT (sizeof forbidden / sizeof forbidden[0])
#define CLONE3 435
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(errno_) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errno_))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Each test of one call is two instructions: skip the answer, or give it. */
#define UNLESS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)

/*
 * A deny list, not an allow list: V8 and libuv use any call they like, and this takes away only the calls that
 * CAP_SYS_ADMIN would open. clone3 is ENOSYS, since its flags lie behind a pointer: the C library then uses clone.
 */
static int64_t install_filter(void) {
  struct sock_filter program[2 * FORBIDDEN_COUNT + 16];
  unsigned short at = 0;
  program[at++] = (struct sock_filter)LOAD(arch);
  program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
  program[at++] = (struct sock_filter)ANSWER(EPERM);
  program[at++] = (struct sock_filter)LOAD(nr);
  program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FOREIGN_BIT, 0, 1);
  program[at++] = (struct sock_filter)ANSWER(EPERM);
  for (size_t i = 0; i < FORBIDDEN_COUNT; i++) {
    program[at++] = (struct sock_filter)UNLESS(forbidden[i]);
    program[at++] = (struct sock_filter)ANSWER(EPERM);
  }
  program[at++] = (struct sock_filter)UNLESS(CLONE3);
  program[at++] = (struct sock_filter)ANSWER(ENOSYS);
  program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
  program[at++] = (struct sock_filter)LOAD(args[0]);
  program[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1);
  program[at++] = (struct sock_filter)ANSWER(EPERM);
  program[at++] = (struct sock_filter)ALLOW;
  struct sock_fprog filter = {.len = at, .filter = program};
  int64_t status = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  /* The id of a thread that could not be brought along. */
  return status > 0 ? -EAGAIN : or_errno(status);
}

static napi_value forbid_mounting(napi_env env, napi_callback_info info) {
  (void)info;
  if (NATIVE_ARCH == 0) return result_number(env, -EOPNOTSUPP);
  return result_number(env, install_filter());
}

const struct exported guard_functions[] = {
  {"memoryFile", memory_file},
  {"addSeals", add_seals},
  {"sealsOf", seals_of},
  {"dieWithParent", die_with_parent},
  {"roomForThreads", room_for_threads},
  {"forbidMounting", forbid_mounting},
  {NULL, NULL},
};
