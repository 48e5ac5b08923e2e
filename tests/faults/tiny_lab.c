/* A lab of one small program, for faults: it answers on port 8888 as a ready Jupyter does, and does on request what
 * goes wrong in real ones. Started as `lab`, it serves; as `lab exits` it says why and ends; as `lab silent` it never answers.
 *   GET …/grow         needs more memory than there is (its first process)
 *   GET …/grow-child   the same in a child, as a notebook's kernel would
 *   GET …/quit         ends with status 3
 *   GET …/stream       a line every 0.1 s, for ever: an open link
 *   GET anything else  200 and a small JSON document
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) { (void)number; _exit(0); }

static void grow(void) {
    for (;;) {
        size_t size = 16 << 20;
        char *more = malloc(size);
        if (more) memset(more, 1, size);
    }
}

static void say(int link, const char *text) { if (send(link, text, strlen(text), MSG_NOSIGNAL) < 0) _exit(0); }

static void stream(int link) {
    char line[64];
    say(link, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n");
    for (int n = 0;; n++) {
        snprintf(line, sizeof line, "%d\n", n);
        say(link, line);
        usleep(100000);
    }
}

static void serve(int link) {
    char asked[4096] = "";
    ssize_t got = recv(link, asked, sizeof asked - 1, 0);
    if (got <= 0) _exit(0);
    char *line_end = strpbrk(asked, "\r\n");
    if (line_end) *line_end = 0;
    if (strstr(asked, "/grow-child ")) grow();
    if (strstr(asked, "/stream ")) stream(link);
    say(link, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{\"version\": \"tiny\"}");
    if (strstr(asked, "/grow ")) kill(getppid(), SIGUSR1);
    if (strstr(asked, "/quit ")) kill(getppid(), SIGUSR2);
    _exit(0);
}

static void grow_now(int number) { (void)number; grow(); }
static void quit_now(int number) { (void)number; _exit(3); }

int main(int count, char **arguments) {
    signal(SIGTERM, end);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGUSR1, grow_now);
    signal(SIGUSR2, quit_now);
    if (count > 1 && !strcmp(arguments[1], "exits")) {
        fprintf(stderr, "the workspace has no room: cannot go on\n");
        return 1;
    }
    if (count > 1 && !strcmp(arguments[1], "silent")) {
        fprintf(stderr, "waiting for something that never comes\n");
        for (;;) pause();
    }
    int door = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8888)};
    if (bind(door, (struct sockaddr *)&address, sizeof address) || listen(door, 64)) return 2;
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int link = accept(door, NULL, NULL);
        if (link < 0) continue;
        if (fork() == 0) { close(door); serve(link); }
        close(link);
    }
}
