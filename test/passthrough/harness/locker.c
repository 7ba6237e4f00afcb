/*
 * A process that takes locks on behalf of a test: one command a line on standard input, one answer a line. The test numbers
 * its descriptors. Answers are results, or negative errnos. A blocking call ends with EINTR on
 * SIGUSR1. A tool of the tests, not part of the product.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 64
static int slots[SLOTS];

static void interrupted(int signal) {
  (void)signal;
}

static int range_lock(int command, const char *how, int slot, char **words) {
  struct flock lock = {.l_whence = SEEK_SET};
  lock.l_type = *how == 'r' ? F_RDLCK : *how == 'w' ? F_WRLCK : F_UNLCK;
  lock.l_start = atoll(words[0]);
  lock.l_len = atoll(words[1]);
  if (fcntl(slots[slot], command, &lock) < 0) return -errno;
  if (command != F_GETLK && command != F_OFD_GETLK) return 0;
  if (lock.l_type == F_UNLCK) printf("free ");
  else printf("%c %lld %lld %d ", lock.l_type == F_RDLCK ? 'r' : 'w', (long long)lock.l_start, (long long)lock.l_len, (int)lock.l_pid);
  return 0;
}

/* A child that shares all descriptors, closes one and ends. It has no locks, so its end must release nobody's. */
static int close_in_child(int slot) {
  pid_t child = fork();
  if (child == 0) {
    close(slots[slot]);
    _exit(0);
  }
  return child < 0 || waitpid(child, NULL, 0) < 0 ? -errno : 0;
}

static int run(char **words, int count) {
  const char *name = words[0];
  int slot = count > 1 ? atoi(words[1]) : 0;
  if (strcmp(name, "open") == 0) {
    slots[slot] = open(words[3], atoi(words[2]), 0644);
    return slots[slot] < 0 ? -errno : 0;
  }
  if (strcmp(name, "dup") == 0) {
    slots[atoi(words[2])] = dup(slots[slot]);
    return 0;
  }
  if (strcmp(name, "close") == 0) return close(slots[slot]) < 0 ? -errno : 0;
  if (strcmp(name, "child") == 0) return close_in_child(slot);
  if (strcmp(name, "set") == 0) return range_lock(F_SETLK, words[2], slot, words + 3);
  if (strcmp(name, "wait") == 0) return range_lock(F_SETLKW, words[2], slot, words + 3);
  if (strcmp(name, "get") == 0) return range_lock(F_GETLK, words[2], slot, words + 3);
  if (strcmp(name, "ofd") == 0) return range_lock(F_OFD_SETLK, words[2], slot, words + 3);
  if (strcmp(name, "ofdwait") == 0) return range_lock(F_OFD_SETLKW, words[2], slot, words + 3);
  if (strcmp(name, "ofdget") == 0) return range_lock(F_OFD_GETLK, words[2], slot, words + 3);
  if (strcmp(name, "flock") == 0) return flock(slots[slot], atoi(words[2])) < 0 ? -errno : 0;
  return -ENOSYS;
}

int main(void) {
  char line[4096];
  struct sigaction action = {.sa_handler = interrupted};
  sigaction(SIGUSR1, &action, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *words[8] = {NULL};
    int count = 0;
    for (char *word = strtok(line, " \n"); word != NULL && count < 8; word = strtok(NULL, " \n")) words[count++] = word;
    int result = run(words, count);
    printf("%d\n", result);
  }
  return 0;
}
