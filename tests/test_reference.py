"""The oracle, checked by hand and against plainer Python than its own."""

from fractions import Fraction

import numpy as np
import pytest
from golden.tiny import ROWS, tiny_program
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.program import EQ, GE, MISSING, Dense, Encode, Link, Op, Program, Readout, Rules
from bimetal.reference import exp, run, trace

NAN = np.nan
SEEDS = st.integers(0, 2**32 - 1)


def bits_of(n: int) -> Encode:
    """Return an Encode that makes bit i from column i: on where the number is at least 1."""
    return Encode(
        np.arange(n, dtype="u2"), np.zeros(n, "u1"), np.ones(n, "f4"), np.zeros(0, "u2"),
        np.zeros(0, "f4"),
    )  # fmt: skip


def columns(n: int) -> tuple[Column, ...]:
    return tuple(Column(f"x{i}") for i in range(n))


def link(kind: str, n: int = 1, scale: float = 1.0, **more: list[float]) -> Link:
    return Link(
        0, kind, np.full(n, scale), np.zeros(n),  # type: ignore[arg-type]
        np.array(more.get("knots", []), "i4"), np.array(more.get("values", []), "f4"),
    )  # fmt: skip


def hidden(op: Op, bits: np.ndarray) -> np.ndarray:
    """Return what one operation on bits makes of `bits`."""
    n = bits.shape[1]
    made = len(op.thresholds) if isinstance(op, Dense) else len(op.fan_in)  # type: ignore[union-attr]
    readout = Readout((2,), np.zeros((1, made), "i1"), np.zeros(1, "i4"))
    end = Link(3, "identity", np.ones(1), np.zeros(1), np.zeros(0, "i4"), np.zeros(0, "f4"))
    program = Program(columns(n), (bits_of(n), op, readout, end))
    return trace(program, bits.astype("f4"))[2]


def answers(end: Link, points: list[list[int]]) -> np.ndarray:
    """Return what a Link makes of these points, one list a row."""
    return np.concatenate([answer(end, np.array(row, "i4")) for row in points])


def answer(end: Link, points: np.ndarray) -> np.ndarray:
    readout = Readout((1,), np.zeros((len(points), 1), "i1"), points)
    last = Link(2, end.kind, end.scale, end.offset, end.knots, end.values)
    return run(Program(columns(1), (bits_of(1), readout, last)), [[0]])


# -- by hand


def test_the_tiny_program_by_hand() -> None:
    _, bits, neurons, rules, points, _ = trace(tiny_program(), ROWS)
    assert bits.astype(int).tolist() == [[1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1], [0] * 6]
    assert neurons.astype(int).tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert rules.astype(int).tolist() == [[1, 1], [0, 0], [0, 0]]
    assert points.tolist() == [[-126], [164], [64]]


@pytest.mark.parametrize(
    ("kind", "value", "raw", "fires"),
    [
        (GE, 3, 3, True),
        (GE, 3, np.nextafter(np.float32(3), np.float32(0)), False),
        (GE, 3, NAN, False),
        (GE, 3, np.inf, True),
        (GE, 3, 9, False),  # 9 is the special code below
        (GE, 0, -0.0, True),
        (EQ, 9, 9, True),
        (EQ, 9, NAN, False),
        (EQ, 0, -0.0, True),
        (MISSING, 0, NAN, True),
        (MISSING, 0, 9, False),
        (MISSING, 0, 1, False),
    ],
)
def test_one_encoder_bit(kind: int, value: float, raw: float, fires: bool) -> None:
    encode = Encode(
        np.array([0], "u2"), np.array([kind], "u1"), np.array([value], "f4"),
        np.array([0], "u2"), np.array([9], "f4"),
    )  # fmt: skip
    readout = Readout((1,), np.ones((1, 1), "i1"), np.zeros(1, "i4"))
    end = Link(2, "identity", np.ones(1), np.zeros(1), np.zeros(0, "i4"), np.zeros(0, "f4"))
    answer = run(Program(columns(1), (encode, readout, end)), [[raw]])
    assert answer.tolist() == [[float(fires)]]


def test_a_special_code_of_one_column_is_a_number_in_another() -> None:
    encode = Encode(
        np.array([0, 1], "u2"), np.zeros(2, "u1"), np.zeros(2, "f4"),
        np.array([0], "u2"), np.array([9], "f4"),
    )  # fmt: skip
    readout = Readout((1,), np.array([[1, 2]], "i1"), np.zeros(1, "i4"))
    end = Link(2, "identity", np.ones(1), np.zeros(1), np.zeros(0, "i4"), np.zeros(0, "f4"))
    assert run(Program(columns(2), (encode, readout, end)), [[9, 9]]).tolist() == [[2.0]]


# -- against plainer oracles


@given(SEEDS, st.integers(1, 3), st.integers(1, 70), st.integers(1, 4))
@settings(max_examples=60)
def test_dense_equals_a_float_product_of_signs(seed: int, groups: int, k: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.random((6, groups * k)) < 0.5
    weights = rng.random((groups * m, k)) < 0.5
    thresholds = rng.integers(-1, k + 1, groups * m).astype("i4")
    op = Dense(1, groups * k, pack(weights), thresholds, groups)
    fired = hidden(op, bits)
    for o in range(groups * m):
        g = o // m
        a = np.where(bits[:, g * k : (g + 1) * k], 1.0, -1.0)
        dot = a @ np.where(weights[o], 1.0, -1.0)
        np.testing.assert_array_equal(fired[:, o], dot >= k - 2 * thresholds[o])


def test_a_threshold_of_minus_one_is_always_off_and_of_n_always_on() -> None:
    bits = np.array([[True, False, True], [False, False, False]])
    weights = pack(np.zeros((2, 3), bool))
    op = Dense(1, 3, weights, np.array([-1, 3], "i4"))
    assert hidden(op, bits).tolist() == [[False, True], [False, True]]


@given(SEEDS, st.integers(1, 30), st.integers(1, 8))
@settings(max_examples=60)
def test_rules_equal_python_all(seed: int, n: int, n_rules: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.random((8, n)) < 0.5
    rules = [rng.integers(0, 2 * n, rng.integers(1, 5)).tolist() for _ in range(n_rules)]
    literals = np.array([x for rule in rules for x in rule], "u2")
    op = Rules(1, literals, np.array([len(rule) for rule in rules], "u1"))
    expected = [[all(row[x // 2] != x % 2 for x in rule) for rule in rules] for row in bits]
    np.testing.assert_array_equal(hidden(op, bits), expected)


@given(SEEDS, st.sampled_from(["i1", "i2", "i4"]))
@settings(max_examples=30)
def test_readout_equals_sums_of_python_integers(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    limit = min(np.iinfo(dtype).max, 10**8)
    weights = rng.integers(-limit, limit, (2, 9)).astype(dtype)
    bias = rng.integers(-(10**9), 10**9, 2).astype("i4")
    end = Link(2, "identity", np.ones(2), np.zeros(2), np.zeros(0, "i4"), np.zeros(0, "f4"))
    program = Program(columns(9), (bits_of(9), Readout((1,), weights, bias), end))
    bits = rng.random((4, 9)) < 0.5
    points = trace(program, bits.astype("f4"))[2]
    for row, came in zip(bits, points, strict=True):
        for c in range(2):
            on = (int(w) for w, b in zip(weights[c], row, strict=True) if b)
            assert came[c] == int(bias[c]) + sum(on)


def test_rows_do_not_know_each_other() -> None:
    together = run(tiny_program(), ROWS)
    for i, row in enumerate(ROWS):
        np.testing.assert_array_equal(run(tiny_program(), row[None]), together[i : i + 1])


def test_no_rows_give_no_answers() -> None:
    assert run(tiny_program(), np.zeros((0, 3), "f4")).shape == (0, 2)


@pytest.mark.parametrize("shape", [(3,), (1, 2), (1, 4), (1, 1, 3)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"rows must have shape \(n_rows, 3\)"):
        run(tiny_program(), np.zeros(shape, "f4"))


# -- the link


def exact_exp(x: float) -> Fraction:
    """Return e**x to far more digits than float64 has, by e**(x / 2**m) squared m times."""
    small = Fraction(x) / 2**10
    term = total = Fraction(1)
    for i in range(1, 40):
        term = (term * small / i).limit_denominator(10**60)
        total += term
    for _ in range(10):
        total = Fraction(round(total * total * 10**400), 10**400)
    return total


@pytest.mark.parametrize("x", [0.0, -1e-9, -0.3465, -0.3466, -1.0, -2.5, -17.125, -100.7, -699.9])
def test_exp_is_within_5e_16_of_the_truth(x: float) -> None:
    truth = exact_exp(x)
    came = Fraction(float(exp(np.array([x]))[0]))
    assert abs(came - truth) <= truth * Fraction(5, 10**16)


def test_exp_agrees_with_the_system_to_two_units_in_the_last_place() -> None:
    x = -np.geomspace(1e-12, 699, 20_001)
    assert (np.abs(exp(x) / np.exp(x) - 1) < 5e-16).all()


def test_exp_below_minus_700_counts_as_minus_700() -> None:
    np.testing.assert_array_equal(exp(np.array([-1e300, -701.0])), exp(np.array([-700.0] * 2)))
    assert float(exp(np.array([0.0]))[0]) == 1.0


def test_a_sigmoid_never_falls_as_points_rise_and_its_halves_mirror() -> None:
    points = sorted({*range(-600, 601), -(2**31) + 1, 2**31 - 1})
    p = answers(link("sigmoid", scale=1 / 32), [[x] for x in points])
    assert (np.diff(p[:, 1]) >= 0).all()
    assert (np.diff(p[:, 0]) <= 0).all()
    np.testing.assert_array_equal(p[:, 0], p[::-1, 1])
    assert p[len(points) // 2].tolist() == [0.5, 0.5]
    assert p[-1].tolist() == [0.0, 1.0]


def test_a_sigmoid_is_the_textbook_one_to_float32() -> None:
    points = np.arange(-300, 301)
    p = answers(link("sigmoid", scale=1 / 16), points[:, None].tolist())[:, 1]
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-points / 16)), rtol=1e-7)


def test_a_softmax_of_ties_is_even_and_shifts_do_not_matter() -> None:
    p = answers(link("softmax", 4), [[5, 5, 5, 5], [9, 7, 7, 0], [109, 107, 107, 100]])
    assert p[0].tolist() == [0.25] * 4
    assert p[1, 1] == p[1, 2]
    np.testing.assert_array_equal(p[1], p[2])


def test_softmax_rows_sum_to_one_to_float32() -> None:
    rng = np.random.default_rng(0)
    points = rng.integers(-(2**30), 2**30, (50, 5)).tolist()
    p = answers(link("softmax", 5, scale=1e-8), points)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=3e-7)


def test_a_table_counts_the_knots_at_or_below_the_points() -> None:
    end = link("table", knots=[-5, 0, 7], values=[0.125, 0.25, 0.5, 1.0])
    p = answers(end, [[-6], [-5], [-1], [0], [6], [7], [2**31 - 1]])
    assert p[:, 1].tolist() == [0.125, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0]
    np.testing.assert_array_equal(p[:, 0], np.float32(1) - p[:, 1])


def test_a_table_without_knots_is_a_constant() -> None:
    assert answers(link("table", values=[0.25]), [[3], [-3]]).tolist() == [[0.75, 0.25]] * 2


def test_an_identity_is_one_product_one_sum_and_one_rounding() -> None:
    end = Link(
        0, "identity", np.array([0.1]), np.array([0.7]), np.zeros(0, "i4"), np.zeros(0, "f4")
    )
    assert answers(end, [[3]]).tolist() == [[float(np.float32(0.7 + 0.1 * 3))]]


def test_an_identity_beyond_float32_is_infinite() -> None:
    assert answers(link("identity", scale=1e279), [[1], [-1]]).tolist() == [[np.inf], [-np.inf]]
