/*
 * What an init runs in the tests:
 *
 *   payload signals          prints "ready PID", then "got N." for each signal; ends with its parent
 *   payload root             the same, as root for good; for a set-user-ID copy
 *   payload terminal         prints whether it is in the terminal's foreground, at the start and when it is continued;
 *                            SIGINT ends it with status 5
 *   payload orphans N TIMES  makes N children of a parent that is gone, which then all end at once; TIMES times
 *   payload neglect          has a child that has ended, and does not wait for it
 *   payload daemon FILE      leaves a daemon, which writes its PID to FILE and stays until a signal ends it
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void signals(void)
{
    unsigned long all = ~0ul; /* with 32 and 33, which glibc keeps for itself */

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
    printf("ready %d\n", getpid());
    for (;;) {
        int signal = syscall(SYS_rt_sigtimedwait, &all, NULL, NULL, sizeof all);
        if (signal > 0)
            printf("got %d.\n", signal);
    }
}

static void terminal(void)
{
    sigset_t set;
    int signal;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&set);
    sigaddset(&set, SIGCONT);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    printf("leads its group %d, foreground %d.\n", getpgrp() == getpid(), tcgetpgrp(0) == getpgrp());
    for (;;) {
        sigwait(&set, &signal);
        if (signal == SIGINT)
            exit(5);
        printf("continued, foreground %d.\n", tcgetpgrp(0) == getpgrp());
    }
}

static void orphans(int count, int times)
{
    char byte;

    for (int i = 1; i <= times; i++) {
        int gate[2];
        if (pipe(gate))
            exit(1);
        if (fork() == 0) {
            close(gate[1]);
            for (int n = 0; n < count; n++) {
                pid_t pid = fork();
                if (pid < 0)
                    exit(2);
                if (pid == 0)
                    _exit(read(gate[0], &byte, 1));
            }
            _exit(0);
        }
        int status;
        wait(&status);
        if (status)
            exit(3);
        printf("orphans %d\n", i);
        getchar();
        close(gate[1]);
        close(gate[0]);
        printf("ended %d\n", i);
        getchar();
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IONBF, 0);
    if (!strcmp(what, "signals")) {
        signals();
    } else if (!strcmp(what, "root") && !setresuid(0, 0, 0)) {
        signals();
    } else if (!strcmp(what, "terminal")) {
        terminal();
    } else if (!strcmp(what, "orphans") && argc == 4) {
        orphans(atoi(argv[2]), atoi(argv[3]));
    } else if (!strcmp(what, "neglect")) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        printf("neglected %d\n", pid);
        for (;;)
            pause();
    } else if (!strcmp(what, "daemon") && argc == 3) {
        if (fork() == 0) {
            FILE *file = fopen(argv[2], "w");
            setsid();
            fprintf(file, "%d\n", getpid());
            fclose(file);
            for (int fd = 0; fd < 3; fd++)
                close(fd);
            for (;;)
                pause();
        }
    } else {
        return 64;
    }
    return 0;
}
