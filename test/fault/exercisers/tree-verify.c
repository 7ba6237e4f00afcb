// Compares the tree on the file system with the model: listings, attributes, contents.
#include "tree-exerciser.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const mode_t types[] = {[A_FILE] = S_IFREG, [A_DIRECTORY] = S_IFDIR, [A_SYMLINK] = S_IFLNK, [A_FIFO] = S_IFIFO};

static void verify_content(struct tree *t, const struct place *place, const struct object *file) {
  static unsigned char data[LONGEST_FILE + 1];
  int fd = open(place->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) tree_fail(t, "open %s", place->path);
  ssize_t got = pread(fd, data, sizeof data, 0);
  if (got != (ssize_t)file->size) tree_fail(t, "read %s: %zd bytes, not %zu", place->path, got, file->size);
  for (size_t i = 0; i < file->size; i++)
    if (data[i] != file->data[i]) tree_fail(t, "byte %zu of %s is %02x, not %02x", i, place->path, data[i], file->data[i]);
  close(fd);
}

static void verify_mark(struct tree *t, const struct place *place, const struct object *object) {
  unsigned mark = 0;
  ssize_t got = lgetxattr(place->path, "user.mark", &mark, sizeof mark);
  if (got < 0 && errno != ENODATA) tree_fail(t, "getxattr %s", place->path);
  if ((got < 0 ? 0 : mark) != object->mark) tree_fail(t, "user.mark of %s is %u, not %u", place->path, got < 0 ? 0 : mark, object->mark);
}

static void verify_attributes(struct tree *t, const char *path, const struct object *object) {
  struct stat seen;
  if (lstat(path, &seen) < 0) tree_fail(t, "stat %s", path);
  mode_t mode = types[object->kind] | object->mode;
  if (seen.st_mode != mode || seen.st_uid != object->uid || seen.st_gid != object->gid)
    tree_fail(t, "%s is %o %u:%u, not %o %u:%u", path, seen.st_mode, seen.st_uid, seen.st_gid, mode, object->uid, object->gid);
  if (object->kind != A_DIRECTORY && seen.st_nlink != object->names)
    tree_fail(t, "%s has %lu names, not %u", path, (unsigned long)seen.st_nlink, object->names);
  if (object->kind == A_FILE && (size_t)seen.st_size != object->size)
    tree_fail(t, "%s has %lld bytes, not %zu", path, (long long)seen.st_size, object->size);
  if (object->mtime_sec != 0 && (seen.st_mtim.tv_sec != object->mtime_sec || seen.st_mtim.tv_nsec != 987654321))
    tree_fail(t, "%s was modified at %lld.%09ld, not at %lld.987654321", path, (long long)seen.st_mtim.tv_sec, seen.st_mtim.tv_nsec,
              (long long)object->mtime_sec);
}

static void verify_entry(struct tree *t, const struct place *place, const struct dirent *entry, unsigned *seen) {
  const struct object *directory = tree_at(place) ? tree_at(place) : place->directory;
  unsigned name = 0;
  while (name < NAMES && strcmp(entry->d_name, tree_names[name]) != 0) name++;
  const struct object *object = name < NAMES ? directory->entries[name] : NULL;
  if (!object) tree_fail(t, "%s lists %s, which is not there", place->path, entry->d_name);
  if (*seen & 1u << name) tree_fail(t, "%s lists %s twice", place->path, entry->d_name);
  *seen |= 1u << name;
  if (entry->d_type != DT_UNKNOWN && (mode_t)DTTOIF(entry->d_type) != types[object->kind])
    tree_fail(t, "%s lists %s as type %u", place->path, entry->d_name, entry->d_type);
}

static void verify_listing(struct tree *t, const struct place *place, const struct object *directory) {
  DIR *stream = opendir(place->path);
  if (!stream) tree_fail(t, "list %s", place->path);
  unsigned seen = 0;
  for (struct dirent *entry; (entry = readdir(stream));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    verify_entry(t, place, entry, &seen);
    struct stat attributes;
    if (fstatat(dirfd(stream), entry->d_name, &attributes, AT_SYMLINK_NOFOLLOW) < 0) tree_fail(t, "%s lists %s", place->path, entry->d_name);
    if (t->check_numbers && attributes.st_ino != entry->d_ino)
      tree_fail(t, "%s lists %s as inode %llu, which is %llu", place->path, entry->d_name, (unsigned long long)entry->d_ino,
                (unsigned long long)attributes.st_ino);
  }
  closedir(stream);
  for (unsigned i = 0; i < NAMES; i++)
    if (directory->entries[i] && !(seen & 1u << i)) tree_fail(t, "%s does not list %s", place->path, tree_names[i]);
}

static void verify_target(struct tree *t, const struct place *place, const struct object *object) {
  char text[64] = "";
  if (readlink(place->path, text, sizeof text - 1) < 0 || strtoul(text, NULL, 10) != object->target)
    tree_fail(t, "%s leads to %s, not %u", place->path, text, object->target);
}

void tree_verify_object(struct tree *t, const struct place *place) {
  const struct object *object = tree_at(place);
  if (!object) {
    struct stat seen;
    if (lstat(place->path, &seen) == 0 || errno != ENOENT) tree_fail(t, "%s is there", place->path);
    return;
  }
  verify_attributes(t, place->path, object);
  if (object->kind == A_FILE || object->kind == A_DIRECTORY) verify_mark(t, place, object);
  if (object->kind == A_FILE) verify_content(t, place, object);
  if (object->kind == A_DIRECTORY) verify_listing(t, place, object);
  if (object->kind == A_SYMLINK) verify_target(t, place, object);
}

static void verify_below(struct tree *t, struct object *directory) {
  for (unsigned i = 0; i < NAMES; i++) {
    struct place place = {.directory = directory, .name = i};
    tree_path(t, directory, place.path);
    size_t length = strlen(place.path);
    snprintf(place.path + length, LONGEST_PATH - length, "/%s", tree_names[i]);
    tree_verify_object(t, &place);
    if (directory->entries[i] && directory->entries[i]->kind == A_DIRECTORY) verify_below(t, directory->entries[i]);
  }
}

void tree_verify(struct tree *t) {
  tree_log(t, "everything is compared");
  verify_below(t, t->root);
}
