// Shared by the probes of the data path. Each rule prints the same lines on every file system that keeps the
// rule: no times, no addresses, no inode numbers.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rule {
    const char *name;
    void (*run)(void);
};

extern const struct rule data_rules[], pipe_rules[], map_rules[], limit_rules[], event_rules[];

// "LABEL: VALUE", or "LABEL: ERRNO NAME" where value is negative.
void say(const char *label, long value);
// Ends the probe with a message, for errors outside of a rule.
void broken(const char *what);
// A new file of the rule; an existing one is removed first.
int fresh(const char *name, int flags);
// Bytes that tell their offset.
void fill(unsigned char *buffer, size_t size, uint64_t offset);
// 1 if the buffer has the bytes of fill().
int is_filled(const unsigned char *buffer, size_t size, uint64_t offset);
// Writes `size` filled bytes from offset 0.
void write_filled(int fd, size_t size);
