/* Registers every exported function. Context-aware: nothing here is tied to one environment. */
#include "native.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

static const struct exported *const tables[] = {
  fuse_functions,  poll_functions,  notifier_functions,    mounts_functions,  names_functions,   xattr_functions,
  data_functions,  copy_functions,  async_functions,       credentials_functions, process_functions, programs_functions, messages_functions,
  guard_functions, fuse_ring_functions, terminal_functions,
};

/*
 * A buffer for a request is a mebibyte of which little is used, and JavaScript wants it zeroed. Mapped, it is so already and costs the pages
 * that are touched. glibc stops mapping such blocks once one was freed, unless the threshold is set.
 */
static void map_large_blocks(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 256 * 1024);
#endif
}

NAPI_MODULE_INIT() {
  map_large_blocks();
  for (size_t table = 0; table < sizeof tables / sizeof tables[0]; table++) {
    for (const struct exported *entry = tables[table]; entry->name != NULL; entry++) {
      set_method(env, exports, entry->name, entry->function);
    }
  }
  return exports;
}
