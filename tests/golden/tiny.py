"""The smallest Program that uses most of the house, made by hand: see docs/program.md.

Its file, id and answers are frozen beside this module. A change in any of them means that every
.bimetal file in the world would change its meaning: it takes a new version, not a new golden file.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from bimetal import format as bimetal_format
from bimetal import reference
from bimetal.program import Column, Dense, Encode, Link, Program, Readout, Rules

FOLDER = Path(__file__).parent
ROWS = np.array([[42, 2500, 0], [np.nan, -9, 1], [25, 1000, -1]], np.float32)


def tiny_program() -> Program:
    """Three columns, six bits, four neurons in two groups, two rules, one score."""
    columns = (
        Column("age"),
        Column("income"),
        Column("housing", "category", ("own", "rent", "frei für Gäste")),
    )
    encode = Encode(
        column=np.array([0, 0, 1, 1, 2, 2], np.uint16),
        kind=np.array([0, 2, 0, 1, 1, 1], np.uint8),
        value=np.array([30, 0, 2000, -9, 0, 1], np.float32),
        special_column=np.array([1], np.uint16),
        special_value=np.array([-9], np.float32),
    )
    dense = Dense(
        input=1,
        n_in=6,
        weights=np.array([[0b101], [0b010], [0b011], [0b100]], np.uint8),
        thresholds=np.array([1, 0, 1, 0], np.int32),
        groups=2,
    )
    rules = Rules(
        input=1, literals=np.array([0, 11, 4, 8], np.uint16), fan_in=np.array([2, 2], np.uint8)
    )
    readout = Readout(
        inputs=(1, 2, 3),
        weights=np.array([[-40, 25, -60, 35, -15, 10, -20, 30, 5, 45, -10, -50]], np.int16),
        bias=np.array([64], np.int32),
    )
    link = Link(
        input=4,
        kind="sigmoid",
        scale=np.array([1 / 64]),
        offset=np.array([-0.5]),
        knots=np.zeros(0, np.int32),
        values=np.zeros(0, np.float32),
    )
    ops = (encode, dense, rules, readout, link)
    provenance = {"made_by": "hand", "note": "golden"}
    bare = Program(columns, ops, ("good", "bad"), provenance)
    return Program(columns, ops, bare.classes, provenance, ROWS, reference.run(bare, ROWS))


def write() -> None:
    """Freeze the golden file and what is known about it; for a new version of the format only."""
    program = tiny_program()
    data = bimetal_format.dumps(program)
    known = {
        "id": program.id,
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "answers": [[float(p).hex() for p in row] for row in program.golden_y],
    }
    (FOLDER / "tiny.bimetal").write_bytes(data)
    (FOLDER / "tiny.json").write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    write()
