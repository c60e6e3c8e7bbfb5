"""A Program over maps that has every operation of version 2, made by hand: see docs/program.md.

Its file, id and answers are frozen beside this module, as those of `tiny` are.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal import format as bimetal_format
from bimetal import reference
from bimetal.bits import pack
from bimetal.program import (
    Add,
    Affine,
    ByteConv,
    Column,
    Concat,
    Conv,
    Link,
    Planes,
    Pool,
    PReLU,
    Program,
    Quantize,
    Threshold,
)

FOLDER = Path(__file__).parent
ONE, NONE, ROUND = (1, 1), (0, 0, 0, 0), (1, 1, 1, 1)


def noise(name: str, *shape: int) -> NDArray[np.uint8]:
    """Return bytes that look random and are the same everywhere and for ever."""
    raw = hashlib.shake_256(name.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(raw, np.uint8).reshape(shape)


def bits(name: str, n_out: int, n: int) -> NDArray[np.uint8]:
    return pack(noise(name, n_out, n) < 128)


ROWS = noise("rows", 3, 72).astype(np.float32)
ROWS[0, :4] = [np.nan, np.inf, 254.5, -0.5]
ROWS[1, ::3] += 0.5
ROWS[2, :36] = -1


def f4(*x: float) -> NDArray[np.float32]:
    return np.array(x, np.float32)


def map_program() -> Program:
    """Return a net of an image of 6 x 6 pixels and two channels: two stems, a shortcut, 5 classes."""
    i4, u1, u2 = np.int32, np.uint8, np.uint16
    ops = (
        Quantize(0, f4(1, 0.5), f4(0, 16)),
        ByteConv(
            1, "ints", (6, 6, 2), (3, 3), ONE, ONE, ROUND, 1, np.array([0, 16], u1),
            (noise("stem", 4, 18) // 2).astype(np.int8) - 63,
            np.array([1000, -70_000, 0, 5], i4),
        ),
        Affine(2, f4(1e-4, -2e-4, 3e-4, 1e-4), f4(1.5, -3, 2, 4)),
        Planes(
            1, 2, np.array([0, 0, 1, 1], u2), np.array([255, 255, 128, 1], u1),
            np.array([64, 192, 128, 1], u1),
        ),
        Conv(4, "ints", (6, 6, 4), (3, 3), ONE, ONE, ROUND, "0", 2, bits("first", 4, 18), np.array([0, 1, -2, 3], i4)),
        Affine(5, f4(0.5, 1, -1, 2), f4(0, 0.25, 0, -1)),
        Add((3, 6)),
        PReLU(7, f4(0.5, 0, -1, 2), f4(0.25, 0, -1, 0.125), f4(0, 0, 1, -2)),
        Threshold(8, f4(1, 8, 13, 12), np.array([0, 1, 0, 0], u1)),
        Pool(9, "max", (6, 6, 4), (2, 2), (2, 2), NONE),
        Conv(
            4, "bits", (6, 6, 4), (2, 2), (2, 2), (2, 2), (1, 1, 0, 0), "+1", 1, bits("second", 3, 16),
            np.array([0, -2, 1], i4),
        ),
        Concat((10, 11), (4, 3)),
        Conv(12, "ints", (3, 3, 7), ONE, ONE, ONE, NONE, "-1", 1, bits("third", 5, 7), np.array([0, 0, 1, 0, -1], i4)),
        Pool(13, "sum", (3, 3, 5), (3, 3), ONE, NONE),
        Link(14, "softmax", np.full(5, 1 / 16), np.zeros(5), np.zeros(0, i4), np.zeros(0, np.float32)),
    )  # fmt: skip
    columns = (Column("image", "array", size=72),)
    classes = ("zero", "one", "two", "three", "four")
    provenance = {"made_by": "hand", "note": "golden"}
    bare = Program(columns, ops, classes, provenance)
    return Program(columns, ops, classes, provenance, ROWS, reference.run(bare, ROWS))


def write() -> None:
    """Freeze the golden file and what is known about it; for a new version of the format only."""
    program = map_program()
    data = bimetal_format.dumps(program)
    known = {
        "id": program.id,
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "answers": [[float(p).hex() for p in row] for row in program.golden_y],
    }
    (FOLDER / "map.bimetal").write_bytes(data)
    (FOLDER / "map.json").write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    write()
