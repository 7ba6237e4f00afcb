/* Other programs: this process becomes one, or starts one as its child. */
#include "native.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* The strings of a block, each ended by a NUL, as execve wants them. NULL if there is no memory, or no last NUL. */
static char **strings_of(struct slice block) {
  size_t count = 0;
  if (block.length > 0 && block.data[block.length - 1] != 0) return NULL;
  for (size_t at = 0; at < block.length; at++) count += block.data[at] == 0;
  char **strings = calloc(count + 1, sizeof *strings);
  if (strings == NULL) return NULL;
  char *next = (char *)block.data;
  for (size_t i = 0; i < count; i++, next += strlen(next) + 1) strings[i] = next;
  return strings;
}

/* Node marks every descriptor that it was started with close-on-exec. */
static void pass_on(int below) {
  for (int fd = 0; fd < below; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
  }
}

static napi_value exec(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  struct name path;
  arg_name(&args, 0, &path);
  struct slice arguments = arg_bytes(&args, 1);
  struct slice variables = arg_bytes(&args, 2);
  int descriptors = arg_int(&args, 3);
  if (args.failure) return args_failed(&args);
  char **argv = strings_of(arguments), **envp = strings_of(variables);
  int64_t status = -EINVAL;
  if (argv != NULL && envp != NULL) {
    pass_on(descriptors);
    execve(path.bytes, argv, envp);
    status = -errno;
  }
  free(argv);
  free(envp);
  return result_number(env, status);
}

/* A child until it becomes its program. It shares the memory of this process, and this thread stands still meanwhile. */
struct child {
  const char *path;
  char **argv;
  char **envp;
  const int32_t *files;
  int count;
  uint64_t ignored;
  int death_signal;
  pid_t parent;
  /* The errno of the call that failed; 0: the program has begun. */
  volatile int failure;
};

#define MAX_FILES 16
#define SIGNAL_EXIT 128

/* Each `files[i]` becomes descriptor `i`. First all are moved out of the way: one may have a number that another is to get. */
static int place_files(const struct child *child) {
  int moved[MAX_FILES];
  for (int i = 0; i < child->count; i++) {
    moved[i] = fcntl(child->files[i], F_DUPFD_CLOEXEC, child->count);
    if (moved[i] < 0) return -1;
  }
  for (int i = 0; i < child->count; i++) {
    if (dup2(moved[i], i) < 0) return -1;
  }
  return 0;
}

/* The handlers of this process are none of the child's, which has a table of its own. No signal comes before that. */
static int set_signals(uint64_t ignored) {
  for (int number = 1; number < NSIG; number++) {
    bool ignores = number <= 64 && (ignored >> (number - 1) & 1);
    struct sigaction action = {.sa_handler = ignores ? SIG_IGN : SIG_DFL};
    /* It fails for those that nobody can change. */
    sigaction(number, &action, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_child(struct child *child) {
  if (child->death_signal != 0) {
    if (prctl(PR_SET_PDEATHSIG, child->death_signal) < 0) goto failed;
    /* It had ended before. */
    if (getppid() != child->parent) _exit(SIGNAL_EXIT + child->death_signal);
  }
  if (chdir("/") < 0 || place_files(child) < 0 || set_signals(child->ignored) < 0) goto failed;
  execve(child->path, child->argv, child->envp);
failed:
  child->failure = errno;
  _exit(SIGNAL_EXIT - 1);
}

static __attribute__((noinline)) int64_t start_child(struct child *child) {
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t pid = vfork();
  if (pid == 0) run_child(child);
  int64_t status = pid < 0 ? -errno : pid;
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (pid > 0 && child->failure != 0) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    status = -child->failure;
  }
  return status;
}

/* (path, argv, env, files, ignored, deathSignal) → the pid of the child */
static napi_value spawn(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 6);
  struct name path;
  arg_name(&args, 0, &path);
  struct slice arguments = arg_bytes(&args, 1);
  struct slice variables = arg_bytes(&args, 2);
  struct slice files = arg_typed(&args, 3, napi_int32_array);
  uint64_t ignored = arg_mask(&args, 4);
  int death_signal = arg_int(&args, 5);
  if (!args.failure && files.length > MAX_FILES) args_throw_range(&args, "a child gets at most 16 files");
  if (args.failure) return args_failed(&args);
  char **argv = strings_of(arguments), **envp = strings_of(variables);
  int64_t status = -EINVAL;
  if (argv != NULL && envp != NULL) {
    struct child child = {
      .path = path.bytes,
      .argv = argv,
      .envp = envp,
      .files = (const int32_t *)(const void *)files.data,
      .count = (int)files.length,
      .ignored = ignored,
      .death_signal = death_signal,
      .parent = getpid(),
    };
    status = start_child(&child);
  }
  free(argv);
  free(envp);
  return result_number(env, status);
}

/* (pid) → the exit code of a child that has ended, 128 and the signal's number if one ended it; -EAGAIN if it goes on */
static napi_value reap(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int pid = arg_int(&args, 0), status = 0;
  if (args.failure) return args_failed(&args);
  pid_t ended;
  do ended = waitpid(pid, &status, WNOHANG);
  while (ended < 0 && errno == EINTR);
  if (ended < 0) return result_number(env, -errno);
  if (ended == 0) return result_number(env, -EAGAIN);
  return result_number(env, WIFSIGNALED(status) ? SIGNAL_EXIT + WTERMSIG(status) : WEXITSTATUS(status));
}

const struct exported programs_functions[] = {
  {"execve", exec},
  {"spawn", spawn},
  {"reap", reap},
  {NULL, NULL},
};
