"""Small scorecards made without training: what the tests of credit scoring stand on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.explain.form import points_of
from bimetal.finance.credit.policy import Policy
from bimetal.finance.credit.scaling import Scaling
from bimetal.program import EQ, GE, MISSING, Encode, Link, Program, Readout, Rules

NAMES = ("income", "age", "amount", "utilisation", "enquiries", "tenure", "ratio", "arrears")
HOUSING = ("own", "rent", "other's")
BUREAU_CODE = -9.0


def toy_program(seed: int = 0, n_columns: int = 6, n_rules: int = 30) -> Program:
    """A scorecard with thermometers, a category, missing values and a special code.

    The last column is the category `housing`; the one before has a special code and a missing bit.
    """
    rng = np.random.default_rng(seed)
    columns = [Column(name) for name in NAMES[: n_columns - 1]]
    columns.append(Column("housing", "category", HOUSING))
    tests: list[tuple[int, int, float]] = []
    for j in range(n_columns - 1):
        cuts = np.unique(np.round(rng.normal(50, 20, rng.integers(2, 6)), 1).astype(np.float32))
        tests += [(j, GE, float(cut)) for cut in cuts]
    special = n_columns - 2
    tests += [(special, EQ, BUREAU_CODE), (special, MISSING, 0.0)]
    tests += [(n_columns - 1, EQ, float(code)) for code in (0, 1, -1)]
    tests.sort(key=lambda test: test[0])
    encode = Encode(
        np.array([t[0] for t in tests], np.uint16),
        np.array([t[1] for t in tests], np.uint8),
        np.array([t[2] for t in tests], np.float32),
        np.array([special], np.uint16),
        np.array([BUREAU_CODE], np.float32),
    )
    n_bits = len(tests)
    fan_in = rng.integers(2, min(6, n_bits), n_rules)
    literals = [2 * rng.choice(n_bits, k, replace=False) + rng.integers(0, 2, k) for k in fan_in]
    rules = Rules(1, np.concatenate(literals).astype(np.uint16), fan_in.astype(np.uint8))
    weights = rng.integers(-1500, 1500, n_bits + n_rules)
    weights[n_bits:] //= 2
    readout = Readout((1, 2), weights[None].astype(np.int32), np.array([56_000], np.int32))
    scale, offset = Scaling().link()
    link = Link(
        3, "sigmoid", np.array([scale]), np.array([offset]), np.zeros(0, "i4"), np.zeros(0, "f4")
    )
    return Program(tuple(columns), (encode, rules, readout, link), ("good", "bad"))


def toy_rows(program: Program, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Raw rows: numbers around the cut-points, every category, missing and special where known."""
    rng = np.random.default_rng(seed)
    encode = program.ops[0]
    assert isinstance(encode, Encode)
    rows = rng.normal(50, 25, (n, program.n_columns)).round(1).astype(np.float32)
    for j, column in enumerate(program.columns):
        if column.kind == "category":
            rows[:, j] = rng.integers(-1, len(column.categories), n)
        for code in encode.special_value[encode.special_column == j]:
            rows[rng.random(n) < 0.1, j] = code
        if ((encode.column == j) & (encode.kind == MISSING)).any():
            rows[rng.random(n) < 0.1, j] = np.nan
    return rows


def toy_policy(program: Program, seed: int = 0, **given: Any) -> Policy:
    """A policy whose cut-off approves about 60 % and whose references lie just above it."""
    rows = toy_rows(program, 400, seed + 1)
    points = points_of(program, rows)
    cutoff = int(np.quantile(points, 0.4))
    above = np.flatnonzero(points >= cutoff)
    nearest = above[np.argsort(points[above], kind="stable")][:8]
    references = tuple(
        tuple(None if np.isnan(v) else float(v) for v in rows[i].tolist()) for i in nearest
    )
    names = [column.name for column in program.columns]
    options: dict[str, Any] = {
        "name": "toy",
        "cutoff": cutoff,
        "references": references,
        "texts": {name: f"{name.capitalize()} does not support the amount" for name in names},
        "codes": {name: f"R{j + 1:02d}" for j, name in enumerate(names)},
        "immutable": ("age",) if "age" in names else (),
        "limits": {"age": (18.0, 110.0), "income": (0.0, None)},
    }
    if "age" not in names:
        options["limits"] = {"income": (0.0, None)}
    return Policy(**(options | given))


def toy_model(seed: int = 0, n_columns: int = 6, n_rules: int = 30, **policy: Any) -> Any:
    """A `CreditModel` around `toy_program` and `toy_policy`."""
    from bimetal.finance.credit.model import CreditModel

    program = toy_program(seed, n_columns, n_rules)
    return CreditModel(program, toy_policy(program, seed, **policy))


def toy_table(program: Program, n: int, seed: int = 0) -> dict[str, list[Any]]:
    """The rows of `toy_rows` as a table that a person would write: names, categories, None."""
    rows = toy_rows(program, n, seed)
    table: dict[str, list[Any]] = {}
    for j, column in enumerate(program.columns):
        values = [None if np.isnan(v) else float(v) for v in rows[:, j].tolist()]
        if column.kind == "category":
            values = [
                None if v is None else (column.categories[int(v)] if v >= 0 else "houseboat")
                for v in values
            ]
        table[column.name] = values
    return table
