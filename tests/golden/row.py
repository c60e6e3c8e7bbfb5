"""A Program with thresholds of rows, made by hand: a table, two hidden layers, four classes.

Its file, id and answers are frozen beside this module, as those of `tiny` and `map` are.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from golden.map import NONE, ONE, bits, f4

from bimetal import format as bimetal_format
from bimetal import reference
from bimetal.program import (
    GE,
    MISSING,
    Column,
    Conv,
    Encode,
    Link,
    Program,
    RowThreshold,
)

FOLDER = Path(__file__).parent
ROWS = f4(-3, 0.5, 12, 0, 7, -1, np.nan, 2, 2, 9, 9, np.nan).reshape(4, 3)


def row_program() -> Program:
    """Return bits of three columns, six units above 1/2, four pixels of three above or at their mean."""
    i4, u1, u2 = np.int32, np.uint8, np.uint16
    column = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2], u2)
    kind = np.array([GE, GE, GE, MISSING, GE, GE, GE, GE, GE, GE, MISSING], u1)
    value = f4(-2, 0, 5, 0, 0, 0.5, 3, 8, 0, 10, 0)
    ops = (
        Encode(column, kind, value, np.zeros(0, u2), f4()),
        Conv(1, "ints", (1, 1, 11), ONE, ONE, ONE, NONE, "0", 1, bits("wide", 6, 11), np.zeros(6, i4)),
        RowThreshold(2, 6, 1, 2),
        Conv(3, "ints", (2, 3, 1), (2, 2), ONE, ONE, (1, 0, 0, 0), "-1", 1, bits("map", 3, 4), np.array([0, 1, -1], i4)),
        RowThreshold(4, 3, 0, 1),
        Conv(5, "ints", (1, 1, 12), ONE, ONE, ONE, NONE, "0", 1, bits("last", 4, 12), np.zeros(4, i4)),
        Link(6, "softmax", np.full(4, 1 / 8), np.zeros(4), np.zeros(0, i4), f4()),
    )  # fmt: skip
    columns = (Column("income"), Column("age"), Column("months"))
    classes = ("a", "b", "c", "d")
    provenance = {"made_by": "hand", "note": "golden"}
    bare = Program(columns, ops, classes, provenance)
    return Program(columns, ops, classes, provenance, ROWS, reference.run(bare, ROWS))


def write() -> None:
    """Freeze the golden file and what is known about it; for a new version of the format only."""
    program = row_program()
    data = bimetal_format.dumps(program)
    known = {
        "id": program.id,
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "answers": [[float(p).hex() for p in row] for row in program.golden_y],
    }
    (FOLDER / "row.bimetal").write_bytes(data)
    (FOLDER / "row.json").write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    write()
