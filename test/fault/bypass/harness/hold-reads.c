// Holds every read of a file back, whoever makes it, until a line comes on standard input: hold-reads FILE. Says "watching"
// when it is in effect and "held" when somebody waits. So a copy-up can be stopped in its middle. Only files opened after
// "watching" are held: the kernel looks for watchers when a file is opened (fs/notify/fsnotify.c).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

static int allow(int group, int fd) {
    struct fanotify_response response = {.fd = fd, .response = FAN_ALLOW};
    ssize_t written = write(group, &response, sizeof response);
    close(fd);
    return written == sizeof response ? 0 : -1;
}

int main(int argc, char **argv) {
    int group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE), released = 0, held[64], count = 0;
    if (argc != 2 || group < 0 || fanotify_mark(group, FAN_MARK_ADD, FAN_ACCESS_PERM, AT_FDCWD, argv[1]) < 0) {
        fprintf(stderr, "hold-reads: %s\n", strerror(errno));
        return 2;
    }
    printf("watching\n");
    fflush(stdout);
    struct pollfd ready[2] = {{.fd = group, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (poll(ready, released ? 1 : 2, -1) > 0) {
        struct fanotify_event_metadata events[16];
        char line[64];
        if (!released && ready[1].revents != 0) {
            if (read(0, line, sizeof line) <= 0) return 0;
            released = 1;
            while (count > 0) allow(group, held[--count]);
        }
        if ((ready[0].revents & POLLIN) == 0) continue;
        ssize_t length = read(group, events, sizeof events);
        for (struct fanotify_event_metadata *event = events; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
            if (released || count == 64) {
                allow(group, event->fd);
                continue;
            }
            held[count++] = event->fd;
            printf("held\n");
            fflush(stdout);
        }
    }
    return 1;
}
