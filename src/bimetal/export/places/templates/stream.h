/* How rows come in and records go out; io_stdio.c on an operating system, semihosting.c on a bare chip. */
#ifndef PLACE_STREAM_H
#define PLACE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"

/* Read up to n bytes; returns how many came, 0 at the end. */
size_t place_read(void* into, size_t n);
/* Write n bytes; returns 0 when they are written. */
int place_write(const void* from, size_t n);
/* The bytes of stack that place_points takes for this row; -1 where nobody can tell. */
int32_t place_stack(const MODEL_ROW row[MODEL_COLUMNS], int32_t points[MODEL_POINTS]);
/* All of it: 0 when every row was run. */
int place_stream(void);

#endif
