/* This process' limits and switches, other processes by pidfd, and unix sockets. */
#include "native.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
/* PIDFD_THREAD of Linux 6.9. */
#define PIDFD_OF_THREAD O_EXCL

/* The C library's calls, unlike the system's, change all threads. */
static napi_value drop_groups(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, setgroups(0, NULL));
}

static napi_value become_user(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  uid_t uid = (uid_t)arg_int64(&args, 0);
  gid_t gid = (gid_t)arg_int64(&args, 1);
  gid_t groups[GROUPS_MAX_GIVEN];
  int count = arg_groups(&args, 2, groups);
  if (args.failure) return args_failed(&args);
  if (setgroups(count < 0 ? 0 : (size_t)count, groups) < 0 || setresgid(gid, gid, gid) < 0) return result(env, -1);
  return result(env, setresuid(uid, uid, uid));
}

#define UNCHANGED ((uid_t)-1)

/* The system's calls, which change this thread alone: to tell all threads takes the C library a millisecond. */
static napi_value act_as_user(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  uid_t uid = (uid_t)arg_int64(&args, 0);
  gid_t gid = (gid_t)arg_int64(&args, 1);
  gid_t groups[GROUPS_MAX_GIVEN];
  int count = arg_groups(&args, 2, groups);
  bool real = args.count > 3 && arg_bool(&args, 3);
  if (args.failure) return args_failed(&args);
  uid_t real_uid = real ? uid : UNCHANGED;
  gid_t real_gid = real ? gid : UNCHANGED;
  /* Only root may take other groups. */
  if (syscall(SYS_setresuid, UNCHANGED, 0, UNCHANGED) < 0) return result(env, -1);
  if (syscall(SYS_setgroups, count < 0 ? 0 : (size_t)count, groups) < 0) return result(env, -1);
  if (syscall(SYS_setresgid, real_gid, gid, UNCHANGED) < 0) return result(env, -1);
  return result(env, syscall(SYS_setresuid, real_uid, uid, UNCHANGED));
}

static napi_value set_no_new_privileges(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* Node would take its threads and V8 down first. */
static napi_value leave(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int code = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  _exit(code);
}

static napi_value set_dumpable(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  bool on = arg_bool(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, prctl(PR_SET_DUMPABLE, on ? 1 : 0, 0, 0, 0));
}

static napi_value set_parent_death_signal(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int number = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, prctl(PR_SET_PDEATHSIG, number, 0, 0, 0));
}

/* Threads begin with the mask of the one that starts them. */
static napi_value block_signal(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  sigset_t one, before;
  int number = arg_int(&args, 0);
  bool blocked = arg_bool(&args, 1);
  if (args.failure) return args_failed(&args);
  sigemptyset(&one);
  if (sigaddset(&one, number) < 0) return result_number(env, -errno);
  int failure = pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &one, &before);
  return result_number(env, failure ? -failure : sigismember(&before, number));
}

static napi_value set_nofile_limit(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct rlimit limit;
  int64_t soft = arg_int64(&args, 0);
  if (args.failure) return args_failed(&args);
  if (soft < 0) return result_number(env, -EINVAL);
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return result_number(env, -errno);
  limit.rlim_cur = (rlim_t)soft;
  return result(env, setrlimit(RLIMIT_NOFILE, &limit));
}

static napi_value nofile_limit(napi_env env, napi_callback_info info) {
  (void)info;
  struct rlimit limit = {0, 0};
  napi_value object;
  getrlimit(RLIMIT_NOFILE, &limit);
  napi_create_object(env, &object);
  set_number(env, object, "soft", (double)limit.rlim_cur);
  set_number(env, object, "hard", (double)limit.rlim_max);
  return object;
}

static napi_value pidfd_open_thread(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int pid = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  int64_t fd = or_errno(syscall(SLUICE_SYS_pidfd_open, pid, PIDFD_OF_THREAD));
  if (fd == -EINVAL && pid > 0) fd = or_errno(syscall(SLUICE_SYS_pidfd_open, pid, 0));
  return result_number(env, fd);
}

/* A pidfd becomes readable when its process has ended, reaped or not; signal 0 would still reach a zombie. */
static napi_value pidfd_alive(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct pollfd ended = {.fd = arg_int(&args, 0), .events = POLLIN, .revents = 0};
  if (args.failure) return args_failed(&args);
  int ready;
  do ready = poll(&ended, 1, 0);
  while (ready < 0 && errno == EINTR);
  if (ready < 0) return result_number(env, -errno);
  if (ended.fd < 0 || (ended.revents & POLLNVAL)) return result_number(env, -EBADF);
  return result_number(env, ready == 0 ? 0 : -ESRCH);
}

/* PIDFD_SIGNAL_THREAD_GROUP: not to the thread that a pidfd may stand for, which may have ended before its process. */
#define TO_PROCESS 2

static napi_value pidfd_signal(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int pidfd = arg_int(&args, 0);
  int number = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  int64_t status = or_errno(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, TO_PROCESS));
  /* Before Linux 6.9 it knows no flag, and no pidfd is of a thread. */
  if (status == -EINVAL) status = or_errno(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0));
  return result_number(env, status);
}

static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct ucred peer;
  socklen_t size = sizeof peer;
  napi_value object;
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return result_number(env, -errno);
  napi_create_object(env, &object);
  set_number(env, object, "pid", peer.pid);
  set_number(env, object, "uid", peer.uid);
  set_number(env, object, "gid", peer.gid);
  return object;
}

/* A descriptor of the process that connected, whose number another one cannot get while it is compared (Linux 6.5). */
static napi_value peer_pidfd(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0), pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (args.failure) return args_failed(&args);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0) return result_number(env, -errno);
  return result_number(env, pidfd);
}

/* (fd, gids) → how many supplementary groups the peer has; -ERANGE if they are more than fit. */
static napi_value peer_groups(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  struct slice gids = arg_typed(&args, 1, napi_uint32_array);
  if (args.failure) return args_failed(&args);
  socklen_t size = (socklen_t)(gids.length * sizeof(gid_t));
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids.data, &size) < 0) return result_number(env, -errno);
  return result_number(env, (int64_t)(size / sizeof(gid_t)));
}

/*
 * The mode is set on the socket before it has a name, so that it is never wider than asked, and again after, since bind
 * takes the umask off it. Nobody can connect before listen.
 */
static int64_t bind_and_listen(int fd, const struct sockaddr_un *address, mode_t mode, int backlog) {
  if (fchmod(fd, mode) < 0) return -errno;
  if (bind(fd, (const struct sockaddr *)address, sizeof *address) < 0) return -errno;
  int64_t status = names_fchmodat(AT_FDCWD, address->sun_path, mode, AT_SYMLINK_NOFOLLOW);
  if (status == 0) status = or_errno(listen(fd, backlog));
  if (status < 0) unlink(address->sun_path);
  return status;
}

/* Fills `address` with the name in argument 0; the result of a failed check is a negative errno. */
static int64_t address_of(const struct name *path, struct sockaddr_un *address) {
  size_t length = strlen(path->bytes);
  if (length == 0) return -ENOENT;
  if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
  memcpy(address->sun_path, path->bytes, length + 1);
  return 0;
}

static napi_value listen_by(napi_env env, napi_callback_info info, int type) {
  struct args args = args_read(env, info, 3);
  struct name path;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  arg_name(&args, 0, &path);
  uint32_t mode = arg_uint(&args, 1);
  int backlog = arg_int(&args, 2);
  if (args.failure) return args_failed(&args);
  int64_t status = address_of(&path, &address);
  if (status < 0) return result_number(env, status);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return result_number(env, -errno);
  status = bind_and_listen(fd, &address, mode, backlog);
  if (status == 0) return result_number(env, fd);
  close(fd);
  return result_number(env, status);
}

static napi_value unix_listen(napi_env env, napi_callback_info info) {
  return listen_by(env, info, SOCK_STREAM);
}

static napi_value seqpacket_listen(napi_env env, napi_callback_info info) {
  return listen_by(env, info, SOCK_SEQPACKET);
}

static napi_value connect_by(napi_env env, napi_callback_info info, int type) {
  struct args args = args_read(env, info, 1);
  struct name path;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  arg_name(&args, 0, &path);
  if (args.failure) return args_failed(&args);
  int64_t status = address_of(&path, &address);
  if (status < 0) return result_number(env, status);
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return result_number(env, -errno);
  if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return result_number(env, fd);
  status = -errno;
  close(fd);
  return result_number(env, status);
}

static napi_value unix_connect(napi_env env, napi_callback_info info) {
  return connect_by(env, info, SOCK_STREAM);
}

static napi_value seqpacket_connect(napi_env env, napi_callback_info info) {
  return connect_by(env, info, SOCK_SEQPACKET);
}

static napi_value accept_socket(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

static int64_t socket_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -errno : value;
}

static napi_value socket_kind(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  napi_value object;
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  int64_t domain = socket_option(fd, SO_DOMAIN);
  if (domain < 0) return result_number(env, domain);
  napi_create_object(env, &object);
  set_number(env, object, "domain", (double)domain);
  set_number(env, object, "type", (double)socket_option(fd, SO_TYPE));
  set_number(env, object, "listens", (double)socket_option(fd, SO_ACCEPTCONN));
  return object;
}

const struct exported process_functions[] = {
  {"dropGroups", drop_groups},
  {"becomeUser", become_user},
  {"actAsUser", act_as_user},
  {"setNoNewPrivileges", set_no_new_privileges},
  {"setDumpable", set_dumpable},
  {"leave", leave},
  {"setParentDeathSignal", set_parent_death_signal},
  {"blockSignal", block_signal},
  {"setNofileLimit", set_nofile_limit},
  {"nofileLimit", nofile_limit},
  {"pidfdOpen", pidfd_open_thread},
  {"pidfdAlive", pidfd_alive},
  {"pidfdSendSignal", pidfd_signal},
  {"peerCredentials", peer_credentials},
  {"peerPidfd", peer_pidfd},
  {"peerGroups", peer_groups},
  {"unixListen", unix_listen},
  {"seqpacketListen", seqpacket_listen},
  {"unixConnect", unix_connect},
  {"seqpacketConnect", seqpacket_connect},
  {"acceptSocket", accept_socket},
  {"socketKind", socket_kind},
  {NULL, NULL},
};
