// A tree of objects in memory, and the same tree on a file system: shared by the parts of tree-exerciser.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { NAMES = 12, HELD = 3, LONGEST_FILE = 48 * 1024, LOG_LINES = 40, LONGEST_PATH = 4000, DEEPEST = 7 };

enum kind { A_FILE, A_DIRECTORY, A_SYMLINK, A_FIFO };

struct object {
  enum kind kind;
  mode_t mode;
  uid_t uid;
  gid_t gid;
  unsigned names, holders;
  // 0 if unknown: set by the file system itself.
  int64_t mtime_sec;
  unsigned mark;            // Value of user.mark; 0: there is none.
  struct object *parent;    // Of a directory.
  struct object *entries[NAMES];
  unsigned target;          // Of a symlink.
  unsigned char *data;      // Of a file.
  size_t size;
};

struct tree {
  uint64_t random;
  uint64_t done;
  bool dry;                 // Only the model changes: an earlier process did these operations already.
  bool privileged;
  bool check_numbers;       // A listing's inode numbers are stat's.
  bool trace;
  const char *root_path;
  struct object *root;
  struct { struct object *object; int fd; } held[HELD];
  char log[LOG_LINES][256];
};

// A name in a directory; it may have no object.
struct place {
  struct object *directory;
  unsigned name;
  char path[LONGEST_PATH];
};

extern const char *const tree_names[NAMES];

uint32_t tree_random(struct tree *t, uint32_t below);
__attribute__((format(printf, 2, 3))) void tree_log(struct tree *t, const char *format, ...);
// Prints the error and the operations before it, and ends the process with 1.
__attribute__((format(printf, 2, 3), noreturn)) void tree_fail(struct tree *t, const char *format, ...);
// Fails unless the result of a call, 0 or an errno, is the model's.
void tree_expect(struct tree *t, const struct place *place, long result, int expected);

void tree_path(struct tree *t, const struct object *directory, char *path);
// A place anywhere in the tree. It prefers a place that holds a `wanted` object; -1 for any.
void tree_choose(struct tree *t, int wanted, struct place *place);
struct object *tree_at(const struct place *place);
struct object *tree_add(struct tree *t, const struct place *place, enum kind kind, mode_t mode);
void tree_remove(const struct place *place);
void tree_release(struct object *object);
bool tree_is_empty(const struct object *directory);
bool tree_is_below(const struct object *directory, const struct object *ancestor);
unsigned tree_depth(const struct object *directory);
// A file's content from `offset`, extended if needed with drawn bytes.
void tree_write(struct tree *t, struct object *file, size_t offset, size_t length);
void tree_resize(struct object *file, size_t size);

// Does one operation after another, and ends each round: descriptors are closed, and each file keeps one name.
void tree_operate(struct tree *t);
void tree_end_round(struct tree *t);
// Fails if the tree differs from the model.
void tree_verify(struct tree *t);
void tree_verify_object(struct tree *t, const struct place *place);
