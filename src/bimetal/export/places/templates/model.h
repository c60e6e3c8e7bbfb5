/* An exported header behind fixed names, so that one harness serves every net on every chip.

   config.h is written for each net. It defines MODEL_HEADER, MODEL_NAME and MODEL_UPPER (the net's
   name, and in capitals), MODEL_ROW (what a raw row is made of), MODEL_COLUMNS, MODEL_POINTS,
   MODEL_ANSWERS, PLACE_BLOCK (rows read at once), and PLACE_NO_DOUBLE where C has no float64. */
#ifndef PLACE_MODEL_H
#define PLACE_MODEL_H

#include <stdint.h>

#include "config.h"

/* What goes back for one row. */
struct place_record {
    int32_t points[MODEL_POINTS];
#ifndef PLACE_NO_DOUBLE
    float answers[MODEL_ANSWERS];
#endif
};

void place_points(const MODEL_ROW row[MODEL_COLUMNS], int32_t points[MODEL_POINTS]);
void place_answers(const MODEL_ROW row[MODEL_COLUMNS], float answers[MODEL_ANSWERS]);
void place_link(const int32_t points[MODEL_POINTS], float answers[MODEL_ANSWERS]);
int place_class(const MODEL_ROW row[MODEL_COLUMNS]);
int place_selftest(void); /* unless PLACE_NO_SELFTEST */

/* rows.c: the one caller of place_points whose calls are counted. */
void place_rows(const MODEL_ROW rows[][MODEL_COLUMNS], struct place_record records[], int32_t n);

#endif
