/* The thread that writes FUSE notifications, and its queue. Knows nothing of what the bytes mean. */
#include "native.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

struct message {
  struct message *next;
  size_t length;
  uint8_t bytes[];
};

/*
 * Owned by the JavaScript object and by the thread. The descriptor is a duplicate, which the thread closes as it ends: the
 * number the caller gave may be closed, and reused for a file, while the thread is still inside its last write. An open
 * descriptor keeps the connection, with its backing files and so their file system.
 */
struct notifier {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  pthread_t thread;
  int fd;
  int owners;
  bool stopping;
  bool writing;
  struct message *first;
  struct message **end;
  int64_t queued;
  int64_t written;
  int64_t refused;
};

static void drop_queue(struct notifier *notifier) {
  while (notifier->first != NULL) {
    struct message *message = notifier->first;
    notifier->first = message->next;
    free(message);
  }
  notifier->end = &notifier->first;
  notifier->queued = 0;
}

static void release(struct notifier *notifier) {
  pthread_mutex_lock(&notifier->lock);
  int owners = --notifier->owners;
  pthread_mutex_unlock(&notifier->lock);
  if (owners > 0) return;
  drop_queue(notifier);
  pthread_cond_destroy(&notifier->changed);
  pthread_mutex_destroy(&notifier->lock);
  free(notifier);
}

/* The descriptor is non-blocking for the read loop's sake; a notification waits here, on its own thread. */
static bool write_whole(int fd, const struct message *message) {
  for (;;) {
    if (write(fd, message->bytes, message->length) >= 0) return true;
    if (errno == EAGAIN) {
      struct pollfd writable = {.fd = fd, .events = POLLOUT, .revents = 0};
      if (poll(&writable, 1, 1000) < 0 && errno != EINTR) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
}

static struct message *take(struct notifier *notifier) {
  while (notifier->first == NULL && !notifier->stopping) pthread_cond_wait(&notifier->changed, &notifier->lock);
  if (notifier->stopping) return NULL;
  struct message *message = notifier->first;
  notifier->first = message->next;
  if (notifier->first == NULL) notifier->end = &notifier->first;
  notifier->queued--;
  return message;
}

static void *run(void *data) {
  struct notifier *notifier = data;
  struct message *message;
  pthread_mutex_lock(&notifier->lock);
  while ((message = take(notifier)) != NULL) {
    notifier->writing = true;
    pthread_mutex_unlock(&notifier->lock);
    bool accepted = write_whole(notifier->fd, message);
    free(message);
    pthread_mutex_lock(&notifier->lock);
    notifier->writing = false;
    *(accepted ? &notifier->written : &notifier->refused) += 1;
  }
  pthread_mutex_unlock(&notifier->lock);
  close(notifier->fd);
  release(notifier);
  return NULL;
}

/*
 * Joins the thread, unless it is inside a write: the kernel may hold that write until the loop's thread, which is the
 * one that closes, has answered a request. Such a thread ends by itself after it.
 */
static void stop(struct notifier *notifier) {
  pthread_mutex_lock(&notifier->lock);
  bool first = !notifier->stopping;
  bool writing = notifier->writing;
  notifier->stopping = true;
  drop_queue(notifier);
  pthread_cond_signal(&notifier->changed);
  pthread_mutex_unlock(&notifier->lock);
  if (!first) return;
  if (writing) pthread_detach(notifier->thread);
  else pthread_join(notifier->thread, NULL);
}

static void on_environment_end(void *data) {
  stop(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)hint;
  napi_remove_env_cleanup_hook(env, on_environment_end, data);
  stop(data);
  release(data);
}

static struct notifier *notifier_of(struct args *args) {
  void *notifier = NULL;
  if (args->failure == 0 && napi_unwrap(args->env, args->self, &notifier) != napi_ok) {
    args->failure = ARGS_THROWN;
    napi_throw_type_error(args->env, NULL, "must be called on a notifier");
  }
  return notifier;
}

static napi_value notifier_post(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct notifier *notifier = notifier_of(&args);
  struct slice bytes = arg_bytes(&args, 0);
  int64_t length = arg_int64(&args, 1);
  if (!args.failure && (length < 0 || (uint64_t)length > bytes.length)) args_throw_range(&args, "the bytes are shorter than length");
  if (args.failure) return args_failed(&args);
  struct message *message = malloc(sizeof *message + (size_t)length);
  if (message == NULL) return result_number(env, -ENOMEM);
  message->next = NULL;
  message->length = (size_t)length;
  memcpy(message->bytes, bytes.data, (size_t)length);
  pthread_mutex_lock(&notifier->lock);
  bool stopping = notifier->stopping;
  if (!stopping) {
    *notifier->end = message;
    notifier->end = &message->next;
    notifier->queued++;
  }
  int64_t queued = notifier->queued;
  pthread_cond_signal(&notifier->changed);
  pthread_mutex_unlock(&notifier->lock);
  if (stopping) free(message);
  return result_number(env, stopping ? -EBADF : queued);
}

static napi_value notifier_counts(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  struct notifier *notifier = notifier_of(&args);
  if (args.failure) return args_failed(&args);
  pthread_mutex_lock(&notifier->lock);
  int64_t written = notifier->written;
  int64_t refused = notifier->refused;
  pthread_mutex_unlock(&notifier->lock);
  napi_value counts;
  napi_create_object(env, &counts);
  set_number(env, counts, "written", (double)written);
  set_number(env, counts, "refused", (double)refused);
  return counts;
}

static napi_value notifier_close(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  struct notifier *notifier = notifier_of(&args);
  if (args.failure) return args_failed(&args);
  stop(notifier);
  return NULL;
}

/* Signals belong to node's own threads: this one blocks them all. */
static int start_thread(struct notifier *notifier) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failure = pthread_create(&notifier->thread, NULL, run, notifier);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failure;
}

static napi_value make_notifier(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 1);
  int fuse_fd = arg_int(&args, 0);
  if (args.failure) return args_failed(&args);
  int fd = fcntl(fuse_fd, F_DUPFD_CLOEXEC, 0);
  struct notifier *notifier = calloc(1, sizeof *notifier);
  if (fd < 0 || notifier == NULL) {
    if (fd >= 0) close(fd);
    free(notifier);
    napi_throw_error(env, "EBADF", "cannot make a notifier: the descriptor must be open");
    return NULL;
  }
  pthread_mutex_init(&notifier->lock, NULL);
  pthread_cond_init(&notifier->changed, NULL);
  notifier->fd = fd;
  notifier->owners = 2;
  notifier->end = &notifier->first;
  if (start_thread(notifier) != 0) {
    close(fd);
    free(notifier);
    napi_throw_error(env, "EAGAIN", "cannot make a notifier: no further thread is allowed");
    return NULL;
  }
  napi_value object;
  napi_create_object(env, &object);
  set_method(env, object, "post", notifier_post);
  set_method(env, object, "counts", notifier_counts);
  set_method(env, object, "close", notifier_close);
  napi_wrap(env, object, notifier, on_collected, NULL, NULL);
  napi_add_env_cleanup_hook(env, on_environment_end, notifier);
  return object;
}

const struct exported notifier_functions[] = {{"notifier", make_notifier}, {NULL, NULL}};
