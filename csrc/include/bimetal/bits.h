/* The one convention, in C99: what a bit means and how bits lie in words.
 *
 * Bit 1 means +1. Element i of a row is bit i % 64 of word i / 64, least significant first; on disk it is bit
 * i % 8 of byte i / 8. Words are built from bytes by shifts, never by casting a buffer, so the order of bytes in
 * the machine does not matter. Tail bits are 0 in every operand: they never change a sum.
 * Everything is static: each translation unit keeps its own copy, compiled with its own flags. */
#ifndef BIMETAL_BITS_H
#define BIMETAL_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Words that hold n_bits bits. */
static inline size_t bm_words(size_t n_bits) { return (n_bits + 63) / 64; }

/* Set bits of a word, by adding neighbours: pairs, nibbles, bytes, then all bytes at once. */
static inline unsigned bm_popcount(uint64_t x) {
    x = x - ((x >> 1) & 0x5555555555555555u);
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return (unsigned)((x * 0x0101010101010101u) >> 56);
}

/* Word made of the first n_bytes (at most 8) bytes; missing bytes are 0. */
static inline uint64_t bm_load_word(const uint8_t* bytes, size_t n_bytes) {
    uint64_t word = 0;
    for (size_t i = 0; i < n_bytes && i < 8; i++) word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static inline int bm_bit(const uint64_t* words, size_t i) { return (int)((words[i / 64] >> (i % 64)) & 1); }

/* Copy n_bits bits that begin at bit `start` of `from` into `to`, from bit 0 on; tail bits become 0. */
static inline void bm_extract(const uint64_t* from, size_t start, size_t n_bits, uint64_t* to) {
    const size_t shift = start % 64, last = (start + n_bits - 1) / 64;
    for (size_t i = 0; i < bm_words(n_bits); i++) {
        const size_t word = start / 64 + i;
        to[i] = from[word] >> shift;
        if (shift && word < last) to[i] |= from[word + 1] << (64 - shift);
    }
    if (n_bits % 64) to[n_bits / 64] &= (UINT64_C(1) << (n_bits % 64)) - 1;
}

/* Set the bits of `word` at bit `start` of `to`, where zeros stood; bits of `word` beyond the row are 0. */
static inline void bm_deposit(uint64_t* to, size_t start, uint64_t word) {
    const size_t shift = start % 64;
    to[start / 64] |= word << shift;
    if (shift && word >> (64 - shift)) to[start / 64 + 1] |= word >> (64 - shift);
}

#endif
