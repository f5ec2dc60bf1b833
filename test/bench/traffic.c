/*
 * A server and a client of TCP, for the benchmark of proxies: as little of their own as can be, so that what is between
 * them shows.
 *
 *   traffic server ADDRESS PORT
 *   traffic client KIND ADDRESS PORT CONNECTIONS SECONDS
 *
 * KIND: connect (a connection for each request), request (kept connections), down, up (a stream), idle (connections that do
 * nothing). The client prints: requests or bytes, seconds, and the 50th and 99th percentile of a request's microseconds.
 *
 * The first byte of a request says what is wanted: 'k' an answer, 'c' an answer and the end, 'd' bytes without end, 'u' takes bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 100
#define ANSWER 600
#define BLOCK (256 * 1024)
#define MOST 8192

static char block[BLOCK];
static struct { char kind; int got; double sent; } state[MOST];
static float *times;
static long count, limit = 8 << 20;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int poller, int fd, int events, int how)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(poller, how, fd, &event) < 0)
        die("epoll_ctl");
}

static struct sockaddr_in at(const char *address, const char *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
    inet_pton(AF_INET, address, &in.sin_addr);
    return in;
}

static _Noreturn void server(char **argv)
{
    struct sockaddr_in in = at(argv[0], argv[1]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, poller = epoll_create1(0);
    struct epoll_event events[256];

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(listener, (void *)&in, sizeof in) < 0 || listen(listener, 4096) < 0)
        die("bind");
    watch(poller, listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    if (fd >= MOST) { close(fd); continue; }
                    state[fd].kind = 0;
                    state[fd].got = 0;
                    watch(poller, fd, EPOLLIN, EPOLL_CTL_ADD);
                }
                continue;
            }
            if (state[fd].kind == 'd') {
                if (send(fd, block, BLOCK, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
                    close(fd);
                continue;
            }
            ssize_t got = recv(fd, block, BLOCK, 0);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got <= 0) {
                close(fd);
                continue;
            }
            if (!state[fd].kind)
                state[fd].kind = block[0];
            if (state[fd].kind == 'd')
                watch(poller, fd, EPOLLOUT, EPOLL_CTL_MOD);
            if (state[fd].kind == 'd' || state[fd].kind == 'u')
                continue;
            state[fd].got += got;
            if (state[fd].got < REQUEST)
                continue;
            state[fd].got = 0;
            send(fd, block, ANSWER, MSG_NOSIGNAL);
            if (state[fd].kind == 'c')
                close(fd);
        }
    }
}

static int open_one(struct sockaddr_in *in, int poller)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0 || fd >= MOST)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)in, sizeof *in) < 0 && errno != EINPROGRESS)
        die("connect");
    state[fd].got = 0;
    state[fd].sent = now();
    watch(poller, fd, EPOLLOUT, EPOLL_CTL_ADD);
    return fd;
}

static int by_size(const void *a, const void *b)
{
    float x = *(float *)a, y = *(float *)b;
    return (x > y) - (x < y);
}

static int client(char **argv)
{
    char kind = argv[0][0] == 'c' ? 'c' : argv[0][0] == 'r' ? 'k' : argv[0][0];
    struct sockaddr_in in = at(argv[1], argv[2]);
    int connections = atoi(argv[3]), poller = epoll_create1(0), errors = 0;
    struct epoll_event events[256];
    double seconds = atof(argv[4]), start, end;

    times = malloc(limit * sizeof *times);
    for (int i = 0; i < connections; i++)
        open_one(&in, poller);
    start = now();
    end = start + seconds;
    while (now() < end) {
        int n = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (events[i].events & EPOLLOUT) {
                if (kind == 'u') {
                    block[0] = 'u';
                    ssize_t sent = send(fd, block, BLOCK, MSG_NOSIGNAL);
                    if (sent > 0)
                        count += sent;
                    continue;
                }
                block[0] = kind;
                if (kind != 'i' && send(fd, block, REQUEST, MSG_NOSIGNAL) != REQUEST) {
                    errors++;
                    close(fd);
                    open_one(&in, poller);
                    continue;
                }
                watch(poller, fd, EPOLLIN, EPOLL_CTL_MOD);
                continue;
            }
            ssize_t got = recv(fd, block, BLOCK, 0);
            if (kind == 'd') {
                if (got > 0)
                    count += got;
                continue;
            }
            if (got > 0)
                state[fd].got += got;
            if (kind == 'k' && state[fd].got >= ANSWER) {
                double t = now();
                if (count < limit)
                    times[count] = t - state[fd].sent;
                count++;
                state[fd].got = 0;
                state[fd].sent = t;
                block[0] = kind;
                send(fd, block, REQUEST, MSG_NOSIGNAL);
            } else if (got <= 0 && errno != EAGAIN) {
                if (state[fd].got == ANSWER) {
                    if (count < limit)
                        times[count] = now() - state[fd].sent;
                    count++;
                } else
                    errors++;
                close(fd);
                open_one(&in, poller);
            }
        }
    }
    end = now();
    long timed = kind == 'k' || kind == 'c' ? (count < limit ? count : limit) : 0;
    qsort(times, timed, sizeof *times, by_size);
    printf("%ld %.3f %.0f %.0f %d\n", count, end - start, timed ? times[timed / 2] * 1e6 : 0, timed ? times[timed * 99 / 100] * 1e6 : 0, errors);
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && !strcmp(argv[1], "server"))
        server(argv + 2);
    if (argc == 7 && !strcmp(argv[1], "client"))
        return client(argv + 2);
    return 2;
}
