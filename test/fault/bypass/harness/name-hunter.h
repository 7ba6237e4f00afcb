// Shared by the parts of the hunter for names: see name-hunter.c.
#ifndef NAME_HUNTER_H
#define NAME_HUNTER_H
#include <stdint.h>

enum { PATH_BYTES = 256, PLANTED_BYTES = 64, PLANTED_MODE = 0666, MAX_LOCKED = 64 };

// The beginning of a planted file's content, and the value of its extended attribute MARK: it tells which rules the file must
// obey.
#define MARK "user.hunter"
#define SECRET "SECRET"
#define VEILED SECRET "-VEIL"
#define LOCKED "LOCKED"
#define METERED "METERED"

// Prints a violation, and counts it for all processes.
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t draw(uint32_t below);

// One random operation, by an unprivileged user, in the current directory.
void act(void);
// Reads everything in the file of `fd`, in one of several ways, and closes it.
void scan(int fd, const char *how);
// The same through file handles, with CAP_DAC_READ_SEARCH.
void act_by_handle(void);

// A race of two processes, in a directory of their own.
void duel(const char *ground);

// Checks everything below the current directory, while nobody works on it. `locked` files were planted.
void check_tree(int locked);
#endif
