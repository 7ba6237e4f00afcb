// Other ways to learn of changes to a file: leases, locks, inotify, fanotify.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

static void leases(void) {
    close(fresh("leased", O_RDWR));
    int reader = open("leased", O_RDONLY | O_CLOEXEC);
    signal(SIGIO, SIG_IGN);
    say("read lease", fcntl(reader, F_SETLEASE, F_RDLCK));
    say("held", fcntl(reader, F_GETLEASE));
    say("writer that may not wait", open("leased", O_WRONLY | O_NONBLOCK | O_CLOEXEC) < 0 ? -1 : 0);
    say("given up", fcntl(reader, F_SETLEASE, F_UNLCK));
    close(reader);
    int writer = open("leased", O_RDWR | O_CLOEXEC);
    say("write lease", fcntl(writer, F_SETLEASE, F_WRLCK));
}

static long lock_in_child(int (*lock)(void)) {
    pid_t child = fork();
    if (child == 0) _exit(lock() == 0 ? 0 : errno);
    int status;
    waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    return errno == 0 ? 0 : -1;
}

static int flock_locked(void) { return flock(open("locked", O_RDWR | O_CLOEXEC), LOCK_EX | LOCK_NB); }

static int record_locked(void) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 10};
    return fcntl(open("locked", O_RDWR | O_CLOEXEC), F_SETLK, &range);
}

static int other_range(void) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 200, .l_len = 10};
    return fcntl(open("locked", O_RDWR | O_CLOEXEC), F_SETLK, &range);
}

static void locks(void) {
    int fd = fresh("locked", O_RDWR);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    say("flock", flock(fd, LOCK_EX));
    say("another's flock", lock_in_child(flock_locked));
    say("unlock", flock(fd, LOCK_UN));
    say("another's flock", lock_in_child(flock_locked));
    say("record lock", fcntl(fd, F_SETLK, &range));
    say("another's within", lock_in_child(record_locked));
    say("another's beside", lock_in_child(other_range));
    int second = open("locked", O_RDONLY | O_CLOEXEC);
    close(second); // POSIX: closing any descriptor of the file releases the locks.
    say("another's after a close", lock_in_child(record_locked));
    range.l_type = F_WRLCK;
    say("OFD lock", fcntl(fd, F_OFD_SETLK, &range));
    close(open("locked", O_RDONLY | O_CLOEXEC));
    say("another's within", lock_in_child(record_locked));
}

// The operations of a program on a watched file.
static void use(const char *name) {
    char byte = 'x';
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (pwrite(fd, &byte, 1, 0) != 1 || pread(fd, &byte, 1, 0) != 1) broken("use");
    if (ftruncate(fd, 10) != 0) broken("truncate");
    close(fd);
}

static void print_mask(uint64_t mask) {
    static const struct { uint64_t bit; const char *name; } names[] = {
        {IN_ACCESS, "access"}, {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"}, {IN_CLOSE_WRITE, "close-write"},
        {IN_CLOSE_NOWRITE, "close-nowrite"}, {IN_OPEN, "open"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mask & names[i].bit) puts(names[i].name);
}

static void watch_inode(void) {
    close(fresh("watched", O_RDWR));
    int watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    say("watch", inotify_add_watch(watcher, "watched", IN_ALL_EVENTS) < 0 ? -1 : 0);
    use("watched");
    struct inotify_event events[64];
    ssize_t length = read(watcher, events, sizeof events);
    for (char *at = (char *)events; at < (char *)events + length;) {
        struct inotify_event *event = (struct inotify_event *)at;
        print_mask(event->mask);
        at += sizeof *event + event->len;
    }
}

static void watch_fanotify(void) {
    close(fresh("watched", O_RDWR));
    int watcher = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);
    if (watcher < 0) broken("fanotify_init");
    const uint64_t mask = FAN_OPEN | FAN_MODIFY | FAN_ACCESS | FAN_CLOSE_WRITE;
    say("mark", fanotify_mark(watcher, FAN_MARK_ADD, mask, AT_FDCWD, "watched"));
    pid_t child = fork();
    if (child == 0) {
        use("watched");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    struct fanotify_event_metadata events[64], *event = events;
    ssize_t length = read(watcher, events, sizeof events);
    uint64_t seen = 0;
    for (; length > 0 && FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
        seen |= event->mask;
        close(event->fd);
    }
    print_mask(seen);
}

const struct rule event_rules[] = {
    {"leases", leases},
    {"flock, record locks and OFD locks", locks},
    {"inotify on the file", watch_inode},
    {"fanotify on the file", watch_fanotify},
    {NULL, NULL},
};
