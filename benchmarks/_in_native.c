/* run ROWS TURNS: nanoseconds a row of an exported header, the least of many short turns. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net.h"

#define AT_ONCE 50

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    const size_t n = argc == 3 ? (size_t)atol(argv[1]) : 0;
    float *rows = malloc((n * NET_N_COLUMNS + 1) * sizeof *rows);
    volatile int32_t sink = 0;
    double least = 1e18;
    FILE *file = fopen("rows.f32", "rb");
    if (n <= AT_ONCE || !rows || !file || fread(rows, sizeof *rows * NET_N_COLUMNS, n, file) != n) return 1;
    for (long turn = 0; turn < atol(argv[2]); turn++) {
        const float *some = rows + (size_t)turn * AT_ONCE % (n - AT_ONCE) * NET_N_COLUMNS;
        const double begin = now();
        for (int i = 0; i < AT_ONCE; i++) {
            int32_t points[NET_N_POINTS];
            net_points(some + i * NET_N_COLUMNS, points);
            sink += points[0];
        }
        const double each = (now() - begin) / AT_ONCE;
        least = each < least ? each : least;
    }
    printf("%.1f\n", least);
    return 0;
}
