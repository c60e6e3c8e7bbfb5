/* Self-test, then rows in and records out by blocks: any number of rows fits a small memory.

   Out go four int32 (a mark, the failures of the self-test, rows of the first block on which the other
   functions of the header contradict its points, bytes of stack), then a record a row. */
#include "stream.h"

enum { MARK = 0x62696d65, STACK_ROWS = 4 };

static MODEL_ROW rows[PLACE_BLOCK][MODEL_COLUMNS];
static struct place_record records[PLACE_BLOCK];

static int32_t deepest(int32_t n) {
    int32_t i, most = -1;
    int32_t points[MODEL_POINTS];
    for (i = 0; i < n && i < STACK_ROWS; i++) {
        int32_t stack = place_stack(rows[i], points);
        if (stack > most) {
            most = stack;
        }
    }
    return most;
}

static int is_contradiction(const MODEL_ROW row[MODEL_COLUMNS], const struct place_record* record) {
    float answers[MODEL_ANSWERS];
    int i, best = 0;
    place_answers(row, answers);
    for (i = 0; i < MODEL_ANSWERS; i++) {
        if (answers[i] < record->answers[i] || answers[i] > record->answers[i]) {
            return 1;
        }
        if (answers[i] > answers[best]) {
            best = i;
        }
    }
    return place_class(row) != best;
}

static int first_block(int32_t n) {
    int32_t head[4], i;
    head[0] = MARK;
    head[1] = (int32_t)place_selftest();
    head[2] = 0;
    for (i = 0; i < n; i++) {
        head[2] += is_contradiction(rows[i], &records[i]);
    }
    head[3] = deepest(n);
    return place_write(head, sizeof head);
}

int place_stream(void) {
    int is_first = 1;
    size_t n;
    while ((n = place_read(rows, sizeof rows) / sizeof rows[0]) > 0) {
        place_rows((const MODEL_ROW(*)[MODEL_COLUMNS])rows, records, (int32_t)n);
        if (is_first && first_block((int32_t)n)) {
            return 1;
        }
        is_first = 0;
        if (place_write(records, n * sizeof records[0])) {
            return 1;
        }
    }
    return is_first;
}
