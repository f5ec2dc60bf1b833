/*
 * job-shell [-b] PROGRAM ...
 *
 * A shell with job control, on a terminal of its own, that has one job: it starts the program in the foreground (-b: in
 * the background). What comes in on standard input is typed at the terminal; what the terminal shows goes to standard
 * output. When the job stops, the shell takes the terminal back, says so, and brings the job to the foreground again, as
 * `fg` does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void shell(int slave, int background, char **argv)
{
    pid_t job;
    int status;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    signal(SIGTTOU, SIG_IGN);
    job = fork();
    if (job == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        if (!background)
            tcsetpgrp(slave, getpid());
        signal(SIGTTOU, SIG_DFL);
        dup2(slave, 0);
        dup2(slave, 1);
        dup2(slave, 2);
        execvp(argv[0], argv);
        _exit(127);
    }
    for (;;) {
        waitpid(job, &status, WUNTRACED);
        pid_t foreground = tcgetpgrp(slave);
        tcsetpgrp(slave, getpgrp());
        if (!WIFSTOPPED(status)) {
            dprintf(1, "[shell] ended %d.\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            _exit(0);
        }
        dprintf(1, "[shell] stopped, foreground was the %s.\n", foreground == getpgrp() ? "shell" : foreground == job ? "job" : "program");
        tcsetpgrp(slave, job);
        kill(-job, SIGCONT);
    }
}

/* Copies what is there; 0 at the end. */
static int copy(int from, int to)
{
    char text[1024];
    ssize_t length = read(from, text, sizeof text);
    return length > 0 && write(to, text, length) == length;
}

int main(int argc, char **argv)
{
    int background = argc > 1 && !strcmp(argv[1], "-b");
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (master < 0 || grantpt(master) || unlockpt(master)) {
        perror("pty");
        return 1;
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fork() == 0)
        shell(slave, background, argv + 1 + background);
    close(slave);
    struct pollfd ends[] = { { master, POLLIN, 0 }, { 0, POLLIN, 0 } };
    while (poll(ends, 2, -1) > 0) {
        if (ends[0].revents && !copy(master, 1))
            break;
        if (ends[1].revents && !copy(0, master))
            ends[1].fd = -1;
    }
    return 0;
}
