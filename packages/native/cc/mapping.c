/* Shared mappings of files: as a Buffer, or over memory that is there. A file truncated below the mapping ends the process: seal it against shrinking. */
#include "native.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Freed when both the Buffer and the object around it are gone. */
struct mapping {
  void *address;
  size_t length;
  int owners;
};

static int64_t unmap(struct mapping *mapping) {
  if (mapping->address == NULL) return -EINVAL;
  int64_t status = or_errno(munmap(mapping->address, mapping->length));
  mapping->address = NULL;
  return status;
}

static void on_collected(napi_env env, void *data, void *hint) {
  struct mapping *mapping = hint;
  (void)env;
  (void)data;
  if (--mapping->owners > 0) return;
  unmap(mapping);
  free(mapping);
}

/* The Buffer is detached first: a later access finds it empty and not somebody else's memory. */
static napi_value mapping_unmap(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 0);
  void *mapping = NULL;
  napi_value bytes, memory;
  if (napi_unwrap(env, args.self, &mapping) != napi_ok || napi_get_named_property(env, args.self, "bytes", &bytes) != napi_ok) {
    napi_throw_type_error(env, NULL, "unmap must be called on a mapping");
    return NULL;
  }
  if (napi_get_typedarray_info(env, bytes, NULL, NULL, NULL, &memory, NULL) != napi_ok || napi_detach_arraybuffer(env, memory) != napi_ok) {
    return result_number(env, -EBUSY);
  }
  return result_number(env, unmap(mapping));
}

static napi_value map_shared(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 3);
  int fd = arg_int(&args, 0);
  int64_t length = arg_int64(&args, 1);
  bool writable = arg_bool(&args, 2);
  bool populated = args.count > 3 && arg_bool(&args, 3);
  if (args.failure) return args_failed(&args);
  if (length <= 0) return result_number(env, -EINVAL);
  void *address = mmap(NULL, (size_t)length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return result_number(env, -errno);
  if (populated && madvise(address, (size_t)length, MADV_POPULATE_READ) < 0) {
    int64_t failure = -errno;
    munmap(address, (size_t)length);
    return result_number(env, failure);
  }
  struct mapping *mapping = calloc(1, sizeof *mapping);
  napi_value object, bytes;
  if (mapping == NULL || napi_create_external_buffer(env, (size_t)length, address, on_collected, mapping, &bytes) != napi_ok) {
    munmap(address, (size_t)length);
    free(mapping);
    return result_number(env, -ENOMEM);
  }
  *mapping = (struct mapping){address, (size_t)length, 2};
  napi_create_object(env, &object);
  napi_set_named_property(env, object, "bytes", bytes);
  set_method(env, object, "unmap", mapping_unmap);
  napi_wrap(env, object, mapping, on_collected, mapping, NULL);
  return object;
}

/* With a negative descriptor: memory of nobody, so that a late access does no harm. */
static napi_value map_over(napi_env env, napi_callback_info info) {
  struct args args = args_read(env, info, 2);
  struct slice place = arg_bytes(&args, 0);
  int fd = arg_int(&args, 1);
  if (args.failure) return args_failed(&args);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (place.length == 0 || (uintptr_t)place.data % page != 0 || place.length % page != 0) return result_number(env, -EINVAL);
  int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED);
  void *mapped = mmap(place.data, place.length, PROT_READ | PROT_WRITE, flags, fd, 0);
  return result_number(env, mapped == MAP_FAILED ? -errno : 0);
}

const struct exported mapping_functions[] = {{"mapShared", map_shared}, {"mapOver", map_over}, {NULL, NULL}};
