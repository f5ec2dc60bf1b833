/*
 * What the filters that are in force answer to every call: `abi number errno` a line, errno 0 where the call would be made.
 * None is: a filter of its own gives each call that is let through to a tracer, of which there is none. abi is `native` (0 to
 * LAST, and with x32's bit) or `i386` (int 0x80). Then, by its arguments: `socket FAMILY errno` and so on.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST 500
#define X32 0x40000000

/* What this program itself still has to do: write(2) and exit_group(2). */
static int is_own(unsigned number)
{
    return number == SYS_write || number == SYS_exit_group;
}

static long make(unsigned number, long a)
{
    long result = syscall(number, a, 0, 0, 0, 0, 0);
    return result < 0 ? errno : 0;
}

#ifdef __x86_64__
static long make_i386(unsigned number)
{
    long result;

    __asm__ volatile("sub $128, %%rsp; push %%rbx; push %%rbp; xor %%ebx, %%ebx; xor %%ecx, %%ecx; xor %%edx, %%edx; xor %%esi, %%esi;"
                     "xor %%edi, %%edi; xor %%ebp, %%ebp; int $0x80; pop %%rbp; pop %%rbx; add $128, %%rsp"
                     : "=a"(result)
                     : "a"((long)number)
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
    return (int)result < 0 ? -(int)result : 0;
}
#endif

/* ENOSYS is the missing tracer's: the call would be made. */
static void say(const char *what, unsigned long number, long error)
{
    printf("%s %lu %ld\n", what, number, error == ENOSYS ? 0 : error);
}

static void install(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
#ifdef __x86_64__
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
#else
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_AARCH64, 0, 3),
#endif
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        perror("seccomp");
        exit(1);
    }
}

int main(void)
{
    static char buffer[1 << 16];
    unsigned long personas[] = { 0, 8, 0x20000, 0x20008, 0xffffffff, 1, 0x40000, 0x20001, 0xffffffffffffffff, 0x100000000 };

    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    /* Its ENOSYS may be the policy's: where it is made, it says EINVAL or EFAULT. */
    say("clone3", 0, syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS ? 1 : 0);
    fflush(stdout);
    install();
    for (unsigned number = 0; number <= LAST; number++) {
#ifdef __x86_64__
        if (!is_own(number) && number != 335 && number != 336) /* uretprobe and uprobe pass by filters */
            say("native", number, make(number, 0));
        say("native", X32 + number, make(X32 + number, 0));
        say("i386", number, make_i386(number));
#else
        if (!is_own(number))
            say("native", number, make(number, 0));
#endif
    }
    for (unsigned family = 0; family < 64; family++)
        say("socket", family, make(SYS_socket, family));
    for (unsigned i = 0; i < sizeof personas / sizeof *personas; i++)
        say("personality", personas[i], make(SYS_personality, personas[i]));
    for (int bit = 0; bit < 32; bit++)
        say("clone", 1ul << bit, make(SYS_clone, 1ul << bit));
    fflush(stdout);
    return 0;
}
