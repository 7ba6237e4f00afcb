/* Arguments in, results out: the only place that knows how JavaScript values become C values. */
#include "native.h"

#include <stdio.h>

struct args args_read(napi_env env, napi_callback_info info, size_t least) {
  if (fsetid_is_out) fsetid_put_back();
  return args_read_as_is(env, info, least);
}

struct args args_read_as_is(napi_env env, napi_callback_info info, size_t least) {
  struct args args;
  args.env = env;
  args.count = MAX_ARGUMENTS;
  args.failure = 0;
  if (napi_get_cb_info(env, info, &args.count, args.values, &args.self, &args.data) != napi_ok) {
    args.failure = ARGS_THROWN;
  } else if (args.count < least) {
    args.failure = ARGS_THROWN;
    napi_throw_type_error(env, NULL, "too few arguments");
  }
  return args;
}

void args_throw_type(struct args *args, size_t index, const char *expected) {
  char message[96];
  args->failure = ARGS_THROWN;
  snprintf(message, sizeof message, "argument %zu must be %s", index + 1, expected);
  napi_throw_type_error(args->env, NULL, message);
}

void args_throw_range(struct args *args, const char *message) {
  args->failure = ARGS_THROWN;
  napi_throw_range_error(args->env, NULL, message);
}

napi_value args_failed(struct args *args) {
  return args->failure == ARGS_THROWN ? NULL : result_number(args->env, -args->failure);
}

/*
 * Read as UTF-16 and narrowed here, not by napi_get_value_string_latin1: that one cuts each character down to its low
 * byte, and U+012F would arrive as a slash.
 */
const char *arg_name(struct args *args, size_t index, struct name *name) {
  char16_t wide[PATH_MAX + 1];
  size_t length = 0;
  name->bytes[0] = 0;
  if (args->failure != 0) return name->bytes;
  if (napi_get_value_string_utf16(args->env, args->values[index], wide, PATH_MAX + 1, &length) != napi_ok) {
    args_throw_type(args, index, "a byte string");
    return name->bytes;
  }
  if (length >= PATH_MAX) {
    args->failure = ENAMETOOLONG;
    return name->bytes;
  }
  unsigned beyond = 0;
  bool nul = false;
  for (size_t at = 0; at < length; at++) {
    beyond |= wide[at];
    nul |= wide[at] == 0;
    name->bytes[at] = (char)wide[at];
  }
  name->bytes[length] = 0;
  if (beyond > 0xff) args_throw_type(args, index, "a byte string (each character one byte)");
  else if (nul) args->failure = EINVAL;
  return name->bytes;
}

int64_t arg_offset(struct args *args, size_t index) {
  int64_t value = 0;
  bool lossless = true;
  if (args->failure != 0) return 0;
  napi_status status = napi_get_value_int64(args->env, args->values[index], &value);
  if (status == napi_ok) {
    if (value > SAFE_INTEGER_MAX || value < -SAFE_INTEGER_MAX) args_throw_range(args, "an offset beyond 2^53 must be a bigint");
    return value;
  }
  if (napi_get_value_bigint_int64(args->env, args->values[index], &value, &lossless) != napi_ok) {
    args_throw_type(args, index, "a number or bigint");
  } else if (!lossless) {
    args_throw_range(args, "an offset must fit 63 bits");
  }
  return value;
}

uint64_t arg_mask(struct args *args, size_t index) {
  uint64_t value = 0;
  bool lossless = true;
  if (args->failure != 0) return 0;
  if (napi_get_value_bigint_uint64(args->env, args->values[index], &value, &lossless) != napi_ok || !lossless) {
    args_throw_type(args, index, "a bigint of 64 bits");
  }
  return value;
}

bool arg_bool(struct args *args, size_t index) {
  bool value = false;
  if (args->failure == 0 && napi_get_value_bool(args->env, args->values[index], &value) != napi_ok) {
    args_throw_type(args, index, "a boolean");
  }
  return value;
}

struct slice arg_typed(struct args *args, size_t index, napi_typedarray_type type) {
  struct slice slice = {NULL, 0};
  napi_typedarray_type actual;
  void *data = NULL;
  if (args->failure != 0) return slice;
  napi_status status = napi_get_typedarray_info(args->env, args->values[index], &actual, &slice.length, &data, NULL, NULL);
  if (status != napi_ok || actual != type) {
    args_throw_type(args, index, type == napi_uint8_array ? "a Uint8Array" : "a typed array of the kind the function names");
    slice.length = 0;
  }
  slice.data = data;
  return slice;
}

struct slice arg_piece(struct args *args, size_t index) {
  struct slice bytes = arg_bytes(args, index);
  int64_t offset = arg_int64(args, index + 1);
  int64_t length = arg_int64(args, index + 2);
  if (args->failure != 0) return bytes;
  if (offset < 0 || length < 0 || (uint64_t)offset > bytes.length || (uint64_t)length > bytes.length - (uint64_t)offset) {
    args_throw_range(args, "offset and length reach beyond the bytes given");
    return bytes;
  }
  return (struct slice){bytes.data + offset, (size_t)length};
}

napi_value result_number(napi_env env, int64_t value) {
  napi_value number = NULL;
  if (value >= INT32_MIN && value <= INT32_MAX) napi_create_int32(env, (int32_t)value, &number);
  else napi_create_int64(env, value, &number);
  return number;
}

napi_value result_offset(napi_env env, int64_t value) {
  napi_value number = NULL;
  if (value <= SAFE_INTEGER_MAX) return result_number(env, value);
  napi_create_bigint_int64(env, value, &number);
  return number;
}

void set_number(napi_env env, napi_value object, const char *key, double value) {
  napi_value number;
  napi_create_double(env, value, &number);
  napi_set_named_property(env, object, key, number);
}

void set_method(napi_env env, napi_value object, const char *key, napi_callback method) {
  napi_value function;
  napi_create_function(env, key, NAPI_AUTO_LENGTH, method, NULL, &function);
  napi_set_named_property(env, object, key, function);
}
