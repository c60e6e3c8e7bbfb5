/* Files of the host for a bare chip, by the semihosting of Arm ("Semihosting for AArch32 and AArch64")
   and RISC-V ("RISC-V Semihosting"): an instruction that only a debugger or an emulator answers. */
#include "bare.h"
#include "stream.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
enum { APPLICATION_EXIT = 0x20026 };

__attribute__((noinline)) static intptr_t host(intptr_t what, const intptr_t words[]) {
#if defined __riscv
    register intptr_t a0 __asm__("a0") = what;
    register const intptr_t* a1 __asm__("a1") = words;
    /* The three instructions must be of full length and stand in one page. */
    __asm__ volatile(
        ".balign 16\n .option push\n .option norvc\n"
        "slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n .option pop"
        : "+r"(a0)
        : "r"(a1)
        : "memory");
    return a0;
#else
    register intptr_t r0 __asm__("r0") = what;
    register const intptr_t* r1 __asm__("r1") = words;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

static intptr_t open_file(const char* name, intptr_t length, intptr_t mode) {
    intptr_t words[3];
    words[0] = (intptr_t)name;
    words[1] = mode;
    words[2] = length;
    return host(SYS_OPEN, words);
}

/* Both calls return how many bytes they did NOT move. */
static size_t left_by(intptr_t what, intptr_t file, intptr_t bytes, size_t n) {
    intptr_t words[3];
    words[0] = file;
    words[1] = bytes;
    words[2] = (intptr_t)n;
    return (size_t)host(what, words);
}

size_t place_read(void* into, size_t n) {
    static intptr_t file = -1;
    size_t left;
    if (file < 0) {
        file = open_file("rows.bin", 8, READ_BINARY);
    }
    left = left_by(SYS_READ, file, (intptr_t)into, n);
    return left > n ? 0 : n - left;
}

int place_write(const void* from, size_t n) {
    static intptr_t file = -1;
    if (file < 0) {
        file = open_file("records.bin", 11, WRITE_BINARY);
    }
    return left_by(SYS_WRITE, file, (intptr_t)from, n) != 0;
}

void place_exit(int status) {
    intptr_t words[2];
    words[0] = APPLICATION_EXIT;
    words[1] = status;
    for (;;) {
        host(SYS_EXIT_EXTENDED, words);
    }
}

void place_fail(const char* why) {
    host(SYS_WRITE0, (const intptr_t*)why);
    place_exit(70);
}
