/* Rows from standard input, records to standard output. */
#include <stdio.h>

#include "stream.h"

size_t place_read(void* into, size_t n) { return fread(into, 1, n, stdin); }

int place_write(const void* from, size_t n) { return fwrite(from, 1, n, stdout) != n; }

int32_t place_stack(const MODEL_ROW row[MODEL_COLUMNS], int32_t points[MODEL_POINTS]) {
    (void)row;
    (void)points;
    return -1;
}

int main(void) { return place_stream() || fflush(stdout) ? 1 : 0; }
