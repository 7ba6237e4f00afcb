/* Registers every exported function. Context-aware: nothing here is tied to one environment. */
#include "native.h"

static const struct exported *const tables[] = {
  fuse_functions,  poll_functions,  notifier_functions,    mounts_functions,  names_functions,   handles_functions, xattr_functions,
  data_functions,  async_functions, credentials_functions, process_functions, mapping_functions, messages_functions, guard_functions,
  fuse_ring_functions,
};

NAPI_MODULE_INIT() {
  for (size_t table = 0; table < sizeof tables / sizeof tables[0]; table++) {
    for (const struct exported *entry = tables[table]; entry->name != NULL; entry++) {
      set_method(env, exports, entry->name, entry->function);
    }
  }
  return exports;
}
