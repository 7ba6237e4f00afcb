// The work of a server while the clock runs: its processor time, or its system calls. The two are not taken together, since counting
// calls makes each of them slower.
#include <dirent.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

#define MOST_THREADS 256
#define TRACEPOINT "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id"

static int counters[MOST_THREADS];
static unsigned threads;

// Calls `each` for every thread of the process, and adds up what it gives.
static uint64_t over_threads(int pid, uint64_t (*each)(int pid, int tid)) {
    char path[64];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) fail("opendir", path);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        if (entry->d_name[0] != '.') sum += each(pid, atoi(entry->d_name));
    closedir(tasks);
    return sum;
}

static uint64_t read_number(const char *path) {
    unsigned long long number = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%llu", &number) != 1) fail("read", path);
    fclose(file);
    return number;
}

static uint64_t thread_ns(int pid, int tid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, tid);
    return read_number(path);
}

static uint64_t start_counter(int pid, int tid) {
    (void)pid;
    struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = read_number(TRACEPOINT)};
    int fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, 0);
    if (fd < 0 || threads == MOST_THREADS) fail("count system calls of", "the server");
    counters[threads++] = fd;
    return 0;
}

uint64_t server_ns(int pid) { return over_threads(pid, thread_ns); }

void server_count_calls(int pid) { over_threads(pid, start_counter); }

uint64_t server_calls(void) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < threads; i++) {
        uint64_t count = 0;
        if (read(counters[i], &count, sizeof count) != sizeof count) fail("read", "a counter");
        sum += count;
        close(counters[i]);
    }
    threads = 0;
    return sum;
}
