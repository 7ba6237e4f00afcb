/* Terminals: a pseudo-terminal for another program, and the mode and size of any of them. */
#include "native.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

/* The far end is opened by the near one, since its path may lie on another mount of devpts. */
static int64_t open_ends(int32_t ends[2]) {
  int near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (near < 0) return -errno;
  int far = grantpt(near) < 0 || unlockpt(near) < 0 ? -1 : ioctl(near, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (far < 0) {
    int64_t status = -errno;
    close(near);
    return status;
  }
  ends[0] = near;
  ends[1] = far;
  return 0;
}

static napi_value open_pty(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  struct slice out = arg_typed(&args, 0, napi_int32_array);
  if (!args.failure && out.length < 2) args_throw_range(&args, "the array must hold two descriptors");
  if (args.failure) return args_failed(&args);
  return result_number(env, open_ends((int32_t *)(void *)out.data));
}

static struct slice arg_mode(struct args *args, size_t index) {
  struct slice bytes = arg_bytes(args, index);
  if (!args->failure && bytes.length < sizeof(struct termios)) args_throw_range(args, "the buffer must hold a struct termios");
  return bytes;
}

static napi_value terminal_mode(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct termios mode = {0};
  int fd = arg_int(&args, 0);
  struct slice out = arg_mode(&args, 1);
  if (args.failure) return args_failed(&args);
  if (tcgetattr(fd, &mode) < 0) return result_number(env, -errno);
  memcpy(out.data, &mode, sizeof mode);
  return result_number(env, sizeof mode);
}

/* With SIGTTOU blocked the kernel lets a process in the background change the mode, too: it restores what it found. */
static int64_t take_mode(int fd, const struct termios *mode) {
  sigset_t one, before;
  sigemptyset(&one);
  sigaddset(&one, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  int64_t status = or_errno(tcsetattr(fd, TCSANOW, mode));
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status;
}

static napi_value set_terminal_mode(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 4);
  struct termios mode;
  int fd = arg_int(&args, 0);
  struct slice bytes = arg_mode(&args, 1);
  bool raw_input = arg_bool(&args, 2);
  bool raw_output = arg_bool(&args, 3);
  if (args.failure) return args_failed(&args);
  memcpy(&mode, bytes.data, sizeof mode);
  tcflag_t output = mode.c_oflag;
  if (raw_input) cfmakeraw(&mode);
  mode.c_oflag = raw_output ? output & ~(tcflag_t)OPOST : output;
  return result_number(env, take_mode(fd, &mode));
}

/* Both ways alike: struct winsize in `size`. */
static napi_value move_size(napi_env env, napi_callback_info info, unsigned long command) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  struct slice size = arg_typed(&args, 1, napi_uint16_array);
  if (!args.failure && size.length < sizeof(struct winsize) / sizeof(uint16_t)) args_throw_range(&args, "the array must hold four words");
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(fd, command, size.data));
}

static napi_value terminal_size(napi_env env, napi_callback_info info) { return move_size(env, info, TIOCGWINSZ); }

static napi_value set_terminal_size(napi_env env, napi_callback_info info) { return move_size(env, info, TIOCSWINSZ); }

static napi_value signal_terminal(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int near = arg_int(&args, 0);
  int number = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  return result(env, ioctl(near, TIOCSIG, (unsigned long)number));
}

static napi_value flush_input(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  return result(env, tcflush(fd, TCIFLUSH));
}

const struct exported terminal_functions[] = {
  {"openPty", open_pty},
  {"terminalMode", terminal_mode},
  {"setTerminalMode", set_terminal_mode},
  {"terminalSize", terminal_size},
  {"setTerminalSize", set_terminal_size},
  {"signalTerminal", signal_terminal},
  {"flushInput", flush_input},
  {NULL, NULL},
};
