// Unprivileged processes rename, exchange, link, create, remove, open and map files at random, with few names, in one directory
// of a mount whose policy denies some of these operations. Every second process has a directory of its own (w0, w1, ...). Then
// root checks whether anything happened that the policy does not allow:
// name-hunter DIRECTORY PROCESSES MILLISECONDS SEED LOCKED. Prints each violation, and the number of operations.
// `name-hunter check DIRECTORY LOCKED` only checks. Exits with 1 after a violation. README.md defines a violation.
#define _GNU_SOURCE
#include "name-hunter.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_UID = 1001, UIDS = 3, DAC_READ_SEARCH = 2 };

struct shared {
    uint64_t done;
    int stop, violations;
};

static struct shared *shared;
static uint64_t state;

void violation(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[PATH_BYTES * 2];
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
    fprintf(stderr, "name-hunter: %s: %s\n", what, strerror(errno));
    shared->stop = 1;
    _exit(2);
}

// Takes the user's ids, and holds no capability except the one for opens by handle, if asked to.
static void become(unsigned uid, int by_handle) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = 1 << DAC_READ_SEARCH, .permitted = 1 << DAC_READ_SEARCH}, {0}};
    if (by_handle && prctl(PR_SET_KEEPCAPS, 1) != 0) fail("prctl");
    if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) fail("setresuid");
    if (by_handle && syscall(SYS_capset, &header, data) != 0) fail("capset");
}

static void work(int number, uint64_t seed) {
    int duels = number % 2 == 0, by_handle = number == 1;
    char ground[16];
    snprintf(ground, sizeof ground, "w%d", number / 2);
    state = (seed + 1) * 0x9e3779b97f4a7c15u + (uint64_t)number + 1;
    for (int i = 0; i < 8; i++) draw(2);
    become(FIRST_UID + (unsigned)number % UIDS, by_handle);
    prctl(PR_SET_PDEATHSIG, SIGKILL); // The kernel drops this setting when a process changes its user.
    while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
        if (duels) duel(ground);
        else if (by_handle && draw(2) == 0) act_by_handle();
        else act();
        __atomic_fetch_add(&shared->done, 1, __ATOMIC_RELAXED);
    }
    _exit(0);
}

static void run(int processes, long milliseconds, uint64_t seed) {
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child == 0) work(i, seed);
    }
    struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
    shared->stop = 1;
    int status;
    while (wait(&status) > 0)
        if (status != 0) violation("a process ended with status %d", status);
}

int main(int argc, char **argv) {
    int only_check = argc == 4 && strcmp(argv[1], "check") == 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || (argc != 6 && !only_check)) return 2;
    if (chdir(argv[only_check ? 2 : 1]) != 0) fail("chdir");
    if (!only_check) run(atoi(argv[2]), atol(argv[3]), strtoull(argv[4], NULL, 10));
    check_tree(atoi(argv[only_check ? 3 : 5]));
    printf("operations %llu\n", (unsigned long long)shared->done);
    return shared->violations > 0;
}
