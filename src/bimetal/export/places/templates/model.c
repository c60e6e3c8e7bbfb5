/* The exported header, built as its users build it, and its functions under fixed names. */
#include "config.h"

#include MODEL_HEADER

#include "model.h"

#define JOIN_NOW(a, b) a##b
#define JOIN(a, b) JOIN_NOW(a, b)
#define MODEL(part) JOIN(MODEL_NAME, part)
#define SIZE(part) JOIN(MODEL_UPPER, part)

#if SIZE(_N_COLUMNS) != MODEL_COLUMNS || SIZE(_N_POINTS) != MODEL_POINTS || SIZE(_N_ANSWERS) != MODEL_ANSWERS
#error "the header states other sizes than its Program has"
#endif

void place_points(const MODEL_ROW row[MODEL_COLUMNS], int32_t points[MODEL_POINTS]) { MODEL(_points)(row, points); }

#ifndef PLACE_NO_DOUBLE
void place_answers(const MODEL_ROW row[MODEL_COLUMNS], float answers[MODEL_ANSWERS]) { MODEL(_answers)(row, answers); }

void place_link(const int32_t points[MODEL_POINTS], float answers[MODEL_ANSWERS]) { MODEL(_link)(points, answers); }

int place_class(const MODEL_ROW row[MODEL_COLUMNS]) { return MODEL(_class)(row); }
#endif

#ifndef PLACE_NO_SELFTEST
int place_selftest(void) { return MODEL(_selftest)(); }
#endif
