// Random operations on a tree of files, whose results a model in memory predicts, as fsstress does it, but with a known
// outcome. Several processes may each have their own tree.
//
//   tree-exerciser DIRECTORY SEED FROM TO [OPTIONS]
//
// Does operations FROM to TO of the sequence that the seed stands for, then compares everything. Operations before FROM
// count as done, on whatever layers now lie below. With FROM = TO it only compares. Both are in rounds of
// ROUND operations. OPTIONS: u: without privilege, as 1000; n: a listing's inode numbers must be those of stat;
// t: prints each operation on standard error.
// Prints "ok" and exits with 0, or prints the first difference, with the last operations, and exits with 1.
#include "tree-exerciser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUND = 500 };

void tree_log(struct tree *t, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(t->log[t->done % LOG_LINES], sizeof t->log[0], format, list);
  va_end(list);
  if (t->trace && !t->dry) fprintf(stderr, "%llu %s\n", (unsigned long long)t->done, t->log[t->done % LOG_LINES]);
}

void tree_fail(struct tree *t, const char *format, ...) {
  int error = errno;
  printf("%s: operation %llu: ", t->root_path, (unsigned long long)t->done);
  va_list list;
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  printf(" (errno %d %s)\n", error, strerror(error));
  for (uint64_t i = t->done < LOG_LINES ? 0 : t->done - LOG_LINES + 1; i <= t->done; i++)
    printf("  %llu %s\n", (unsigned long long)i, t->log[i % LOG_LINES]);
  exit(1);
}

void tree_expect(struct tree *t, const struct place *place, long result, int expected) {
  if (t->dry) return;
  int came = result < 0 ? errno : 0;
  if (came != expected) tree_fail(t, "%s: it came to %d (%s), not to %d (%s)", place->path, came, strerror(came), expected, strerror(expected));
}

static void perform(struct tree *t, uint64_t from, uint64_t to) {
  for (; t->done < to * ROUND; t->done++) {
    t->dry = t->done < from * ROUND;
    if (t->done % ROUND == ROUND - 1) tree_end_round(t);
    else tree_operate(t);
  }
}

int main(int argc, char **argv) {
  if (argc < 5) return fprintf(stderr, "usage: tree-exerciser DIRECTORY SEED FROM TO [OPTIONS]\n"), 2;
  const char *options = argc > 5 ? argv[5] : "";
  struct tree *t = calloc(1, sizeof *t);
  struct object *root = calloc(1, sizeof *root);
  if (!t || !root) return 3;
  t->privileged = !strchr(options, 'u');
  t->check_numbers = strchr(options, 'n');
  t->trace = strchr(options, 't');
  t->root_path = argv[1];
  t->random = strtoull(argv[2], NULL, 10);
  t->root = root;
  root->kind = A_DIRECTORY;
  umask(0);
  if (!t->privileged && (setgid(1000) < 0 || setuid(1000) < 0)) return perror("setuid"), 3;
  perform(t, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
  tree_verify(t);
  printf("ok\n");
  return 0;
}
