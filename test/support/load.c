/*
 * What runs inside the cgroups of the tests, linked statically, here and in the guest:
 *
 *   load spin [SECONDS]    uses all the cpu time that it gets
 *   load touch MIB         writes to each page of so much memory, says so, and ends
 *   load hold MIB          the same, and stays
 *   load forks N           makes children until N are there or one is refused, and says which
 *   load bomb              children that make children, without end
 *   load open PATH         opens a file, and says what came of it
 *   load write PATH KIB    writes to a disk, past the page cache, and says how many bytes a second
 *   load threads N SECONDS so many threads that wait
 *   load lock PATH SECONDS holds a lock on a file's second byte, as a stuck tscgctl would
 *   load flock PATH SECONDS holds a flock, as anybody may who can read it, and says so
 *   load as ID PROGRAM ... executes a program as an ordinary user
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int touch(long mebibytes)
{
    size_t size = (size_t)mebibytes << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return 1;
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = 1;
    printf("touched %ld MiB\n", mebibytes);
    fflush(stdout);
    return 0;
}

static int forks(int most)
{
    for (int made = 0; made < most; made++) {
        pid_t pid = fork();

        if (pid < 0) {
            printf("fork %d: %s\n", made + 1, strerrorname_np(errno));
            fflush(stdout);
            kill(0, SIGTERM);
        }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            pause();
        }
    }
    printf("forked %d\n", most);
    return 0;
}

static int write_direct(const char *path, long kibibytes)
{
    int fd = open(path, O_WRONLY | O_DIRECT);
    void *block;
    double start = now();

    if (fd < 0 || posix_memalign(&block, 4096, 65536))
        return 1;
    memset(block, 1, 65536);
    for (long done = 0; done < kibibytes; done += 64)
        if (write(fd, block, 65536) != 65536)
            return 1;
    printf("%.0f\n", kibibytes * 1024 / (now() - start));
    return 0;
}

static void *wait_a_while(void *seconds)
{
    sleep((unsigned)(size_t)seconds);
    return NULL;
}

int main(int count, char **argument)
{
    const char *what = count > 1 ? argument[1] : "";
    long number = count > 2 ? atol(argument[2]) : 0;

    if (!strcmp(what, "spin")) {
        double end = number ? now() + number : 0;
        for (;;)
            for (volatile int i = 0; i < 1000000; i++)
                if (end && i == 0 && now() >= end)
                    return 0;
    }
    if (!strcmp(what, "touch"))
        return touch(number);
    if (!strcmp(what, "hold")) {
        if (touch(number))
            return 1;
        for (;;)
            pause();
    }
    if (!strcmp(what, "forks")) {
        signal(SIGTERM, SIG_DFL);
        setpgid(0, 0);
        return forks(number);
    }
    if (!strcmp(what, "bomb"))
        for (;;)
            fork();
    if (!strcmp(what, "open")) {
        int fd = open(argument[2], O_RDWR);
        printf("%s: %s\n", argument[2], fd < 0 ? strerrorname_np(errno) : "opened");
        return fd < 0;
    }
    if (!strcmp(what, "write") && count > 3)
        return write_direct(argument[2], atol(argument[3]));
    if (!strcmp(what, "threads") && count > 3) {
        pthread_t thread;
        for (long i = 0; i < number; i++)
            pthread_create(&thread, NULL, wait_a_while, (void *)(size_t)atol(argument[3]));
        printf("threads %ld\n", number);
        fflush(stdout);
        sleep(atoi(argument[3]));
        return 0;
    }
    if (!strcmp(what, "lock") && count > 3) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1 };
        int fd = open(argument[2], O_RDWR | O_CREAT, 0600);
        if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock))
            return 1;
        sleep(atoi(argument[3]));
        return 0;
    }
    if (!strcmp(what, "flock") && count > 3) {
        int fd = open(argument[2], O_RDONLY);
        if (fd < 0 || flock(fd, LOCK_EX))
            return 1;
        puts("locked");
        fflush(stdout);
        sleep(atoi(argument[3]));
        return 0;
    }
    if (!strcmp(what, "as") && count > 3) {
        if (setgroups(0, NULL) || setresgid(number, number, number) || setresuid(number, number, number))
            return 1;
        execvp(argument[3], argument + 3);
        return 127;
    }
    fprintf(stderr, "load: unknown: %s\n", what);
    return 2;
}
