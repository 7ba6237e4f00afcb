// Many processes open, read, write, map and close files at random while the policy changes, and always know the valid content
// of each block: storm DIRECTORY FILES PROCESSES SECONDS SEED. Prints the operations; exits with 1 and the first error.
// An error of any call is an error of the run.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 4, SIZE = BLOCK * BLOCKS, HELD = 12, WINDOW = 8, MOVE_EVERY = 500 };
enum { OPENS, READS, WRITES, MAPPED_READS, MAPPED_WRITES, STATS, KINDS };
static const char *const kinds[KINDS] = {"opens", "reads", "writes", "mapped reads", "mapped writes", "stats"};

// Shared by all processes. A reader who opened before the first writer was through may see the initial content:
// kernel overlayfs keeps such readers on the lower file, too. Data stored through a mediated mapping arrives at its
// writeback: see docs/io-modes.md. That may happen at any moment, also in the middle of a store or of such a read,
// which then has words of both versions.
struct file {
    pthread_mutex_t mutex;
    uint32_t version[BLOCKS];
    uint32_t synced[BLOCKS]; // The newest version that was written, or stored and synced.
    int written_open; // An open for writing has returned: later opens see the upper file.
};
struct shared {
    uint64_t done[KINDS];
    int stop;
    struct file files[];
};

struct holding {
    int fd, file, writable, may_be_old;
    unsigned char *mapping;
};

static struct shared *shared;
static int file_count;
static uint64_t state;

static void wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int error = errno;
    fprintf(stderr, "storm: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (errno %s)\n", strerrorname_np(error));
    shared->stop = 1;
    _exit(1);
}

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

static void count(int kind) { __atomic_fetch_add(&shared->done[kind], 1, __ATOMIC_RELAXED); }

// Every word of a block tells the file, the block and its version.
static void make_block(unsigned char *block, int file, int index, uint32_t version) {
    uint64_t word = ((uint64_t)file << 40) | ((uint64_t)index << 32) | version;
    for (size_t i = 0; i < BLOCK; i += sizeof word) memcpy(block + i, &word, sizeof word);
}

// Returns the first word whose version is not from `oldest` to `newest`; the number of words in a block if all are.
static size_t first_other(const unsigned char *block, int file, int index, uint32_t oldest, uint32_t newest) {
    uint64_t word, place = ((uint64_t)file << 40) | ((uint64_t)index << 32);
    size_t at = 0;
    for (; at < BLOCK / sizeof word; at++) {
        memcpy(&word, block + at * sizeof word, sizeof word);
        if (word < (place | oldest) || word > (place | newest)) break;
    }
    return at;
}

static void check(const struct holding *held, const unsigned char *block, int index, const char *how) {
    const struct file *file = &shared->files[held->file];
    uint32_t version = file->version[index], oldest = held->may_be_old ? file->synced[index] : version;
    size_t at = first_other(block, held->file, index, oldest, version);
    if (at == BLOCK / sizeof(uint64_t)) return;
    if (held->may_be_old && first_other(block, held->file, index, 0, 0) == BLOCK / sizeof(uint64_t)) return;
    uint64_t found;
    memcpy(&found, block + at * sizeof found, sizeof found);
    wrong("file %d block %d by %s, opened %s: versions %u to %u were expected, word %zu is %llx", held->file, index, how,
          held->writable ? "for writing" : held->may_be_old ? "before the first writer" : "for reading", oldest, version, at,
          (unsigned long long)found);
}

static void open_one(struct holding *held) {
    uint64_t total = shared->done[OPENS];
    int first = (int)(total / MOVE_EVERY * (WINDOW / 2));
    held->file = (first + (int)draw(WINDOW)) % file_count;
    held->writable = draw(3) == 0;
    struct file *file = &shared->files[held->file];
    held->may_be_old = !held->writable && !__atomic_load_n(&file->written_open, __ATOMIC_SEQ_CST);
    char name[32];
    snprintf(name, sizeof name, "f%d", held->file);
    held->fd = open(name, (held->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (held->fd < 0) wrong("open %s for %s", name, held->writable ? "writing" : "reading");
    if (held->writable) __atomic_store_n(&file->written_open, 1, __ATOMIC_SEQ_CST);
    held->mapping = NULL;
    count(OPENS);
}

static void close_one(struct holding *held) {
    if (held->mapping != NULL && munmap(held->mapping, SIZE) != 0) wrong("munmap");
    if (close(held->fd) != 0) wrong("close");
    held->fd = -1;
}

static void read_one(struct holding *held) {
    unsigned char block[BLOCK];
    int index = (int)draw(BLOCKS);
    if (pread(held->fd, block, BLOCK, index * BLOCK) != BLOCK) wrong("read file %d", held->file);
    check(held, block, index, "read");
    count(READS);
}

static void write_one(struct holding *held) {
    unsigned char block[BLOCK];
    int index = (int)draw(BLOCKS);
    uint32_t version = shared->files[held->file].version[index] + 1;
    make_block(block, held->file, index, version);
    if (pwrite(held->fd, block, BLOCK, index * BLOCK) != BLOCK) wrong("write file %d", held->file);
    shared->files[held->file].version[index] = shared->files[held->file].synced[index] = version;
    count(WRITES);
}

static void map_one(struct holding *held) {
    int index = (int)draw(BLOCKS), protection = PROT_READ | (held->writable ? PROT_WRITE : 0);
    if (held->mapping == NULL) held->mapping = mmap(NULL, SIZE, protection, MAP_SHARED, held->fd, 0);
    if (held->mapping == MAP_FAILED) wrong("map file %d", held->file);
    check(held, held->mapping + index * BLOCK, index, "mapping");
    count(MAPPED_READS);
    if (!held->writable) return;
    uint32_t version = shared->files[held->file].version[index] + 1;
    make_block(held->mapping + index * BLOCK, held->file, index, version);
    shared->files[held->file].version[index] = version;
    count(MAPPED_WRITES);
    if (draw(2) == 0) return;
    if (msync(held->mapping + index * BLOCK, BLOCK, MS_SYNC) != 0) wrong("msync file %d", held->file);
    shared->files[held->file].synced[index] = version;
}

static void stat_one(struct holding *held) {
    struct stat found;
    if (fstat(held->fd, &found) != 0 || found.st_size != SIZE) wrong("size of file %d is %ld", held->file, (long)found.st_size);
    count(STATS);
}

static void work(int number, uint64_t seed) {
    struct holding held[HELD];
    for (int i = 0; i < HELD; i++) held[i].fd = -1;
    state = seed * 0x9e3779b97f4a7c15u + (uint64_t)number + 1;
    while (!shared->stop) {
        struct holding *one = &held[draw(HELD)];
        if (one->fd < 0) { open_one(one); continue; }
        uint32_t what = draw(10);
        if (what == 0) { close_one(one); continue; }
        // A process that found an error ended while it held the lock.
        while (pthread_mutex_trylock(&shared->files[one->file].mutex) != 0) {
            if (shared->stop) goto over;
            usleep(20);
        }
        if (what < 5) read_one(one);
        else if (what < 7 && one->writable) write_one(one);
        else if (what < 9) map_one(one);
        else stat_one(one);
        pthread_mutex_unlock(&shared->files[one->file].mutex);
    }
over:
    for (int i = 0; i < HELD; i++)
        if (held[i].fd >= 0) close_one(&held[i]);
    _exit(0);
}

static void share(void) {
    size_t size = sizeof *shared + sizeof *shared->files * (size_t)file_count;
    shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) exit(2);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < file_count; i++) pthread_mutex_init(&shared->files[i].mutex, &attributes);
}

// FILES and no other argument: creates the initial files of the storm.
static void plant(void) {
    unsigned char block[BLOCK];
    char name[32];
    for (int file = 0; file < file_count; file++) {
        snprintf(name, sizeof name, "f%d", file);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        for (int index = 0; index < BLOCKS; index++) {
            make_block(block, file, index, 0);
            if (write(fd, block, BLOCK) != BLOCK) wrong("plant %s", name);
        }
        close(fd);
    }
}

static void check_all(void) {
    unsigned char block[BLOCK];
    for (int file = 0; file < file_count; file++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", file);
        struct holding held = {.fd = open(name, O_RDONLY | O_CLOEXEC), .file = file};
        if (held.fd < 0) wrong("open %s", name);
        for (int index = 0; index < BLOCKS; index++) {
            if (pread(held.fd, block, BLOCK, index * BLOCK) != BLOCK) wrong("read %s", name);
            check(&held, block, index, "read at the end");
        }
        close(held.fd);
    }
}

int main(int argc, char **argv) {
    if ((argc != 3 && argc != 6) || chdir(argv[1]) != 0) return 2;
    file_count = atoi(argv[2]);
    share();
    if (argc == 3) {
        plant();
        return 0;
    }
    int processes = atoi(argv[3]), status, failed = 0;
    for (int i = 0; i < processes; i++)
        if (fork() == 0) work(i, strtoull(argv[5], NULL, 10));
    struct timespec end, now;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atol(argv[4]);
    do {
        usleep(20000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!shared->stop && now.tv_sec < end.tv_sec);
    shared->stop = 1;
    while (wait(&status) > 0) failed |= status != 0;
    if (failed) return 1;
    check_all();
    for (int kind = 0; kind < KINDS; kind++) printf("%s %llu\n", kinds[kind], (unsigned long long)shared->done[kind]);
    return 0;
}
