/* A binarized neural network behind a plain C interface.
 *
 * Program 0000
 *
 * A raw row holds one float a column: a number as it is, a category as its code, NaN where missing. No
 * function allocates memory or remembers anything, so threads may share them. A call works in 0 bytes
 * of stack and a little more.
 *
 * ROW_AND_ANSWERS
 */
#ifndef MODEL_LIBRARY_H
#define MODEL_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#define MODEL_N_COLUMNS 1 /* numbers of a raw row */
#define MODEL_N_POINTS 1 /* whole numbers that the answers are made from */
#define MODEL_N_ANSWERS 1 /* float32 answers: one a class, or one an output */
#define MODEL_ID "0000"

#if defined(_WIN32) && !defined(MODEL_STATIC)
#define MODEL_API __declspec(dllimport)
#else
#define MODEL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The sizes above, and the id of the Program, for languages that read no header. */
MODEL_API int32_t model_n_columns(void);
MODEL_API int32_t model_n_points(void);
MODEL_API int32_t model_n_answers(void);
MODEL_API const char *model_id(void);

/* How many golden rows stored inside give other answers than they should: 0 is well. */
MODEL_API int32_t model_selftest(void);

/* One row. model_class is the index of the largest answer, among equals the lowest. */
MODEL_API void model_points(const float *row, int32_t *points);
MODEL_API void model_answers(const float *row, float *answers);
MODEL_API int32_t model_class(const float *row);

/* n rows, one after another: rows[n][MODEL_N_COLUMNS] to answers[n][MODEL_N_ANSWERS]. */
MODEL_API void model_points_many(const float *rows, size_t n, int32_t *points);
MODEL_API void model_answers_many(const float *rows, size_t n, float *answers);

#ifdef __cplusplus
}
#endif
#endif
