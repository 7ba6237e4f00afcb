// Runs one rule in the working directory: probe RULE. Without an argument it prints the names of all rules, one a line.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

void say(const char *label, long value) {
    if (value < 0)
        printf("%s: %s\n", label, strerrorname_np(errno));
    else
        printf("%s: %ld\n", label, value);
    fflush(stdout);
}

void broken(const char *what) {
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

int fresh(const char *name, int flags) {
    if (unlink(name) != 0 && errno != ENOENT) broken(name);
    int fd = open(name, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) broken(name);
    return fd;
}

static unsigned char byte_at(uint64_t offset) { return (unsigned char)(offset * 31 + (offset >> 8) * 7 + 1); }

void fill(unsigned char *buffer, size_t size, uint64_t offset) {
    for (size_t i = 0; i < size; i++) buffer[i] = byte_at(offset + i);
}

int is_filled(const unsigned char *buffer, size_t size, uint64_t offset) {
    for (size_t i = 0; i < size; i++)
        if (buffer[i] != byte_at(offset + i)) return 0;
    return 1;
}

void write_filled(int fd, size_t size) {
    unsigned char *buffer = malloc(size);
    if (buffer == NULL) broken("allocate");
    fill(buffer, size, 0);
    if (pwrite(fd, buffer, size, 0) != (ssize_t)size) broken("write");
    free(buffer);
}

static const struct rule *const tables[] = {data_rules, pipe_rules, map_rules, limit_rules, event_rules};

int main(int argc, char **argv) {
    for (size_t table = 0; table < sizeof tables / sizeof *tables; table++)
        for (const struct rule *rule = tables[table]; rule->name != NULL; rule++) {
            if (argc < 2) puts(rule->name);
            if (argc < 2 || strcmp(rule->name, argv[1]) != 0) continue;
            rule->run();
            return 0;
        }
    if (argc < 2) return 0;
    fprintf(stderr, "probe: no rule %s\n", argv[1]);
    return 2;
}
