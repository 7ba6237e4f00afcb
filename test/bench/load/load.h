// Shared by the phases of the load generator: the plan they were given, the clock, and names made before it starts.
#ifndef SLUICE_BENCH_LOAD_H
#define SLUICE_BENCH_LOAD_H

#include <stdint.h>

struct plan {
    const char *phase;
    unsigned first;     // number of the first file
    unsigned count;     // files this process works on
    unsigned per_dir;   // files a directory
    unsigned loops;     // times the whole set is gone through
    unsigned size;      // bytes a file, where a phase reads or writes
    const char *tag;    // makes names new: one round's differ from another's
    const char *forget; // mount point whose cached names are dropped before the clock starts, or NULL
    int server;         // process whose processor time is reported, too, or 0; one client only
    int counted;        // process whose system calls are reported, too, or 0; one client only
};

// Runs one phase and returns how many operations the clock covered. It works in the current directory.
typedef uint64_t (*phase_fn)(const struct plan *plan);

// Waits for the other processes, drops cached names where the plan says so, and starts the clock.
void start_clock(const struct plan *plan);
void stop_clock(void);
// Instead of the two: the time that the clock would have covered.
void set_clock(uint64_t ns);
uint64_t now_ns(void);

// Processor time of all threads of a process so far.
uint64_t server_ns(int pid);
// Counts the system calls of a process' threads from now on, until the number is asked for.
void server_count_calls(int pid);
uint64_t server_calls(void);

// Prints what failed and ends the process.
void fail(const char *what, const char *name) __attribute__((noreturn));

// Names of files FIRST … FIRST+COUNT-1, "d003/f00042" with PREFIX before the "f". Never freed: the process ends.
char **names_of(const struct plan *plan, const char *prefix);
unsigned directories_of(const struct plan *plan);
// The name of the directory that holds file number INDEX.
void directory_name(char *out, unsigned index, const struct plan *plan);

phase_fn look_phase(const char *name);
phase_fn change_phase(const char *name);
phase_fn hold_phase(const char *name);

#endif
