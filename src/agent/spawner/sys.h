/* agent/spawner/sys.h -- system calls without libc in between, for the moments when two processes share one memory.
 *
 * What       mu_sys(number, ...) gives the kernel's answer, -errno on failure, and touches nothing but registers and the
 *            stack: no errno, no cancellation, no locks. mu_sys_clone starts a child on a stack of its own.
 * Ownership, Time, Failure, Limits: none.
 * Threads    where this file has no assembly for the machine, MU_SYS_SHARED is 0: then a child may only be started with
 *            CLONE_VFORK, which holds the parent, and libc's syscall() does.
 */
#ifndef MU_AGENT_SPAWNER_SYS_H
#define MU_AGENT_SPAWNER_SYS_H

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(MU_SYS_GENERIC)
#define MU_SYS_SHARED 1
static inline long mu_sys6(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
/* The child calls fn(arg), which must not return. clear: set to 0 by the kernel when the child has left our memory. */
static inline long mu_sys_clone(unsigned long flags, void *stack_end, int *clear, void (*fn)(void *), void *arg)
{
    void **sp = stack_end;
    long ret;
    register long r10 __asm__("r10") = (long)clear;
    register long r8 __asm__("r8") = 0;

    *--sp = arg;
    *--sp = (void *)fn;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "pop %%rax\n\t"
                     "pop %%rdi\n\t"
                     "call *%%rax\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(ret)
                     : "a"((long)SYS_clone), "D"(flags), "S"(sp), "d"(0L), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return ret;
}
#elif defined(__aarch64__) && !defined(MU_SYS_GENERIC)
#define MU_SYS_SHARED 1
static inline long mu_sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
static inline long mu_sys_clone(unsigned long flags, void *stack_end, int *clear, void (*fn)(void *), void *arg)
{
    void **sp = stack_end;
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register void **x1 __asm__("x1") = sp - 2;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = (long)clear;

    sp[-2] = (void *)fn;
    sp[-1] = arg;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "ldp x1, x0, [sp], #16\n\t"
                     "blr x1\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0), "+r"(x1)
                     : "r"(x8), "r"(x2), "r"(x3), "r"(x4)
                     : "memory");
    return x0;
}
#else
#define MU_SYS_SHARED 0
static inline long mu_sys6(long n, long a, long b, long c, long d, long e, long f)
{
    long ret = syscall(n, a, b, c, d, e, f);

    return ret == -1 ? -errno : ret;
}
static inline long mu_sys_clone(unsigned long flags, void *stack_end, int *clear, void (*fn)(void *), void *arg)
{
    int pid = clone((int (*)(void *))(void *)fn, stack_end, (int)flags | CLONE_VFORK, arg, NULL, NULL, clear);

    *clear = 0; /* vfork: the child has left our memory */
    return pid == -1 ? -errno : pid;
}
#endif

#define mu_sys(n, ...) mu_sys_(n, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define mu_sys_(n, a, b, c, d, e, f, ...) \
    mu_sys6((long)(n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
