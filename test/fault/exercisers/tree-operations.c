// The operations of tree-exerciser on its tree: each predicts its result, makes the call unless the run is dry, and updates
// the model.
#include "tree-exerciser.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

typedef void operation(struct tree *t, struct place *place);

static mode_t any_mode(struct tree *t, mode_t least) {
  return least | (mode_t)tree_random(t, 0200);
}

static void write_all(struct tree *t, int fd, struct place *place, size_t length, size_t offset) {
  const struct object *file = tree_at(place);
  if (length > 0 && pwrite(fd, file->data + offset, length, (off_t)offset) != (ssize_t)length) tree_fail(t, "write %s", place->path);
}

static void run_create(struct tree *t, struct place *place) {
  mode_t mode = any_mode(t, 0600);
  size_t length = tree_random(t, 3) == 0 ? tree_random(t, 20000) : tree_random(t, 50);
  bool is_new = !tree_at(place);
  tree_log(t, "create %zu bytes %s", length, place->path);
  int fd = t->dry ? -1 : open(place->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
  tree_expect(t, place, fd, is_new ? 0 : EEXIST);
  if (!is_new) return;
  tree_write(t, tree_add(t, place, A_FILE, mode), 0, length);
  if (t->dry) return;
  write_all(t, fd, place, length, 0);
  close(fd);
}

static void run_mkdir(struct tree *t, struct place *place) {
  mode_t mode = any_mode(t, 0700);
  bool is_new = !tree_at(place);
  if (is_new && tree_depth(place->directory) >= DEEPEST) return;
  tree_log(t, "mkdir %s", place->path);
  tree_expect(t, place, t->dry ? 0 : mkdir(place->path, mode), is_new ? 0 : EEXIST);
  if (is_new) tree_add(t, place, A_DIRECTORY, mode);
}

static void run_symlink(struct tree *t, struct place *place) {
  unsigned target = tree_random(t, 100000);
  char text[16];
  snprintf(text, sizeof text, "%u", target);
  bool is_new = !tree_at(place);
  tree_log(t, "symlink %s", place->path);
  tree_expect(t, place, t->dry ? 0 : symlink(text, place->path), is_new ? 0 : EEXIST);
  if (is_new) tree_add(t, place, A_SYMLINK, 0777)->target = target;
}

static void run_mkfifo(struct tree *t, struct place *place) {
  mode_t mode = any_mode(t, 0600);
  bool is_new = !tree_at(place);
  tree_log(t, "mkfifo %s", place->path);
  tree_expect(t, place, t->dry ? 0 : mkfifo(place->path, mode), is_new ? 0 : EEXIST);
  if (is_new) tree_add(t, place, A_FIFO, mode);
}

static void run_unlink(struct tree *t, struct place *place) {
  const struct object *object = tree_at(place);
  int expected = !object ? ENOENT : object->kind == A_DIRECTORY ? EISDIR : 0;
  tree_log(t, "unlink %s", place->path);
  tree_expect(t, place, t->dry ? 0 : unlink(place->path), expected);
  if (expected == 0) tree_remove(place);
}

static void run_rmdir(struct tree *t, struct place *place) {
  const struct object *object = tree_at(place);
  int expected = !object ? ENOENT : object->kind != A_DIRECTORY ? ENOTDIR : tree_is_empty(object) ? 0 : ENOTEMPTY;
  tree_log(t, "rmdir %s", place->path);
  tree_expect(t, place, t->dry ? 0 : rmdir(place->path), expected);
  if (expected == 0) tree_remove(place);
}

// Removes the whole tree, as rm -r does it.
static void clear(struct tree *t, struct place *place) {
  struct object *object = tree_at(place);
  if (object->kind == A_DIRECTORY) {
    size_t length = strlen(place->path);
    for (unsigned i = 0; i < NAMES; i++) {
      if (!object->entries[i]) continue;
      struct place child = {.directory = object, .name = i};
      memcpy(child.path, place->path, length);
      snprintf(child.path + length, LONGEST_PATH - length, "/%s", tree_names[i]);
      clear(t, &child);
    }
  }
  int removed = t->dry ? 0 : object->kind == A_DIRECTORY ? rmdir(place->path) : unlink(place->path);
  tree_expect(t, place, removed, 0);
  tree_remove(place);
}

static void run_clear(struct tree *t, struct place *place) {
  tree_log(t, "rm -r %s", place->path);
  if (tree_at(place) && tree_random(t, 4) == 0) clear(t, place);
}

static void run_link(struct tree *t, struct place *to) {
  struct place from;
  tree_choose(t, A_FILE, &from);
  struct object *object = tree_at(&from);
  int expected = !object ? ENOENT : tree_at(to) ? EEXIST : object->kind == A_DIRECTORY ? EPERM : 0;
  tree_log(t, "link %s %s", from.path, to->path);
  tree_expect(t, to, t->dry ? 0 : linkat(AT_FDCWD, from.path, AT_FDCWD, to->path, 0), expected);
  if (expected != 0) return;
  object->names++;
  to->directory->entries[to->name] = object;
  to->directory->mtime_sec = 0;
}

static int rename_outcome(const struct place *from, const struct place *to, unsigned flags) {
  const struct object *source = tree_at(from), *target = tree_at(to);
  if (!source) return ENOENT;
  if (target && flags == RENAME_NOREPLACE) return EEXIST;
  if (!target && flags == RENAME_EXCHANGE) return ENOENT;
  if (source->kind == A_DIRECTORY && tree_is_below(to->directory, source)) return EINVAL;
  if (target && target->kind == A_DIRECTORY && tree_is_below(from->directory, target)) return flags == RENAME_EXCHANGE ? EINVAL : ENOTEMPTY;
  if (!target || target == source || flags == RENAME_EXCHANGE) return 0;
  if (source->kind == A_DIRECTORY && target->kind != A_DIRECTORY) return ENOTDIR;
  if (source->kind != A_DIRECTORY && target->kind == A_DIRECTORY) return EISDIR;
  return target->kind == A_DIRECTORY && !tree_is_empty(target) ? ENOTEMPTY : 0;
}

static void settle(struct object *object, const struct place *place) {
  place->directory->entries[place->name] = object;
  place->directory->mtime_sec = 0;
  if (object && object->kind == A_DIRECTORY) object->parent = place->directory;
}

static unsigned height(const struct object *object) {
  unsigned most = 0;
  for (unsigned i = 0; object && object->kind == A_DIRECTORY && i < NAMES; i++) {
    unsigned below = object->entries[i] ? 1 + height(object->entries[i]) : 0;
    if (below > most) most = below;
  }
  return most;
}

static void run_rename(struct tree *t, struct place *to) {
  static const unsigned any_flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
  struct place from;
  unsigned flags = any_flags[tree_random(t, 5)];
  tree_choose(t, tree_random(t, 2) ? A_DIRECTORY : (int)tree_random(t, 4), &from);
  if (tree_depth(to->directory) + height(tree_at(&from)) > DEEPEST) return;
  if (flags == RENAME_EXCHANGE && tree_depth(from.directory) + height(tree_at(to)) > DEEPEST) return;
  int expected = rename_outcome(&from, to, flags);
  tree_log(t, "rename with flags %u %s %s", flags, from.path, to->path);
  tree_expect(t, to, t->dry ? 0 : renameat2(AT_FDCWD, from.path, AT_FDCWD, to->path, flags), expected);
  struct object *source = tree_at(&from), *target = tree_at(to);
  if (expected != 0 || source == target) return;
  if (target && flags != RENAME_EXCHANGE) tree_remove(to);
  settle(flags == RENAME_EXCHANGE ? target : NULL, &from);
  settle(source, to);
}

// Changes one file's data; `place` holds a file.
static void run_write(struct tree *t, struct place *place) {
  struct object *file = tree_at(place);
  size_t offset = tree_random(t, LONGEST_FILE / 2), length = 1 + tree_random(t, tree_random(t, 2) ? 100 : 20000);
  if (!file || file->kind != A_FILE) return;
  tree_log(t, "write %zu+%zu %s", offset, length, place->path);
  tree_write(t, file, offset, length);
  if (t->dry) return;
  int fd = open(place->path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) tree_fail(t, "open %s", place->path);
  write_all(t, fd, place, length, offset);
  if (t->done % 16 == 0 && fsync(fd) < 0) tree_fail(t, "fsync %s", place->path);
  close(fd);
}

static void run_truncate(struct tree *t, struct place *place) {
  struct object *object = tree_at(place);
  size_t size = tree_random(t, 3) == 0 ? 0 : tree_random(t, LONGEST_FILE);
  if (object && object->kind != A_FILE && object->kind != A_DIRECTORY) return;
  int expected = !object ? ENOENT : object->kind == A_DIRECTORY ? EISDIR : 0;
  tree_log(t, "truncate to %zu %s", size, place->path);
  tree_expect(t, place, t->dry ? 0 : truncate(place->path, (off_t)size), expected);
  if (expected == 0) tree_resize(object, size);
}

static void run_copy(struct tree *t, struct place *place) {
  struct place from;
  tree_choose(t, A_FILE, &from);
  struct object *source = tree_at(&from), *file = tree_at(place);
  if (!source || !file || source->kind != A_FILE || file->kind != A_FILE || source == file || source->size == 0) return;
  tree_log(t, "copy_file_range %s %s", from.path, place->path);
  tree_resize(file, source->size > file->size ? source->size : file->size);
  memcpy(file->data, source->data, source->size);
  if (t->dry) return;
  int in = open(from.path, O_RDONLY | O_CLOEXEC), out = open(place->path, O_RDWR | O_CLOEXEC);
  for (size_t left = source->size; left > 0;) {
    ssize_t copied = copy_file_range(in, NULL, out, NULL, left, 0);
    if (copied <= 0) tree_fail(t, "copy_file_range gave %zd with %zu left", copied, left);
    left -= (size_t)copied;
  }
  close(in);
  close(out);
}

static void run_chmod(struct tree *t, struct place *place) {
  struct object *object = tree_at(place);
  mode_t mode = any_mode(t, object && object->kind == A_DIRECTORY ? 0700 : 0600);
  if (object && object->kind == A_SYMLINK) return;
  tree_log(t, "chmod %o %s", mode, place->path);
  tree_expect(t, place, t->dry ? 0 : chmod(place->path, mode), object ? 0 : ENOENT);
  if (object) object->mode = mode;
}

static void run_chown(struct tree *t, struct place *place) {
  static const uid_t ids[] = {0, 5, 1000};
  struct object *object = tree_at(place);
  uid_t uid = ids[tree_random(t, 3)], gid = ids[tree_random(t, 3)];
  if (!t->privileged) uid = 0;
  int expected = !object ? ENOENT : t->privileged ? 0 : EPERM;
  tree_log(t, "chown %u:%u %s", uid, gid, place->path);
  tree_expect(t, place, t->dry ? 0 : lchown(place->path, uid, gid), expected);
  if (expected != 0) return;
  object->uid = uid;
  object->gid = gid;
}

static void run_utimes(struct tree *t, struct place *place) {
  struct object *object = tree_at(place);
  struct timespec times[2] = {{.tv_sec = 5, .tv_nsec = 6}, {.tv_sec = 900000000 + tree_random(t, 100000000), .tv_nsec = 987654321}};
  tree_log(t, "utimes %s", place->path);
  tree_expect(t, place, t->dry ? 0 : utimensat(AT_FDCWD, place->path, times, AT_SYMLINK_NOFOLLOW), object ? 0 : ENOENT);
  if (object) object->mtime_sec = times[1].tv_sec;
}

static void run_setxattr(struct tree *t, struct place *place) {
  struct object *object = tree_at(place);
  unsigned mark = 1 + tree_random(t, 1000000);
  if (object && object->kind != A_FILE && object->kind != A_DIRECTORY) return;
  tree_log(t, "setxattr %s", place->path);
  tree_expect(t, place, t->dry ? 0 : lsetxattr(place->path, "user.mark", &mark, sizeof mark, 0), object ? 0 : ENOENT);
  if (object) object->mark = mark;
}

static void run_removexattr(struct tree *t, struct place *place) {
  struct object *object = tree_at(place);
  if (object && object->kind != A_FILE && object->kind != A_DIRECTORY) return;
  int expected = !object ? ENOENT : object->mark ? 0 : ENODATA;
  tree_log(t, "removexattr %s", place->path);
  tree_expect(t, place, t->dry ? 0 : lremovexattr(place->path, "user.mark"), expected);
  if (expected == 0) object->mark = 0;
}

static void run_look(struct tree *t, struct place *place) {
  tree_log(t, "look at %s", place->path);
  if (!t->dry) tree_verify_object(t, place);
}

// Opens a file and holds it open, whatever happens to its name.
static void run_hold(struct tree *t, struct place *place) {
  struct object *file = tree_at(place);
  unsigned slot = tree_random(t, HELD);
  if (!file || file->kind != A_FILE || t->held[slot].object) return;
  tree_log(t, "hold %s", place->path);
  t->held[slot].object = file;
  t->held[slot].fd = t->dry ? -1 : open(place->path, O_RDWR | O_CLOEXEC);
  if (!t->dry && t->held[slot].fd < 0) tree_fail(t, "open %s", place->path);
  file->holders++;
}

static void let_go(struct tree *t, unsigned slot) {
  struct object *file = t->held[slot].object;
  if (!file) return;
  if (!t->dry) close(t->held[slot].fd);
  t->held[slot].object = NULL;
  file->holders--;
  tree_release(file);
}

static void check_held(struct tree *t, int fd, const struct object *file) {
  struct stat seen;
  unsigned char data[LONGEST_FILE];
  if (fstat(fd, &seen) < 0) tree_fail(t, "fstat");
  if (seen.st_nlink != file->names || (size_t)seen.st_size != file->size || (seen.st_mode & 07777) != file->mode)
    tree_fail(t, "the open file has %lu names, size %lld, mode %o; not %u, %zu, %o", (unsigned long)seen.st_nlink,
              (long long)seen.st_size, seen.st_mode & 07777, file->names, file->size, file->mode);
  if (pread(fd, data, sizeof data, 0) != (ssize_t)file->size || (file->size > 0 && memcmp(data, file->data, file->size) != 0))
    tree_fail(t, "the open file's content differs");
}

static void run_held(struct tree *t, struct place *place) {
  unsigned slot = tree_random(t, HELD), what = tree_random(t, 5);
  size_t offset = tree_random(t, LONGEST_FILE / 2), length = 1 + tree_random(t, 5000);
  struct object *file = t->held[slot].object;
  int fd = t->held[slot].fd;
  if (!file) return;
  tree_log(t, "held file: what %u offset %zu length %zu", what, offset, length);
  if (what == 0) return let_go(t, slot);
  if (what == 1) {
    tree_write(t, file, offset, length);
    if (!t->dry && pwrite(fd, file->data + offset, length, (off_t)offset) != (ssize_t)length) tree_fail(t, "write");
  } else if (what == 2) {
    tree_resize(file, offset);
    tree_expect(t, place, t->dry ? 0 : ftruncate(fd, (off_t)offset), 0);
  } else if (what == 3) {
    file->mode = 0600 | (mode_t)(length % 0200);
    tree_expect(t, place, t->dry ? 0 : fchmod(fd, file->mode), 0);
  }
  if (!t->dry) check_held(t, fd, file);
}

struct weighted {
  operation *run;
  int wanted;
  uint32_t weight;
};

static const struct weighted operations[] = {
    {run_create, -1, 16},        {run_mkdir, -1, 12},         {run_symlink, -1, 3},        {run_mkfifo, -1, 2},
    {run_unlink, A_FILE, 5},     {run_unlink, -1, 1},        {run_rmdir, A_DIRECTORY, 4}, {run_rmdir, -1, 1},
    {run_clear, A_DIRECTORY, 1}, {run_link, -1, 4},          {run_rename, -1, 14},        {run_write, A_FILE, 8},
    {run_truncate, A_FILE, 4},   {run_copy, A_FILE, 2},      {run_chmod, -1, 3},          {run_chmod, A_DIRECTORY, 2},
    {run_chown, -1, 3},          {run_utimes, -1, 3},        {run_setxattr, A_FILE, 3},   {run_setxattr, A_DIRECTORY, 2},
    {run_removexattr, -1, 2},    {run_look, -1, 6},          {run_hold, A_FILE, 4},       {run_held, -1, 8},
};

void tree_operate(struct tree *t) {
  uint32_t total = 0;
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) total += operations[i].weight;
  uint32_t at = tree_random(t, total);
  const struct weighted *chosen = operations;
  for (; at >= chosen->weight; chosen++) at -= chosen->weight;
  struct place place;
  tree_choose(t, chosen->wanted, &place);
  chosen->run(t, &place);
}

static void part_names(struct tree *t, struct object *directory) {
  for (unsigned i = 0; i < NAMES; i++) {
    struct object *object = directory->entries[i];
    if (!object) continue;
    if (object->kind == A_DIRECTORY) part_names(t, object);
    else if (object->names > 1) {
      struct place place = {.directory = directory, .name = i};
      tree_path(t, directory, place.path);
      size_t length = strlen(place.path);
      snprintf(place.path + length, LONGEST_PATH - length, "/%s", tree_names[i]);
      tree_expect(t, &place, t->dry ? 0 : unlink(place.path), 0);
      tree_remove(&place);
    }
  }
}

void tree_end_round(struct tree *t) {
  for (unsigned slot = 0; slot < HELD; slot++) let_go(t, slot);
  tree_log(t, "each file keeps one name");
  part_names(t, t->root);
}
