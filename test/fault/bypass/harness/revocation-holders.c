// A holder works with its descriptors and mappings, and checks for bytes that it must never see. Errors do not matter, bytes
// do.
#define _GNU_SOURCE
#include "revocation-hunter.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

// A word tells when it was written: its upper half is the era. A word from a refused descriptor is marked.
#define FORBIDDEN (1ull << 63)

struct file {
    int fd;
    unsigned char *mapping;
    int mapped_shared;
};

static struct file files[FILES];
static int self;
static sigjmp_buf after_fault;

static void faulted(int signal) {
    (void)signal;
    siglongjmp(after_fault, 1);
}

static struct held *held_of(int file) { return &shared->held[self][file]; }
static uint32_t refused_since(int file) { return __atomic_load_n(&held_of(file)->refused_since, __ATOMIC_SEQ_CST); }

// `since` was read before the bytes were. A marked word was written after all descriptors had been marked, so if it is among the
// bytes, the mark of this descriptor is there by now.
static void check(int file, uint32_t since, const uint64_t *words, size_t count, const char *how) {
    int refused = refused_since(file) != 0;
    for (size_t i = 0; i < count; i++) {
        if ((words[i] & FORBIDDEN) != 0 && !refused) {
            violation("uid %u finds in %d/f%d, by %s, what process %u wrote by a descriptor that is counted as refused", getuid(), shared->round,
                      file, how, (unsigned)(words[i] & 0xffffffff));
            return;
        }
        uint32_t era = (uint32_t)(words[i] >> 32);
        if (since != 0 && (words[i] & FORBIDDEN) == 0 && era >= since) {
            violation("uid %u, process %d, read what came after its descriptor of %d/f%d was counted as refused, by %s", getuid(), getpid(),
                      shared->round, file, how);
            return;
        }
    }
}

static uint64_t word_for(int file) {
    // The era comes first: it moves on after all descriptors are marked. Until then refused descriptors of one inode may show each
    // other's bytes, and the marks of some of them are still to come.
    uint32_t era = __atomic_load_n(&shared->era, __ATOMIC_SEQ_CST), since = refused_since(file);
    return since != 0 && era >= since ? FORBIDDEN | (uint32_t)getpid() : ((uint64_t)era << 32) | (uint32_t)getpid();
}

static void read_by_copy(int file, uint32_t since, off_t at) {
    uint64_t words[PAGE / 8];
    int copy = memfd_create("copy", MFD_CLOEXEC);
    ssize_t length = draw(2) ? sendfile(copy, files[file].fd, &at, PAGE) : copy_file_range(files[file].fd, &at, copy, NULL, PAGE, 0);
    if (length > 0 && pread(copy, words, (size_t)length, 0) == length) check(file, since, words, (size_t)length / 8, "a copy");
    close(copy);
}

static void read_one(int file) {
    uint64_t words[PAGE / 8];
    uint32_t since = refused_since(file);
    off_t at = (off_t)draw(PAGES) * PAGE;
    if (draw(4) == 0) {
        read_by_copy(file, since, at);
        return;
    }
    struct iovec vector = {words, sizeof words};
    ssize_t length = preadv2(files[file].fd, &vector, 1, at, draw(2) ? RWF_NOWAIT : 0);
    if (length > 0) check(file, since, words, (size_t)length / 8, "read");
}

static void write_one(int file) {
    uint64_t words[PAGE / 8], word = word_for(file);
    for (size_t i = 0; i < PAGE / 8; i++) words[i] = word;
    ssize_t written = pwrite(files[file].fd, words, sizeof words, (off_t)draw(PAGES) * PAGE);
    if (written > 0 && (word & FORBIDDEN) != 0) violation("process %d wrote by a descriptor of %d/f%d that is counted as refused", getpid(), shared->round, file);
}

static void resize_one(int file) {
    if (refused_since(file) == 0) return; // It would take bytes from the other holders.
    int result = draw(2) ? ftruncate(files[file].fd, (off_t)PAGES * PAGE) : fallocate(files[file].fd, FALLOC_FL_KEEP_SIZE, 0, PAGE);
    if (result == 0) violation("process %d changed the size or the space of %d/f%d, which is counted as refused", getpid(), shared->round, file);
}

static void unmap_one(int file) {
    if (files[file].mapping != NULL) munmap(files[file].mapping, PAGES * PAGE);
    files[file].mapping = NULL;
}

static void map_one(int file) {
    struct file *one = &files[file];
    unmap_one(file);
    one->mapped_shared = draw(3) != 0;
    int access = held_of(file)->access, protection = PROT_READ | (one->mapped_shared && (access & WRITES) ? PROT_WRITE : 0);
    one->mapping = mmap(NULL, PAGES * PAGE, protection, one->mapped_shared ? MAP_SHARED : MAP_PRIVATE, one->fd, 0);
    if (one->mapping == MAP_FAILED) one->mapping = NULL;
}

static void use_mapping(int file) {
    struct file *one = &files[file];
    uint64_t words[PAGE / 8];
    if (one->mapping == NULL || draw(8) == 0) map_one(file);
    if (one->mapping == NULL) return;
    volatile uint64_t *page = (volatile uint64_t *)(one->mapping + (size_t)draw(PAGES) * PAGE);
    uint32_t since = refused_since(file);
    if (sigsetjmp(after_fault, 1) != 0) return;
    if (one->mapped_shared && (held_of(file)->access & WRITES) && draw(2) == 0) {
        uint64_t word = word_for(file);
        for (size_t i = 0; i < PAGE / 8; i++) page[i] = word;
        if (draw(3) == 0) msync((void *)page, PAGE, MS_SYNC);
        return;
    }
    for (size_t i = 0; i < PAGE / 8; i++) words[i] = page[i];
    check(file, since, words, PAGE / 8, one->mapped_shared ? "a shared mapping" : "a private mapping");
}

static void use(int file) {
    int access = held_of(file)->access;
    uint32_t what = draw(10);
    if (what < 3 && (access & READS)) read_one(file);
    else if (what < 5 && (access & WRITES)) write_one(file);
    else if (what < 9 && (access & READS)) use_mapping(file);
    else if (access & WRITES) resize_one(file);
    __atomic_fetch_add(&shared->done, 1, __ATOMIC_RELAXED);
}

static int flags_of(int access) { return access == READS ? O_RDONLY : access == WRITES ? O_WRONLY : O_RDWR; }

static void open_one(int file) {
    char name[64];
    int access = file < LARGE ? READS | WRITES : 1 + (int)draw(3);
    snprintf(name, sizeof name, "%d/f%d", shared->round, file);
    files[file].fd = open(name, flags_of(access) | O_CLOEXEC);
    if (files[file].fd < 0) return;
    held_of(file)->refused_since = 0;
    held_of(file)->access = access;
}

static void close_one(int file) {
    unmap_one(file);
    if (files[file].fd >= 0) close(files[file].fd);
    files[file].fd = -1;
    held_of(file)->access = 0;
    held_of(file)->refused_since = 0;
}

// After the policy is in force: by the name, or by a descriptor that the holder has.
static void open_again(int file) {
    char name[64];
    int access = 1 + (int)draw(3), denied = shared->denied[self][file] & access;
    if (files[file].fd >= 0 && draw(2) == 0) snprintf(name, sizeof name, "/proc/self/fd/%d", files[file].fd);
    else snprintf(name, sizeof name, "%d/f%d", shared->round, file);
    int fd = open(name, flags_of(access) | O_CLOEXEC);
    if (fd >= 0 && denied != 0) violation("uid %u opened %d/f%d, which is denied, by %s", getuid(), shared->round, file, name);
    // Only allowed users load pages again, and store: for a moment, or to the end of the round.
    if (fd >= 0 && files[file].fd < 0) {
        files[file].fd = fd;
        held_of(file)->access = access;
        for (int i = 0; i < 6; i++) use(file);
        if (draw(2) == 0) close_one(file);
    } else if (fd >= 0) close(fd);
}

static void step(enum phase phase, int file) {
    int may_open = (phase == OPENING && file >= LARGE) || phase == COPYING;
    if (phase == ATTACKING && draw(4) == 0) open_again(file);
    else if (files[file].fd >= 0 && may_open && draw(self >= VISITORS ? 3 : 24) == 0) close_one(file);
    else if (files[file].fd >= 0) use(file);
    else if (may_open && draw(2) == 0) open_one(file);
    // The decision service shares the processors.
    else usleep(200);
}

void hold_files(int holder) {
    struct sigaction action = {.sa_handler = faulted, .sa_flags = SA_NODEFER};
    self = holder;
    sigaction(SIGBUS, &action, NULL);
    for (int file = 0; file < FILES; file++) files[file].fd = -1;
    for (;;) {
        enum phase phase = __atomic_load_n(&shared->phase, __ATOMIC_SEQ_CST);
        int closes = phase == CLOSING || phase == OVER;
        for (int file = 0; closes && file < FILES; file++) close_one(file);
        __atomic_store_n(&shared->reached[holder], phase, __ATOMIC_SEQ_CST);
        if (phase == OVER) return;
        if (closes) usleep(500);
        else step(phase, (int)draw(phase == COPYING && draw(2) == 0 ? LARGE : FILES));
    }
}
