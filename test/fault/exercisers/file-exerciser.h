// One file, its model in memory, and the log of operations on both: shared by the parts of file-exerciser.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGE = 4096, MAX_SIZE = 256 * 1024, LOG_LINES = 40 };

struct exercise {
  const char *path;
  uint64_t random;
  uint64_t done;
  // The expected content of the file: `model` up to `size`, zeroes behind it.
  unsigned char model[MAX_SIZE];
  off_t size;
  int fd;         // O_RDWR
  int reader;     // O_RDONLY, or -1
  int direct;     // O_RDWR | O_DIRECT, or -1
  int appender;   // O_WRONLY | O_APPEND, or -1
  unsigned char *buffer; // MAX_SIZE, aligned for O_DIRECT
  char log[LOG_LINES][96];
};

uint32_t exercise_random(struct exercise *x, uint32_t below);
__attribute__((format(printf, 2, 3))) void exercise_log(struct exercise *x, const char *format, ...);
// Prints the error and the operations before it, and ends the process with 1.
__attribute__((format(printf, 2, 3), noreturn)) void exercise_fail(struct exercise *x, const char *format, ...);
// Fails if `length` bytes at `offset` differ from the model.
void exercise_compare(struct exercise *x, off_t offset, size_t length, const unsigned char *seen);

typedef void operation(struct exercise *x);
struct weighted {
  const char *name;
  operation *run;
  uint32_t weight;
};
extern const struct weighted file_operations[];
