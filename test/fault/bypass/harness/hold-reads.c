// Holds back reads of files by any process, so that a copy-up stops in its middle, or takes long. Only files opened after
// "watching" are held: the kernel looks for watchers when a file is opened (fs/notify/fsnotify.c).
//   hold-reads FILE              prints "held" when a reader waits, and lets all readers go on at a line of standard input
//   hold-reads -d MS FILE...     lets each reader go on after a random time of its own, MS at most
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

enum { MOST = 64 };

static int group, held[MOST], count, released, longest_ms = -1;

static void allow(int fd) {
    struct fanotify_response response = {.fd = fd, .response = FAN_ALLOW};
    if (write(group, &response, sizeof response) != sizeof response) perror("hold-reads");
    close(fd);
}

static void answer(int fd) {
    if (longest_ms >= 0) usleep((useconds_t)(random() % (longest_ms * 1000 + 1)));
    if (longest_ms >= 0 || released || count == MOST) {
        allow(fd);
        return;
    }
    held[count++] = fd;
    printf("held\n");
    fflush(stdout);
}

static void release(void) {
    released = 1;
    while (count > 0) allow(held[--count]);
}

int main(int argc, char **argv) {
    int first = argc > 3 && strcmp(argv[1], "-d") == 0 ? 3 : 1;
    if (first == 3) longest_ms = atoi(argv[2]);
    group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE);
    for (int i = first; i < argc; i++)
        if (group < 0 || fanotify_mark(group, FAN_MARK_ADD, FAN_ACCESS_PERM, AT_FDCWD, argv[i]) < 0) {
            fprintf(stderr, "hold-reads: %s\n", strerror(errno));
            return 2;
        }
    printf("watching\n");
    fflush(stdout);
    struct pollfd ready[2] = {{.fd = group, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (poll(ready, 2, -1) > 0) {
        struct fanotify_event_metadata events[16];
        char line[64];
        // Everything ends with the test.
        if (ready[1].revents != 0 && read(0, line, sizeof line) <= 0) return 0;
        if (ready[1].revents != 0) release();
        if ((ready[0].revents & POLLIN) == 0) continue;
        ssize_t length = read(group, events, sizeof events);
        for (struct fanotify_event_metadata *event = events; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length))
            answer(event->fd);
    }
    return 1;
}
