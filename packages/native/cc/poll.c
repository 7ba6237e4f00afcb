/* Readiness of a descriptor on the event loop: uv_poll, level-triggered, calling JavaScript with microtasks run after. */
#include "native.h"

/* The few functions of libuv that are used; its ABI is stable in 1.x and node exports them. No header needed. */
typedef struct uv_loop_s uv_loop_t;
typedef void (*poll_callback)(void *handle, int status, int events);
typedef void (*close_callback)(void *handle);
extern size_t uv_handle_size(int type);
extern int uv_poll_init(uv_loop_t *loop, void *handle, int fd);
extern int uv_poll_start(void *handle, int events, poll_callback callback);
extern int uv_poll_stop(void *handle);
extern void uv_close(void *handle, close_callback callback);
#define UV_POLL_HANDLE 8
#define UV_READABLE 1
#define UV_DISCONNECT 4

/* Freed when both libuv has let go of the handle and the JavaScript object is gone. */
struct poller {
  napi_env env;
  void *handle;
  napi_ref callback;
  /* Keeps the object alive while the handle is open, also when nobody holds it. */
  napi_ref object;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  bool open;
  int owners;
};

static void release(struct poller *poller) {
  if (--poller->owners == 0) free(poller);
}

static void on_closed(void *handle) {
  /* The first field of every libuv handle is its user's `data`. */
  struct poller *poller = *(void **)handle;
  free(handle);
  napi_remove_async_cleanup_hook(poller->hook);
  release(poller);
}

static void stop(struct poller *poller) {
  if (!poller->open) return;
  poller->open = false;
  uv_poll_stop(poller->handle);
  uv_close(poller->handle, on_closed);
  napi_delete_reference(poller->env, poller->callback);
  napi_async_destroy(poller->env, poller->context);
  napi_delete_reference(poller->env, poller->object);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  stop(data);
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

static void call(struct poller *poller, int status, int events) {
  napi_env env = poller->env;
  napi_value callback, global, argv[2], returned, thrown;
  napi_get_reference_value(env, poller->callback, &callback);
  napi_get_global(env, &global);
  napi_create_int32(env, status, &argv[0]);
  napi_create_int32(env, events, &argv[1]);
  napi_status made = napi_make_callback(env, poller->context, global, callback, 2, argv, &returned);
  if (made == napi_pending_exception && napi_get_and_clear_last_exception(env, &thrown) == napi_ok) {
    napi_fatal_exception(env, thrown);
  }
}

static void on_ready(void *handle, int status, int events) {
  struct poller *poller = *(void **)handle;
  napi_handle_scope scope;
  if (napi_open_handle_scope(poller->env, &scope) != napi_ok) return;
  call(poller, status, events);
  napi_close_handle_scope(poller->env, scope);
}

static napi_value poller_close(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  void *poller = NULL;
  if (napi_unwrap(env, args.self, &poller) != napi_ok) {
    napi_throw_type_error(env, NULL, "close must be called on a poller");
    return NULL;
  }
  stop(poller);
  return NULL;
}

static napi_value watch(struct args *args, struct poller *poller) {
  napi_env env = args->env;
  napi_value object, name;
  napi_create_object(env, &object);
  set_method(env, object, "close", poller_close);
  napi_create_string_latin1(env, "sluice.poll", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, args->values[1], 1, &poller->callback);
  napi_async_init(env, NULL, name, &poller->context);
  napi_wrap(env, object, poller, on_collected, NULL, NULL);
  napi_create_reference(env, object, 1, &poller->object);
  napi_add_async_cleanup_hook(env, on_environment_end, poller, &poller->hook);
  poller->owners = 2;
  poller->open = true;
  int status = uv_poll_start(poller->handle, UV_READABLE | UV_DISCONNECT, on_ready);
  if (status == 0) return object;
  stop(poller);
  napi_throw_error(env, NULL, "the event loop cannot watch the descriptor");
  return NULL;
}

static napi_value fd_poll(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  int fd = arg_int(&args, 0);
  napi_valuetype kind = napi_undefined;
  if (!args.failure) napi_typeof(env, args.values[1], &kind);
  if (!args.failure && kind != napi_function) args_throw_type(&args, 1, "a function");
  if (args.failure) return args_failed(&args);
  uv_loop_t *loop = NULL;
  struct poller *poller = calloc(1, sizeof *poller);
  void *handle = calloc(1, uv_handle_size(UV_POLL_HANDLE));
  if (poller == NULL || handle == NULL || napi_get_uv_event_loop(env, (void *)&loop) != napi_ok || uv_poll_init(loop, handle, fd) != 0) {
    free(poller);
    free(handle);
    napi_throw_error(env, "EBADF", "the event loop cannot watch the descriptor: it must be open and pollable");
    return NULL;
  }
  *(void **)handle = poller;
  poller->env = env;
  poller->handle = handle;
  return watch(&args, poller);
}

const struct exported poll_functions[] = {{"poll", fd_poll}, {NULL, NULL}};
