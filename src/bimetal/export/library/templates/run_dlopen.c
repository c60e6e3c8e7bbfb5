/* C: run_dlopen LIBRARY; loads it at run time as any program would. Rows of rows.f32 in, points.i32 and
 * answers.f32 out. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "library.h"

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void write_file(const char *path, const void *data, size_t size, size_t n)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, size, n, file) != n || fclose(file) != 0) exit(2);
}

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    FILE *file = fopen("rows.f32", "rb");
    if (library == NULL || file == NULL) {
        fprintf(stderr, "%s\n", library == NULL ? dlerror() : "no rows.f32");
        return 1;
    }
    void (*points_many)(const float *, size_t, int32_t *);
    void (*answers_many)(const float *, size_t, float *);
    int32_t (*selftest)(void);
    const char *(*id)(void);
    *(void **)&points_many = symbol(library, "model_points_many");
    *(void **)&answers_many = symbol(library, "model_answers_many");
    *(void **)&selftest = symbol(library, "model_selftest");
    *(void **)&id = symbol(library, "model_id");

    fseek(file, 0, SEEK_END);
    const size_t n = (size_t)ftell(file) / sizeof(float) / MODEL_N_COLUMNS;
    rewind(file);
    float *rows = malloc(n * MODEL_N_COLUMNS * sizeof *rows), *answers = malloc(n * MODEL_N_ANSWERS * sizeof *answers);
    int32_t *points = malloc(n * MODEL_N_POINTS * sizeof *points);
    if (!rows || !points || !answers || fread(rows, MODEL_N_COLUMNS * sizeof *rows, n, file) != n) return 3;
    points_many(rows, n, points);
    answers_many(rows, n, answers);
    write_file("points.i32", points, MODEL_N_POINTS * sizeof *points, n);
    write_file("answers.f32", answers, MODEL_N_ANSWERS * sizeof *answers, n);
    FILE *said = fopen("said.txt", "w");
    fprintf(said, "%s %d", id(), (int)selftest());
    fclose(said);
    return 0;
}
