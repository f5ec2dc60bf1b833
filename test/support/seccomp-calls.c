/*
 * What the kernel answers to system calls under a filter:   seccomp-calls <input >output
 *
 *   input   u32 length, struct sock_filter[length], u32 count, count times { u32 abi, u32 number, u64 arguments[6] }
 *           abi 0 is the machine's own, 1 is i386's (int 0x80)
 *   output  count times { s32 how, s32 value }: how 0 is the call's result, 1 a trap with its data, 2 a death by SIGSYS
 *
 * A call that a filter lets through is made: filters are to answer with errors, traps, tracers (of which there are none)
 * and deaths only. The process under the filter can do nothing but crash when it has done.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct call {
    uint32_t abi, number;
    uint64_t arguments[6];
};

struct result {
    int32_t how, value;
};

static struct shared {
    volatile uint32_t next;
    struct result results[];
} *shared;

static void need(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void trapped(int signal, siginfo_t *info, void *context)
{
    shared->results[shared->next] = (struct result) { 1, info->si_errno };
    shared->next++;
    *(volatile int *)0 = 0;
}

static long make(const struct call *call)
{
    const uint64_t *a = call->arguments;
    long result;

#ifdef __x86_64__
    if (call->abi == 1) {
        uint32_t words[] = { a[0], a[1], a[2], a[3], a[4], a[5], call->number };
        __asm__ volatile("mov %1, %%r8; sub $128, %%rsp; push %%rbx; push %%rbp;"
                         "mov 0(%%r8), %%ebx; mov 4(%%r8), %%ecx; mov 8(%%r8), %%edx; mov 12(%%r8), %%esi;"
                         "mov 16(%%r8), %%edi; mov 20(%%r8), %%ebp; mov 24(%%r8), %%eax; int $0x80;"
                         "pop %%rbp; pop %%rbx; add $128, %%rsp"
                         : "=a"(result)
                         : "r"(words)
                         : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
        return (int)result;
    }
    register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall" : "=a"(result) : "a"((uint64_t)call->number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#else
    return syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
#endif
}

static void under_filter(struct sock_fprog *program, struct call *calls, uint32_t count)
{
    static char stack[65536];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    need(setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 }) == 0, "setrlimit");
    sigaltstack(&alternate, NULL);
    sigaction(SIGSYS, &action, NULL);
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) != 0)
        _exit(2);
    while (shared->next < count) {
        long result = make(&calls[shared->next]);
        shared->results[shared->next] = (struct result) { 0, result };
        shared->next++;
    }
    *(volatile int *)0 = 0;
}

int main(void)
{
    struct sock_fprog program;
    uint32_t length, count;
    struct call *calls;
    int status;

    need(fread(&length, 4, 1, stdin) == 1, "input");
    program.len = length;
    program.filter = calloc(length, sizeof *program.filter);
    need(fread(program.filter, sizeof *program.filter, length, stdin) == length, "program");
    need(fread(&count, 4, 1, stdin) == 1, "count");
    calls = calloc(count, sizeof *calls);
    need(fread(calls, sizeof *calls, count, stdin) == count, "calls");
    shared = mmap(NULL, sizeof *shared + count * sizeof *shared->results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(shared != MAP_FAILED, "mmap");

    while (shared->next < count) {
        uint32_t before = shared->next;
        pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0)
            under_filter(&program, calls, count);
        need(waitpid(child, &status, 0) == child, "waitpid");
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (WTERMSIG(status) == SIGSYS)
            shared->results[shared->next++] = (struct result) { 2, 0 };
        if (shared->next == before) { fprintf(stderr, "signal %d at call %u: abi %u, number %u\n", WTERMSIG(status), before, calls[before].abi, calls[before].number); return 1; }
    }
    fwrite(shared->results, sizeof *shared->results, count, stdout);
    return 0;
}
