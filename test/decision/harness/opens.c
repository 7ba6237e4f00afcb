/* Many processes that open files until they are told to stop. Each reports every open: time, file and result. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void open_all(const char *out, int child, char **files, int count, const char *stop) {
  char name[4096];
  snprintf(name, sizeof name, "%s/%d", out, child);
  FILE *told = fopen(name, "w");
  if (told == NULL) _exit(1);
  srand(child + 1);
  while (access(stop, F_OK) != 0) {
    for (int turn = 0; turn < 8; turn++) {
      int file = rand() % count;
      long long start = now_us();
      int fd = open(files[file], O_RDONLY);
      int failed = fd < 0 ? errno : 0;
      fprintf(told, "%lld %lld %d %d\n", start, now_us(), file, failed);
      if (fd >= 0) close(fd);
      /* A thousand opens a second by 64 processes: the services need processors, too. */
      usleep(30000 + rand() % 60000);
    }
  }
  fclose(told);
  _exit(0);
}

/* opens OUT STOP PROCESSES FILE... */
int main(int argc, char **argv) {
  if (argc < 5) return 2;
  int processes = atoi(argv[3]);
  for (int child = 0; child < processes; child++)
    if (fork() == 0) open_all(argv[1], child, argv + 4, argc - 4, argv[2]);
  int failed = 0;
  for (int status; wait(&status) > 0;) failed |= status;
  return failed != 0;
}
