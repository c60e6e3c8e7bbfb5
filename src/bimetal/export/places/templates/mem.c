/* The four functions that a compiler may call without being asked; a chip without a C library has
   them nowhere else. Built so that no loop in here becomes a call of itself. */
#include <stddef.h>
#include <stdint.h>

void* memcpy(void* to, const void* from, size_t n);
void* memmove(void* to, const void* from, size_t n);
void* memset(void* to, int value, size_t n);
int memcmp(const void* one, const void* two, size_t n);

void* memcpy(void* to, const void* from, size_t n) {
    uint8_t* a = to;
    const uint8_t* b = from;
    while (n--) {
        *a++ = *b++;
    }
    return to;
}

void* memmove(void* to, const void* from, size_t n) {
    uint8_t* a = to;
    const uint8_t* b = from;
    if (a <= b) {
        return memcpy(to, from, n);
    }
    while (n--) {
        a[n] = b[n];
    }
    return to;
}

void* memset(void* to, int value, size_t n) {
    uint8_t* a = to;
    while (n--) {
        *a++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void* one, const void* two, size_t n) {
    const uint8_t *a = one, *b = two;
    for (; n--; a++, b++) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}
