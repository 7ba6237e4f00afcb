// Names of the generated tree: file number N is "dDDD/fNNNNN". Made before the clock starts, so that printf is not measured.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define LONGEST_NAME 96

void directory_name(char *out, unsigned index, const struct plan *plan) {
    snprintf(out, LONGEST_NAME, "d%03u", index / plan->per_dir);
}

char **names_of(const struct plan *plan, const char *prefix) {
    char **names = calloc(plan->count, sizeof *names);
    char *text = calloc(plan->count, LONGEST_NAME);
    if (names == NULL || text == NULL) fail("allocate", "names");
    for (unsigned i = 0; i < plan->count; i++) {
        unsigned index = plan->first + i;
        names[i] = text + (size_t)i * LONGEST_NAME;
        snprintf(names[i], LONGEST_NAME, "d%03u/%sf%05u", index / plan->per_dir, prefix, index);
    }
    return names;
}

unsigned directories_of(const struct plan *plan) { return (plan->count + plan->per_dir - 1) / plan->per_dir; }
