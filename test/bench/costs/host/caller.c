/*
 * Calls mounts and times each call: a caller that takes little processor time itself, so that its figures are those of the mounts.
 *
 *   caller WORK PAUSE_US PLACE...      one thread for each place; WORK: change, look, open or hang
 *
 * For each line of its input it prints a line of JSON: calls and failures since its start, in all and for each place; and since the last line
 * the median and the 99th percentile in microseconds, and for each place the longest call with its end (CLOCK_MONOTONIC, in microseconds).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096
/* Of one place between two lines: more are counted, but are in no percentile. */
#define MOST_TIMES (1 << 20)
#define HUNG_OPENS 4

struct place {
  const char *path;
  pthread_mutex_t lock;
  long pause_us;
  long round;
  long calls, failures;
  const char *failed_call;
  int failed_errno;
  float *times;
  size_t count;
  double longest_us, longest_end_us;
  const char *longest_call;
};

static double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void took(struct place *place, const char *call, double begun_us, int failed) {
  double end_us = now_us(), us = end_us - begun_us;
  pthread_mutex_lock(&place->lock);
  place->calls++;
  if (failed != 0) {
    place->failures++;
    place->failed_call = call;
    place->failed_errno = failed;
  }
  if (place->count < MOST_TIMES) place->times[place->count++] = (float)us;
  if (us > place->longest_us) {
    place->longest_us = us;
    place->longest_end_us = end_us;
    place->longest_call = call;
  }
  pthread_mutex_unlock(&place->lock);
}

static char *name_in(struct place *place, char *path, const char *name) {
  snprintf(path, PATH_BYTES, "%s/%s", place->path, name);
  return path;
}

/* A name that nobody knows yet, so that each call asks the mount. */
static void look(struct place *place) {
  char name[64], path[PATH_BYTES];
  struct stat found;
  snprintf(name, sizeof name, "absent-%d-%ld", getpid(), place->round++);
  name_in(place, path, name);
  double begun = now_us();
  int failed = stat(path, &found) == 0 ? EEXIST : errno;
  took(place, "stat of an unknown name", begun, failed == ENOENT ? 0 : failed);
}

static void open_and_close(struct place *place, const char *call, const char *name, int flags) {
  char path[PATH_BYTES], text[16] = "written";
  name_in(place, path, name);
  double begun = now_us();
  int fd = open(path, flags, 0644);
  int failed = fd < 0 ? errno : 0;
  ssize_t moved = fd < 0 ? 0 : (flags & O_ACCMODE) == O_RDONLY ? read(fd, text, sizeof text) : write(fd, text, sizeof text);
  if (moved < 0) failed = errno;
  if (fd >= 0) close(fd);
  took(place, call, begun, failed);
}

static void change(struct place *place) {
  char from[PATH_BYTES], to[PATH_BYTES];
  look(place);
  open_and_close(place, "read", "word", O_RDONLY);
  open_and_close(place, "write", "new", O_WRONLY | O_CREAT | O_TRUNC);
  name_in(place, from, "new");
  name_in(place, to, "other");
  double begun = now_us();
  took(place, "rename", begun, rename(from, to) == 0 ? 0 : errno);
  begun = now_us();
  took(place, "unlink", begun, unlink(to) == 0 ? 0 : errno);
}

static void open_again(struct place *place) {
  char name[32];
  snprintf(name, sizeof name, "made-%d", getpid());
  open_and_close(place, "open", "word", O_RDONLY);
  open_and_close(place, "create", name, O_WRONLY | O_CREAT | O_TRUNC);
}

static void *open_once(void *given) {
  open_and_close(given, "open", "word", O_RDONLY);
  return NULL;
}

struct work {
  const char *name;
  void (*call)(struct place *);
} const WORKS[] = {{"change", change}, {"look", look}, {"open", open_again}, {"hang", look}};

static const struct work *chosen;

/* Until the process ends. */
static void *run(void *given) {
  struct place *place = given;
  while (chosen != NULL) {
    chosen->call(place);
    if (place->pause_us > 0) usleep(place->pause_us);
  }
  return NULL;
}

static int by_time(const void *a, const void *b) {
  float one = *(const float *)a, other = *(const float *)b;
  return (one > other) - (one < other);
}

static void report_places(struct place *places, int count) {
  for (int at = 0; at < count; at++) {
    struct place *place = &places[at];
    pthread_mutex_lock(&place->lock);
    const char *call = place->longest_call == NULL ? "none" : place->longest_call;
    printf("%s{\"calls\":%ld,", at == 0 ? "" : ",", place->calls);
    printf("\"us\":%.0f,\"endUs\":%.0f,\"call\":\"%s\"}", place->longest_us, place->longest_end_us, call);
    place->longest_us = 0;
    place->count = 0;
    pthread_mutex_unlock(&place->lock);
  }
}

static void report(struct place *places, int count) {
  size_t total = 0, filled = 0;
  long calls = 0, failures = 0;
  const char *failed_call = "";
  int failed_errno = 0;
  for (int at = 0; at < count; at++) pthread_mutex_lock(&places[at].lock), total += places[at].count;
  float *all = malloc((total + 1) * sizeof *all);
  for (int at = 0; at < count; at++) {
    struct place *place = &places[at];
    memcpy(all + filled, place->times, place->count * sizeof *all);
    filled += place->count;
    calls += place->calls;
    failures += place->failures;
    if (place->failed_call != NULL) failed_call = place->failed_call, failed_errno = place->failed_errno;
    pthread_mutex_unlock(&place->lock);
  }
  qsort(all, filled, sizeof *all, by_time);
  float median = filled == 0 ? 0 : all[filled / 2], p99 = filled == 0 ? 0 : all[filled * 99 / 100];
  free(all);
  printf("{\"calls\":%ld,\"failures\":%ld,\"failed\":\"%s\",\"errno\":%d,", calls, failures, failed_call, failed_errno);
  printf("\"samples\":%zu,\"medianUs\":%.1f,\"p99Us\":%.1f,\"places\":[", filled, median, p99);
  report_places(places, count);
  printf("]}\n");
  fflush(stdout);
}

static struct place *start(char **paths, int count, long pause_us) {
  struct place *places = calloc(count, sizeof *places);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 << 10);
  for (int at = 0; at < count; at++) {
    struct place *place = &places[at];
    pthread_t thread;
    *place = (struct place){.path = paths[at], .pause_us = pause_us, .lock = PTHREAD_MUTEX_INITIALIZER};
    place->times = malloc(MOST_TIMES * sizeof *place->times);
    int hung = strcmp(chosen->name, "hang") == 0 ? HUNG_OPENS : 0;
    for (int opens = 0; opens < hung; opens++)
      if (pthread_create(&thread, &small, open_once, place) != 0) exit(1);
    if (pthread_create(&thread, &small, run, place) != 0) exit(1);
  }
  return places;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  for (size_t at = 0; at < sizeof WORKS / sizeof *WORKS; at++)
    if (strcmp(argv[1], WORKS[at].name) == 0) chosen = &WORKS[at];
  if (chosen == NULL) return 2;
  struct place *places = start(argv + 3, argc - 3, atol(argv[2]));
  for (char line[16]; fgets(line, sizeof line, stdin) != NULL;) report(places, argc - 3);
  return 0;
}
