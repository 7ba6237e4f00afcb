// Random reads, writes, mappings, truncations and the like on one file, each checked against a model in memory, as fsx does
// it. Several processes may each have their own file. The operations are in file-operations.c.
//
// file-exerciser PATH SEED SECONDS       the file exists already: the model begins with its content
//
// Prints "ok COUNT" and exits with 0, or prints the first difference, with the last operations, and exits with 1.
#include "file-exerciser.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint32_t exercise_random(struct exercise *x, uint32_t below) {
  // splitmix64: any seed is a good one.
  uint64_t z = (x->random += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ (z >> 31)) >> 16) % below;
}

void exercise_log(struct exercise *x, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(x->log[x->done % LOG_LINES], sizeof x->log[0], format, list);
  va_end(list);
}

void exercise_fail(struct exercise *x, const char *format, ...) {
  int error = errno;
  printf("%s: operation %llu: ", x->path, (unsigned long long)x->done);
  va_list list;
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  printf(" (errno %d %s), size %lld\n", error, strerror(error), (long long)x->size);
  for (uint64_t i = x->done < LOG_LINES ? 0 : x->done - LOG_LINES + 1; i <= x->done; i++)
    printf("  %llu %s\n", (unsigned long long)i, x->log[i % LOG_LINES]);
  exit(1);
}

void exercise_compare(struct exercise *x, off_t offset, size_t length, const unsigned char *seen) {
  for (size_t i = 0; i < length; i++) {
    if (seen[i] == x->model[offset + (off_t)i]) continue;
    size_t wrong = 0;
    for (size_t j = i; j < length; j++) wrong += seen[j] != x->model[offset + (off_t)j];
    errno = 0;
    exercise_fail(x, "byte %lld is %02x, not %02x; %zu of %zu differ", (long long)offset + (long long)i, seen[i],
                  x->model[offset + (off_t)i], wrong, length);
  }
}

static void check_size(struct exercise *x) {
  struct stat by_fd, by_name;
  if (fstat(x->fd, &by_fd) < 0) exercise_fail(x, "fstat");
  if (by_fd.st_size != x->size) exercise_fail(x, "fstat tells of %lld bytes", (long long)by_fd.st_size);
  if (stat(x->path, &by_name) < 0) exercise_fail(x, "stat");
  if (by_name.st_size != x->size || by_name.st_ino != by_fd.st_ino)
    exercise_fail(x, "stat tells of %lld bytes in inode %llu, fstat of inode %llu", (long long)by_name.st_size,
                  (unsigned long long)by_name.st_ino, (unsigned long long)by_fd.st_ino);
}

// The file as it is, read by a descriptor that cannot write, and so from a lower layer if it lies there.
static void load(struct exercise *x) {
  int fd = open(x->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) exercise_fail(x, "first open");
  for (ssize_t got; (got = pread(fd, x->model + x->size, MAX_SIZE - (size_t)x->size, x->size)) > 0;) x->size += got;
  close(fd);
  x->fd = open(x->path, O_RDWR | O_CLOEXEC);
  if (x->fd < 0) exercise_fail(x, "open for writing");
}

static operation *choose(struct exercise *x) {
  uint32_t total = 0;
  for (const struct weighted *each = file_operations; each->run; each++) total += each->weight;
  uint32_t at = exercise_random(x, total);
  for (const struct weighted *each = file_operations; each->run; each++) {
    if (at < each->weight) {
      exercise_log(x, "%s", each->name);
      return each->run;
    }
    at -= each->weight;
  }
  abort();
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: file-exerciser PATH SEED SECONDS\n"), 2;
  struct exercise *x = calloc(1, sizeof *x);
  if (!x || posix_memalign((void **)&x->buffer, PAGE, MAX_SIZE)) return 3;
  x->path = argv[1];
  x->random = strtoull(argv[2], NULL, 10);
  x->reader = x->direct = x->appender = -1;
  load(x);
  for (time_t until = time(NULL) + atol(argv[3]); time(NULL) < until; x->done++) {
    choose(x)(x);
    if (exercise_random(x, 4) == 0) check_size(x);
  }
  check_size(x);
  if (pread(x->fd, x->buffer, (size_t)x->size, 0) != x->size) exercise_fail(x, "last read");
  exercise_compare(x, 0, (size_t)x->size, x->buffer);
  printf("ok %llu\n", (unsigned long long)x->done);
  return 0;
}
