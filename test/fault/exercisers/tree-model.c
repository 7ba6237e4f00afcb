// The tree in memory: objects, places, and random choices. Makes no system call.
#include "tree-exerciser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG "a name of two hundred and fifty-five bytes "
#define FILL "..........................................."

const char *const tree_names[NAMES] = {
    "a", "b", "file", "directory", ".hidden", "with space", "not utf-8 \xff\xfe", "new\nline", "\xc3\xb6\xc3\xa4", "d", "e",
    // The longest name in use.
    LONG FILL FILL FILL FILL "0123456789012345678901234567890123456789",
};

uint32_t tree_random(struct tree *t, uint32_t below) {
  // splitmix64: any seed is a good one.
  uint64_t z = (t->random += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ (z >> 31)) >> 16) % below;
}

unsigned tree_depth(const struct object *directory) {
  unsigned depth = 0;
  for (; directory->parent; directory = directory->parent) depth++;
  return depth;
}

static unsigned name_of(const struct object *directory) {
  for (unsigned i = 0; i < NAMES; i++)
    if (directory->parent->entries[i] == directory) return i;
  abort();
}

void tree_path(struct tree *t, const struct object *directory, char *path) {
  if (!directory->parent) {
    snprintf(path, LONGEST_PATH, "%s", t->root_path);
    return;
  }
  tree_path(t, directory->parent, path);
  size_t length = strlen(path);
  snprintf(path + length, LONGEST_PATH - length, "/%s", tree_names[name_of(directory)]);
}

static struct object *choose_directory(struct tree *t) {
  struct object *at = t->root;
  while (tree_random(t, 4) != 0) {
    struct object *next = at->entries[tree_random(t, NAMES)];
    if (next && next->kind == A_DIRECTORY) at = next;
  }
  return at;
}

void tree_choose(struct tree *t, int wanted, struct place *place) {
  for (int attempt = 0; attempt < 12; attempt++) {
    place->directory = choose_directory(t);
    place->name = tree_random(t, NAMES);
    const struct object *found = tree_at(place);
    if (wanted < 0 || (found && found->kind == (enum kind)wanted)) break;
  }
  tree_path(t, place->directory, place->path);
  size_t length = strlen(place->path);
  snprintf(place->path + length, LONGEST_PATH - length, "/%s", tree_names[place->name]);
}

struct object *tree_at(const struct place *place) {
  return place->directory->entries[place->name];
}

static void touched(struct object *directory) {
  directory->mtime_sec = 0;
}

struct object *tree_add(struct tree *t, const struct place *place, enum kind kind, mode_t mode) {
  struct object *made = calloc(1, sizeof *made);
  if (!made) abort();
  made->kind = kind;
  made->mode = mode;
  made->uid = t->privileged ? 0 : 1000;
  made->gid = t->privileged ? 0 : 1000;
  made->names = 1;
  if (kind == A_DIRECTORY) made->parent = place->directory;
  place->directory->entries[place->name] = made;
  touched(place->directory);
  return made;
}

void tree_release(struct object *object) {
  if (object->names > 0 || object->holders > 0) return;
  free(object->data);
  free(object);
}

void tree_remove(const struct place *place) {
  struct object *removed = tree_at(place);
  place->directory->entries[place->name] = NULL;
  touched(place->directory);
  removed->names--;
  tree_release(removed);
}

bool tree_is_empty(const struct object *directory) {
  for (unsigned i = 0; i < NAMES; i++)
    if (directory->entries[i]) return false;
  return true;
}

// An object counts as below itself.
bool tree_is_below(const struct object *directory, const struct object *ancestor) {
  for (; directory; directory = directory->parent)
    if (directory == ancestor) return true;
  return false;
}

void tree_resize(struct object *file, size_t size) {
  if (!file->data && !(file->data = calloc(1, LONGEST_FILE))) abort();
  if (size < file->size) memset(file->data + size, 0, file->size - size);
  file->size = size;
  file->mtime_sec = 0;
}

void tree_write(struct tree *t, struct object *file, size_t offset, size_t length) {
  unsigned char first = (unsigned char)tree_random(t, 255);
  size_t end = offset + length;
  tree_resize(file, end > file->size ? end : file->size);
  for (size_t i = 0; i < length; i++) file->data[offset + i] = (unsigned char)(1 + (first + i * 11 + i / 253) % 255);
}
