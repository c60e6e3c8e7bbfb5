"""Small Programs for the tests of exporters: every test of an `Encode`, layers, and a link of each kind."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from strategies import random_dense, random_lut, random_readout, random_rules

from bimetal.columns import Column
from bimetal.ops import EQ, GE, MISSING, Encode, Link, Op, Readout, RowThreshold
from bimetal.program import Program

NO_KNOTS, NO_VALUES = np.zeros(0, np.int32), np.zeros(0, np.float32)

HOSTILE = (
    '"; DROP TABLE applications; --',
    "it's 100 % \\ $1 :name ?",
    "line\nbreak\r\ttab */ /* \u2028",
    "select",
    "raw",
    "row_key",
    "x0",
    "v1_0",
    "points_0",
    "Größe 身長 \U0001f4b6",
    "<!-- ]]> </script> & &amp; \\u000a \\u0022",
    " ",
)
"""Column names that would break a careless writer."""

HOSTILE_VALUES = (
    "",
    "'",
    '"',
    "\\",
    "\\' OR 1=1 --",
    "a\nb",
    "\\u000a",
    "é\U0001f4b6",
    "</DataField>",
    "-1",
    "NULL",
)
"""Categories that would."""


def encode(
    tests: Sequence[tuple[int, int, float]], specials: Sequence[tuple[int, float]] = ()
) -> Encode:
    """Return an `Encode` from (column, kind, value) and (column, special code)."""
    column, kind, value = zip(*tests, strict=True)
    return Encode(
        np.array(column, np.uint16),
        np.array(kind, np.uint8),
        np.array(value, np.float32),
        np.array([c for c, _ in specials], np.uint16),
        np.array([v for _, v in specials], np.float32),
    )


def link(source: int, kind: str, scale: Sequence[float], offset: Sequence[float]) -> Link:
    """Return a `Link` without knots."""
    return Link(source, kind, np.array(scale, float), np.array(offset, float), NO_KNOTS, NO_VALUES)  # type: ignore[arg-type]


def bits_as_points(
    columns: Sequence[Column], first: Encode, classes: tuple[str | int | float | bool, ...] = ()
) -> Program:
    """Return a Program whose points show each bit of an `Encode`: an output for every bit."""
    n = len(first.column)
    readout = Readout((1,), np.eye(n, dtype=np.int8), np.zeros(n, np.int32))
    return Program(tuple(columns), (first, readout, link(2, "identity", [1] * n, [0] * n)), classes)


def asked_in_every_way(n_columns: int) -> Encode:
    """Return two cut-points, a test for equality and one for missing of each column, and a special code."""
    tests = [
        (j, k, v)
        for j in range(n_columns)
        for k, v in ((GE, 0.1), (GE, 1.0), (EQ, 0.0), (MISSING, 0.0))
    ]
    return encode(tests, [(0, 2.0)])


def layered(
    columns: Sequence[Column],
    seed: int = 0,
    classes: tuple[str, ...] = ("good", "bad"),
    norms_rows: bool = True,
) -> Program:
    """Return a Program with every layer that reads bits, a row that norms itself or not, and a link."""
    rng = np.random.default_rng(seed)
    n = 4 * len(columns)
    ops: list[Op] = [
        asked_in_every_way(len(columns)),
        random_dense(rng, 1, n, 70, 2),
        random_rules(rng, 1, n, 9),
        random_lut(rng, 2, 70, 11, 6),
        random_lut(rng, 2, 70, 5, 8),
    ]
    sizes = {2: 70, 3: 9, 4: 11, 5: 5}
    if norms_rows:
        signs = rng.choice([-1, 1], (6, n)).astype(np.int8)
        ops += [Readout((1,), signs, np.zeros(6, np.int32)), RowThreshold(6, 6, 1, 2)]
        sizes[7] = 6
    n_points = max(len(classes), 2)
    ops.append(random_readout(rng, tuple(sizes), sum(sizes.values()), n_points, np.int16))
    ops.append(link(len(ops), "softmax", [1e-4] * n_points, [0.1] * n_points))
    return Program(tuple(columns), tuple(ops), classes)


def wide_net(widths: Sequence[int], n_columns: int, n_classes: int = 3, seed: int = 0) -> Program:
    """Return a net of dense layers over thermometers, as it is timed."""
    rng = np.random.default_rng(seed)
    column = np.sort(np.arange(widths[0]) % n_columns)
    cuts = rng.normal(0, 1, widths[0])
    ops: list[Op] = [encode([(int(j), GE, v) for j, v in zip(column, cuts, strict=True)])]
    for a, b in pairwise(widths):
        ops.append(random_dense(rng, len(ops), a, b, 1))
    ops.append(random_readout(rng, (len(ops),), widths[-1], n_classes, np.int8))
    ops.append(link(len(ops), "softmax", [1e-3] * n_classes, [0.0] * n_classes))
    columns = tuple(Column(f"x{i}") for i in range(n_columns))
    return Program(columns, tuple(ops), tuple(f"class {c}" for c in range(n_classes)))
