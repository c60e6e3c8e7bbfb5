"""A Program of look-up tables, made by hand: two columns, tables of one, three and eight inputs, one score.

Its file, id and answers are frozen beside this module, as those of `tiny`, `map` and `row` are.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from golden.map import bits, f4

from bimetal import format as bimetal_format
from bimetal import reference
from bimetal.program import EQ, GE, MISSING, Column, Encode, Link, Lut, Program, Readout

FOLDER = Path(__file__).parent
ROWS = f4(-3, 0.5, 12, 0, 7, -1, np.nan, 2, 2, 9, 9, np.nan).reshape(6, 2)


def wired(n_out: int, fan_in: int, n_in: int) -> np.ndarray:
    """Return places that walk through all input bits, in steps of seven."""
    return ((np.arange(n_out * fan_in) * 7 + 3) % n_in).astype("u2").reshape(n_out, fan_in)


def lut_program() -> Program:
    """Return ten tests, twelve tables of three inputs, five of eight, seven of one, and a score."""
    column = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], "u2")
    kind = np.array([GE, GE, GE, EQ, MISSING, GE, GE, GE, GE, MISSING], "u1")
    value = f4(-2, 0, 5, 2, 0, -1, 0, 0.5, 8, 0)
    ops = (
        Encode(column, kind, value, np.zeros(0, "u2"), f4()),
        Lut(1, wired(12, 3, 10), bits("three", 12, 8)),
        Lut(2, wired(5, 8, 12), bits("eight", 5, 256)),
        Lut(1, wired(7, 1, 10), bits("one", 7, 2)),
        Readout((2, 3, 4), (np.arange(24) * 37 % 61 - 30).astype("i1")[None], np.array([3], "i4")),
        Link(5, "sigmoid", np.full(1, 1 / 32), np.zeros(1), np.zeros(0, "i4"), f4()),
    )
    columns = (Column("imbalance"), Column("spread"))
    provenance = {"made_by": "hand", "note": "golden"}
    bare = Program(columns, ops, ("down", "up"), provenance)
    return Program(columns, ops, ("down", "up"), provenance, ROWS, reference.run(bare, ROWS))


def write() -> None:
    """Freeze the golden file and what is known about it; for a new version of the format only."""
    program = lut_program()
    data = bimetal_format.dumps(program)
    known = {
        "id": program.id,
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "answers": [[float(p).hex() for p in row] for row in program.golden_y],
    }
    (FOLDER / "lut.bimetal").write_bytes(data)
    (FOLDER / "lut.json").write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    write()
