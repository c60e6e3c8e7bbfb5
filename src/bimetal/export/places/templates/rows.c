/* Rows through the model, one by one. It stands in a file of its own, so that no compiler can merge
   it with the model: an instruction counter knows by this function's addresses when a row is done. */
#include "model.h"

void place_rows(const MODEL_ROW rows[][MODEL_COLUMNS], struct place_record records[], int32_t n) {
    int32_t i;
    for (i = 0; i < n; i++) {
        place_points(rows[i], records[i].points);
#ifndef PLACE_NO_DOUBLE
        place_link(records[i].points, records[i].answers);
#endif
    }
}
