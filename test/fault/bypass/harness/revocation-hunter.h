// Shared by the parts of the hunter for revoked opens: see revocation-hunter.c.
#ifndef REVOCATION_HUNTER_H
#define REVOCATION_HUNTER_H
#include <stdint.h>

// The first files are LARGE: their copy-up makes its caller wait.
// The last holders hold little open before the policy changes: an open that shares its inode with an allowed one passes
// through.
enum { FILES = 8, LARGE = 2, HOLDERS = 6, VISITORS = 4, PAGE = 4096, PAGES = 4, READS = 1, WRITES = 2 };
enum phase { OPENING, COPYING, HOLDING, ATTACKING, CLOSING, OVER };

// One descriptor: each holder has at most one of each file.
struct held {
    int access; // READS | WRITES; 0: closed.
    // Not 0: `sluice grants` reports it as refused, and bytes of this era or a later one were written after that.
    uint32_t refused_since;
};

struct shared {
    enum phase phase, reached[HOLDERS];
    uint32_t era;
    int violations, round, pids[HOLDERS];
    uint64_t done;
    int denied[HOLDERS][FILES]; // READS | WRITES, of the holder's user.
    struct held held[HOLDERS][FILES];
};

extern struct shared *shared;

void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t draw(uint32_t below);

// Works on its files until the end.
void hold_files(int holder);
#endif
