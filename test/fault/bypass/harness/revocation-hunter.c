// Processes of several users open files of a mount, hold them open, and read, write and map them, while the policy turns
// against some of them: revocation-hunter MOUNTPOINT SEED. The test tells its findings, and when to continue, on standard input:
//   round N           files are N/f0, N/f1, ... from now on; opens begin, except for the large files
//   copy              large files are opened for writing, too
//   hold              nobody opens or closes; answers "held PID UID FILE ACCESS" for each descriptor (1 reading, 2 writing), "holding"
//   denied UID FILE ACCESS, refused PID FILE      accesses that the policy denies by now, and descriptors that count as refused
//   attack            opens continue; writes from now on belong to a new era. Answers "attacking"
//   close             closes everything. Answers "closed OPERATIONS"
// It prints each violation. README.md defines one.
#define _GNU_SOURCE
#include "revocation-hunter.h"
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// The last user is never denied anything.
static const unsigned users[HOLDERS] = {2001, 2001, 2002, 2002, 2003, 2003};

struct shared *shared;
static uint64_t state;

void violation(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // One write, so that lines of several processes do not mix.
    dprintf(STDOUT_FILENO, "violation: %s\n", text);
    __atomic_fetch_add(&shared->violations, 1, __ATOMIC_RELAXED);
}

uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

static void fail(const char *what) {
    fprintf(stderr, "revocation-hunter: %s: %s\n", what, strerror(errno));
    _exit(2);
}

static void start_holder(int holder, uint64_t seed) {
    pid_t child = fork();
    if (child < 0) fail("fork");
    shared->pids[holder] = child == 0 ? getpid() : child;
    if (child != 0) return;
    state = (seed + 1) * 0x9e3779b97f4a7c15u + (uint64_t)holder + 1;
    for (int i = 0; i < 8; i++) draw(2);
    unsigned uid = users[holder];
    if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) fail("setresuid");
    prctl(PR_SET_PDEATHSIG, SIGKILL); // The kernel drops this setting when a process changes its user.
    hold_files(holder);
    _exit(0);
}

static void reach(enum phase phase) {
    __atomic_store_n(&shared->phase, phase, __ATOMIC_SEQ_CST);
    for (int i = 0; i < HOLDERS; i++)
        while (__atomic_load_n(&shared->reached[i], __ATOMIC_SEQ_CST) != phase) {
            if (waitpid(-1, NULL, WNOHANG) > 0) fail("a holder has ended");
            usleep(1000);
        }
}

static void tell_held(void) {
    for (int i = 0; i < HOLDERS; i++)
        for (int file = 0; file < FILES; file++)
            if (shared->held[i][file].access != 0) printf("held %d %u %d %d\n", shared->pids[i], users[i], file, shared->held[i][file].access);
    printf("holding\n");
}

static void deny(unsigned uid, int file, int access) {
    for (int i = 0; i < HOLDERS; i++)
        if (users[i] == uid) shared->denied[i][file] |= access;
}

static void refuse(int pid, int file) {
    for (int i = 0; i < HOLDERS; i++)
        if (shared->pids[i] == pid) __atomic_store_n(&shared->held[i][file].refused_since, shared->era + 1, __ATOMIC_SEQ_CST);
}

static void obey(const char *line) {
    int numbers[3] = {0};
    if (sscanf(line, "round %d", numbers) == 1) {
        shared->round = numbers[0];
        memset(shared->denied, 0, sizeof shared->denied);
        reach(OPENING);
        printf("opening\n");
    } else if (strncmp(line, "copy", 4) == 0) {
        // Not waited for: the test changes the policy meanwhile.
        __atomic_store_n(&shared->phase, COPYING, __ATOMIC_SEQ_CST);
    } else if (strncmp(line, "hold", 4) == 0) {
        reach(HOLDING);
        tell_held();
    } else if (sscanf(line, "denied %d %d %d", &numbers[0], &numbers[1], &numbers[2]) == 3) {
        deny((unsigned)numbers[0], numbers[1] % FILES, numbers[2]);
    } else if (sscanf(line, "refused %d %d", &numbers[0], &numbers[1]) == 2) {
        refuse(numbers[0], numbers[1] % FILES);
    } else if (strncmp(line, "attack", 6) == 0) {
        // Only after all of them are marked: a writer in the new era knows whether it may write.
        __atomic_fetch_add(&shared->era, 1, __ATOMIC_SEQ_CST);
        reach(ATTACKING);
        printf("attacking\n");
    } else if (strncmp(line, "close", 5) == 0) {
        reach(CLOSING);
        printf("closed %llu\n", (unsigned long long)shared->done);
    }
}

int main(int argc, char **argv) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc != 3 || shared == MAP_FAILED) return 2;
    if (chdir(argv[1]) != 0) fail("chdir");
    shared->phase = CLOSING;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < HOLDERS; i++) start_holder(i, strtoull(argv[2], NULL, 10));
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) obey(line);
    shared->phase = OVER;
    while (wait(NULL) > 0) continue;
    return shared->violations > 0;
}
