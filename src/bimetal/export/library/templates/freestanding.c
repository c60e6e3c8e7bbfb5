/* The three functions that a compiler may call on its own, for files that are linked with no C library.
 * Volatile keeps it from recognizing the loops and calling them again; unused, they are dropped. */
#include <stddef.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN void *memset(void *to, int byte, size_t n)
{
    for (volatile unsigned char *at = to; n > 0; n--) *at++ = (unsigned char)byte;
    return to;
}

HIDDEN void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    const unsigned char *source = from;
    for (volatile unsigned char *at = to; n > 0; n--) *at++ = *source++;
    return to;
}

HIDDEN void *memmove(void *to, const void *from, size_t n)
{
    volatile unsigned char *at = to;
    const unsigned char *source = from;
    if ((const unsigned char *)to <= source)
        for (; n > 0; n--) *at++ = *source++;
    else
        while (n > 0) n--, at[n] = source[n];
    return to;
}

#if defined(__APPLE__)
/* What clang calls there to fill with zeros. */
HIDDEN void __bzero(void *to, size_t n);
HIDDEN void __bzero(void *to, size_t n)
{
    memset(to, 0, n);
}
#endif

#if defined(_WIN32) && defined(__x86_64__)
/* Windows gives out a stack page by page, from the top down, so whoever makes a large frame first calls
 * this with its size in rax: it touches each page on the way and changes no register. */
__asm__(".globl __chkstk\n"
        "__chkstk:\n"
        "    pushq %rcx\n"
        "    pushq %rax\n"
        "    leaq 24(%rsp), %rcx\n"
        "1:  subq $4096, %rcx\n"
        "    orb $0, (%rcx)\n"
        "    subq $4096, %rax\n"
        "    ja 1b\n"
        "    popq %rax\n"
        "    popq %rcx\n"
        "    ret\n");
#endif
