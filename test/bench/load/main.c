// The load generator: one phase a run, in one or many processes, its own clock around the operations alone. So its report
// includes neither the start of a process nor the making of names. It knows nothing of the mount below its directory.
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define MOST_PROCESSES 256
// Forgotten nodes are told to a FUSE server behind the caller's back; let it finish before it is measured.
#define SETTLE_US 30000

struct shared {
    atomic_uint ready;
    atomic_uint failed;
    unsigned processes;
    uint64_t begin_ns[MOST_PROCESSES], end_ns[MOST_PROCESSES], operations[MOST_PROCESSES];
};

static struct shared *shared;
static unsigned self;
static int measured_server, counted_server;
static uint64_t server_work;

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void fail(const char *what, const char *name) {
    fprintf(stderr, "load: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

static void forget_names(const char *mountpoint) {
    // A remount drops every cached name of this one file system; the machine's other caches stay as they are.
    if (mount("none", mountpoint, NULL, MS_REMOUNT, NULL) != 0) fail("remount", mountpoint);
    usleep(SETTLE_US);
}

void start_clock(const struct plan *plan) {
    if (plan->forget != NULL && self == 0) forget_names(plan->forget);
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->ready) < shared->processes && atomic_load(&shared->failed) == 0) usleep(50);
    measured_server = plan->server;
    counted_server = plan->counted;
    if (measured_server != 0) server_work = server_ns(measured_server);
    if (counted_server != 0) server_count_calls(counted_server);
    shared->begin_ns[self] = now_ns();
}

void stop_clock(void) {
    shared->end_ns[self] = now_ns();
    // The last request's release may still be under way.
    if (measured_server != 0 || counted_server != 0) usleep(SETTLE_US);
    if (measured_server != 0) server_work = server_ns(measured_server) - server_work;
    if (counted_server != 0) server_work = server_calls();
}

void set_clock(uint64_t ns) {
    shared->begin_ns[self] = now_ns();
    shared->end_ns[self] = shared->begin_ns[self] + ns;
}

static phase_fn find_phase(const char *name) {
    phase_fn found = look_phase(name);
    if (found == NULL) found = change_phase(name);
    if (found == NULL) found = hold_phase(name);
    if (found == NULL) {
        fprintf(stderr, "load: %s: no such phase\n", name);
        exit(2);
    }
    return found;
}

static void run_share(const struct plan *plan, phase_fn phase) {
    struct plan share = *plan;
    share.count = plan->count / shared->processes;
    share.first = plan->first + self * share.count;
    shared->operations[self] = phase(&share);
}

static void run_child(const struct plan *plan, phase_fn phase, unsigned number) {
    pid_t child = fork();
    if (child < 0) fail("fork", plan->phase);
    if (child != 0) return;
    self = number;
    run_share(plan, phase);
    _exit(0);
}

static int collect(void) {
    int status, code = 0;
    while (wait(&status) > 0) {
        if (status == 0) continue;
        atomic_store(&shared->failed, 1);
        code = 1;
    }
    return code;
}

static void report(void) {
    uint64_t begin = UINT64_MAX, end = 0, operations = 0;
    for (unsigned i = 0; i < shared->processes; i++) {
        if (shared->begin_ns[i] < begin) begin = shared->begin_ns[i];
        if (shared->end_ns[i] > end) end = shared->end_ns[i];
        operations += shared->operations[i];
    }
    printf("{\"operations\":%llu,\"elapsedNs\":%llu", (unsigned long long)operations, (unsigned long long)(end - begin));
    if (measured_server != 0) printf(",\"serverNs\":%llu", (unsigned long long)server_work);
    if (counted_server != 0) printf(",\"serverCalls\":%llu", (unsigned long long)server_work);
    puts("}");
}

static void take_option(struct plan *plan, char option, char *value) {
    switch (option) {
    case 'f': plan->first = (unsigned)strtoul(value, NULL, 10); break;
    case 'n': plan->count = (unsigned)strtoul(value, NULL, 10); break;
    case 'd': plan->per_dir = (unsigned)strtoul(value, NULL, 10); break;
    case 'l': plan->loops = (unsigned)strtoul(value, NULL, 10); break;
    case 's': plan->size = (unsigned)strtoul(value, NULL, 10); break;
    case 'p': shared->processes = (unsigned)strtoul(value, NULL, 10); break;
    case 't': plan->tag = value; break;
    case 'c': plan->forget = value; break;
    case 'w': plan->server = atoi(value); break;
    case 'W': plan->counted = atoi(value); break;
    default: fputs("usage: load PHASE DIRECTORY [-n files] [-d per-directory] [-l loops] [-s bytes] [-p processes] [-t tag] [-f first] [-c mountpoint] [-w server | -W server]\n", stderr); exit(2);
    }
}

int main(int argc, char **argv) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) fail("mmap", "shared memory");
    shared->processes = 1;
    struct plan plan = {.count = 1, .per_dir = 100, .loops = 1, .size = 4096, .tag = "0"};
    if (argc < 3) take_option(&plan, '?', NULL);
    plan.phase = argv[1];
    if (chdir(argv[2]) != 0) fail("chdir", argv[2]);
    for (int option; (option = getopt(argc - 2, argv + 2, "f:n:d:l:s:p:t:c:w:W:")) != -1;) take_option(&plan, (char)option, optarg);
    if (shared->processes < 1 || shared->processes > MOST_PROCESSES || plan.per_dir == 0) take_option(&plan, '?', NULL);
    phase_fn phase = find_phase(plan.phase);
    if (shared->processes == 1) {
        run_share(&plan, phase);
    } else {
        for (unsigned number = 0; number < shared->processes; number++) run_child(&plan, phase, number);
        if (collect() != 0) return 1;
    }
    report();
    return 0;
}
