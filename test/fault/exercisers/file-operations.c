// The operations of file-exerciser on its file: each function does one of them, and updates the model.
#include "file-exerciser.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct range {
  off_t at;
  size_t length;
};

static struct range any_range(struct exercise *x, off_t limit) {
  static const uint32_t lengths[] = {1, 512, PAGE, 3 * PAGE, 65536};
  off_t at = exercise_random(x, (uint32_t)limit);
  if (exercise_random(x, 3) == 0) at -= at % PAGE;
  size_t length = 1 + exercise_random(x, lengths[exercise_random(x, 5)]);
  if (at + (off_t)length > limit) length = (size_t)(limit - at);
  return (struct range){at, length};
}

// Within the file; an empty file has none.
static bool range_within(struct exercise *x, struct range *range) {
  if (x->size == 0) return false;
  *range = any_range(x, x->size);
  exercise_log(x, "%s %lld+%zu", x->log[x->done % LOG_LINES], (long long)range->at, range->length);
  return true;
}

// The text of the log's current line, kept while the line is rewritten.
static void note(struct exercise *x, struct range range) {
  char name[64];
  snprintf(name, sizeof name, "%s", x->log[x->done % LOG_LINES]);
  exercise_log(x, "%s %lld+%zu of %lld", name, (long long)range.at, range.length, (long long)x->size);
}

// New bytes for a range: in the buffer and in the model.
static void invent(struct exercise *x, struct range range) {
  unsigned char first = (unsigned char)exercise_random(x, 255);
  for (size_t i = 0; i < range.length; i++) x->buffer[i] = (unsigned char)(1 + (first + i * 7 + i / 251) % 255);
  memcpy(x->model + range.at, x->buffer, range.length);
  if (range.at + (off_t)range.length > x->size) x->size = range.at + (off_t)range.length;
}

static void wipe(struct exercise *x, off_t from, off_t to) {
  if (to > from) memset(x->model + from, 0, (size_t)(to - from));
}

static void read_by(struct exercise *x, int fd) {
  struct range range;
  if (!range_within(x, &range)) return;
  note(x, range);
  ssize_t got = pread(fd, x->buffer, range.length, range.at);
  if (got != (ssize_t)range.length) exercise_fail(x, "read gave %zd", got);
  exercise_compare(x, range.at, range.length, x->buffer);
}

static void run_read(struct exercise *x) {
  read_by(x, x->fd);
}

// A second, read-only descriptor. It is opened after the file's copy-up, since passthrough readers keep the file of their open.
static void run_reader(struct exercise *x) {
  if (x->reader < 0 && (x->reader = open(x->path, O_RDONLY | O_CLOEXEC)) < 0) exercise_fail(x, "open for reading");
  read_by(x, x->reader);
  if (exercise_random(x, 4) == 0) {
    close(x->reader);
    x->reader = -1;
  }
}

static void run_write(struct exercise *x) {
  struct range range = any_range(x, MAX_SIZE);
  note(x, range);
  invent(x, range);
  ssize_t put = pwrite(x->fd, x->buffer, range.length, range.at);
  if (put != (ssize_t)range.length) exercise_fail(x, "write gave %zd", put);
}

static void run_append(struct exercise *x) {
  struct range range = {x->size, 1 + exercise_random(x, 5000)};
  if (range.at + (off_t)range.length > MAX_SIZE) return;
  note(x, range);
  if (x->appender < 0 && (x->appender = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0) exercise_fail(x, "open to append");
  invent(x, range);
  ssize_t put = write(x->appender, x->buffer, range.length);
  if (put != (ssize_t)range.length) exercise_fail(x, "append gave %zd", put);
  if (exercise_random(x, 4) == 0) {
    close(x->appender);
    x->appender = -1;
  }
}

static struct range whole_pages(struct range range) {
  range.length += (size_t)(range.at % PAGE);
  range.at -= range.at % PAGE;
  range.length += PAGE - 1 - (range.length - 1) % PAGE;
  return range;
}

static bool open_direct(struct exercise *x) {
  if (x->direct < 0) x->direct = open(x->path, O_RDWR | O_DIRECT | O_CLOEXEC);
  if (x->direct < 0 && errno != EINVAL) exercise_fail(x, "open with O_DIRECT");
  return x->direct >= 0;
}

static void close_direct(struct exercise *x) {
  if (exercise_random(x, 3) != 0) return;
  close(x->direct);
  x->direct = -1;
}

static void run_direct_read(struct exercise *x) {
  if (x->size == 0 || !open_direct(x)) return;
  struct range range = whole_pages(any_range(x, x->size));
  note(x, range);
  ssize_t there = range.at + (off_t)range.length > x->size ? x->size - range.at : (ssize_t)range.length;
  ssize_t got = pread(x->direct, x->buffer, range.length, range.at);
  if (got != there) exercise_fail(x, "direct read gave %zd, not %zd", got, there);
  exercise_compare(x, range.at, (size_t)there, x->buffer);
  close_direct(x);
}

static void run_direct_write(struct exercise *x) {
  struct range range = whole_pages(any_range(x, MAX_SIZE));
  if (!open_direct(x)) return;
  note(x, range);
  invent(x, range);
  ssize_t put = pwrite(x->direct, x->buffer, range.length, range.at);
  if (put != (ssize_t)range.length) exercise_fail(x, "direct write gave %zd", put);
  close_direct(x);
}

static unsigned char *map(struct exercise *x, struct range range, int protection) {
  unsigned char *at = mmap(NULL, range.length, protection, MAP_SHARED, x->fd, range.at);
  if (at == MAP_FAILED) exercise_fail(x, "mmap");
  return at;
}

static void run_mapped_read(struct exercise *x) {
  struct range range;
  if (!range_within(x, &range)) return;
  range = whole_pages(range);
  note(x, range);
  unsigned char *seen = map(x, range, PROT_READ);
  off_t end = range.at + (off_t)range.length;
  exercise_compare(x, range.at, (size_t)((end > x->size ? x->size : end) - range.at), seen);
  // A page reaches past the end with zeroes.
  for (off_t at = x->size; at < end; at++)
    if (seen[at - range.at] != 0) exercise_fail(x, "byte %lld behind the end is mapped as %02x", (long long)at, seen[at - range.at]);
  munmap(seen, range.length);
}

static void run_mapped_write(struct exercise *x) {
  struct range range;
  if (!range_within(x, &range)) return;
  note(x, range);
  invent(x, range);
  size_t before = (size_t)(range.at % PAGE);
  struct range pages = {range.at - (off_t)before, range.length + before};
  unsigned char *at = map(x, pages, PROT_READ | PROT_WRITE);
  memcpy(at + before, x->buffer, range.length);
  if (exercise_random(x, 2) && msync(at, pages.length, MS_SYNC) < 0) exercise_fail(x, "msync");
  if (munmap(at, pages.length) < 0) exercise_fail(x, "munmap");
}

static void resized(struct exercise *x, off_t size) {
  wipe(x, size, MAX_SIZE);
  x->size = size;
}

static void run_ftruncate(struct exercise *x) {
  off_t size = exercise_random(x, MAX_SIZE + 1);
  note(x, (struct range){size, 0});
  if (ftruncate(x->fd, size) < 0) exercise_fail(x, "ftruncate");
  resized(x, size);
}

static void run_truncate(struct exercise *x) {
  off_t size = exercise_random(x, 8) == 0 ? 0 : exercise_random(x, MAX_SIZE + 1);
  note(x, (struct range){size, 0});
  if (truncate(x->path, size) < 0) exercise_fail(x, "truncate");
  resized(x, size);
}

static void run_open_truncating(struct exercise *x) {
  int fd = open(x->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) exercise_fail(x, "open with O_TRUNC");
  close(fd);
  resized(x, 0);
}

// True if the call succeeded; not every file system below supports each call.
static bool allocate(struct exercise *x, int mode, struct range range) {
  note(x, range);
  if (fallocate(x->fd, mode, range.at, (off_t)range.length) == 0) return true;
  if (errno != EOPNOTSUPP) exercise_fail(x, "fallocate with mode %d", mode);
  return false;
}

static void run_allocate(struct exercise *x) {
  struct range range = any_range(x, MAX_SIZE);
  bool keep = exercise_random(x, 2);
  off_t end = range.at + (off_t)range.length;
  if (allocate(x, keep ? FALLOC_FL_KEEP_SIZE : 0, range) && !keep && end > x->size) x->size = end;
}

static void run_punch(struct exercise *x) {
  struct range range = any_range(x, MAX_SIZE);
  off_t end = range.at + (off_t)range.length;
  if (allocate(x, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range)) wipe(x, range.at, end);
}

static void run_zero(struct exercise *x) {
  struct range range = any_range(x, MAX_SIZE);
  bool keep = exercise_random(x, 2);
  off_t end = range.at + (off_t)range.length;
  if (!allocate(x, FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), range)) return;
  wipe(x, range.at, end);
  if (!keep && end > x->size) x->size = end;
}

static void run_copy_range(struct exercise *x) {
  struct range range;
  if (!range_within(x, &range)) return;
  off_t to = exercise_random(x, (uint32_t)(MAX_SIZE - range.length));
  off_t apart = to > range.at ? to - range.at : range.at - to;
  if (apart < (off_t)range.length) return;
  note(x, range);
  off_t from_at = range.at, to_at = to;
  for (size_t left = range.length; left > 0;) {
    ssize_t copied = copy_file_range(x->fd, &from_at, x->fd, &to_at, left, 0);
    if (copied <= 0) exercise_fail(x, "copy_file_range to %lld gave %zd", (long long)to, copied);
    left -= (size_t)copied;
  }
  memmove(x->model + to, x->model + range.at, range.length);
  if (to + (off_t)range.length > x->size) x->size = to + (off_t)range.length;
}

static void run_splice(struct exercise *x) {
  struct range range;
  int pipes[2];
  if (!range_within(x, &range) || pipe2(pipes, O_CLOEXEC) < 0) return;
  if (range.length > 32768) range.length = 32768;
  note(x, range);
  off_t at = range.at;
  ssize_t sent = splice(x->fd, &at, pipes[1], NULL, range.length, 0);
  if (sent <= 0 || read(pipes[0], x->buffer, (size_t)sent) != sent) exercise_fail(x, "splice gave %zd", sent);
  exercise_compare(x, range.at, (size_t)sent, x->buffer);
  close(pipes[0]);
  close(pipes[1]);
}

/*
 * A reported hole must be zero in the model. ext4 and others report an allocated range that was never written as data while its
 * page is in the cache: a second look may report a hole.
 */
#define HOLES_BY_SECOND_LOOK 16
static void run_seek(struct exercise *x) {
  off_t hole = 0;
  unsigned turned = 0;
  while (hole < x->size) {
    off_t data = lseek(x->fd, hole, SEEK_DATA);
    if (data < 0 && errno != ENXIO) exercise_fail(x, "SEEK_DATA from %lld", (long long)hole);
    off_t end = data < 0 ? x->size : data;
    for (off_t at = hole; at < end; at++)
      if (x->model[at] != 0) exercise_fail(x, "SEEK_DATA from %lld says %lld, but byte %lld is %02x", (long long)hole, (long long)data, (long long)at, x->model[at]);
    if (data < 0) return;
    hole = lseek(x->fd, data, SEEK_HOLE);
    bool turns = hole == data && ++turned <= HOLES_BY_SECOND_LOOK;
    if (hole <= data && !turns) exercise_fail(x, "SEEK_HOLE from %lld says %lld", (long long)data, (long long)hole);
  }
}

static void run_sync(struct exercise *x) {
  if ((exercise_random(x, 2) ? fsync(x->fd) : fdatasync(x->fd)) < 0) exercise_fail(x, "fsync");
}

static void run_forget_pages(struct exercise *x) {
  posix_fadvise(x->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void run_reopen(struct exercise *x) {
  int others[] = {x->reader, x->direct, x->appender};
  for (int i = 0; i < 3; i++)
    if (others[i] >= 0) close(others[i]);
  x->reader = x->direct = x->appender = -1;
  close(x->fd);
  if ((x->fd = open(x->path, O_RDWR | O_CLOEXEC)) < 0) exercise_fail(x, "open again");
}

static void run_rename(struct exercise *x) {
  char other[4096];
  snprintf(other, sizeof other, "%s.moved", x->path);
  if (rename(x->path, other) < 0) exercise_fail(x, "rename away");
  if (exercise_random(x, 2)) run_read(x);
  if (rename(other, x->path) < 0) exercise_fail(x, "rename back");
}

static void run_chmod(struct exercise *x) {
  if (fchmod(x->fd, 0600 + exercise_random(x, 0100)) < 0) exercise_fail(x, "fchmod");
}

const struct weighted file_operations[] = {
    {"read", run_read, 10},         {"read by a reader", run_reader, 8},
    {"write", run_write, 12},       {"append", run_append, 5},
    {"direct read", run_direct_read, 5},
    {"direct write", run_direct_write, 5},
    {"mapped read", run_mapped_read, 6},
    {"mapped write", run_mapped_write, 8},
    {"ftruncate", run_ftruncate, 3}, {"truncate", run_truncate, 3},
    {"open truncating", run_open_truncating, 1},
    {"allocate", run_allocate, 3},  {"punch", run_punch, 4},
    {"zero", run_zero, 4},          {"copy range", run_copy_range, 4},
    {"splice", run_splice, 4},      {"seek", run_seek, 3},
    {"sync", run_sync, 1},          {"forget pages", run_forget_pages, 2},
    {"reopen", run_reopen, 3},      {"rename", run_rename, 2},
    {"chmod", run_chmod, 1},        {NULL, NULL, 0},
};
