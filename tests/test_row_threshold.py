"""Thresholds of rows: by fractions, by laws, at ties and at the ends of int32, the same everywhere."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from strategies import random_encode, random_rows, seeds

from bimetal import reference
from bimetal.bits import pack
from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.nn.row_threshold import RowThreshold as Layer
from bimetal.program import (
    Add,
    ByteConv,
    Conv,
    Encode,
    Link,
    Op,
    Pool,
    Program,
    Quantize,
    Readout,
    RowThreshold,
)
from bimetal.reference.maps import row_threshold
from bimetal.runtime import KERNELS, Engine, isas

INT32 = np.iinfo(np.int32)
ONE, NONE = (1, 1), (0, 0, 0, 0)
NO_INTS, NO_FLOATS = np.zeros(0, np.int32), np.zeros(0, np.float32)
LAW = settings(max_examples=60, deadline=None)
RATIOS = st.sampled_from([(0, 1), (1, 1), (1, 2), (3, 2), (2, 1), (17, 13), (255, 1), (1, 255)])


def fires(x: Any, top: int, bottom: int) -> NDArray[np.bool_]:
    """Return what the reference says of pixels (n_pixels, n)."""
    x = np.asarray(x, np.int32)
    return row_threshold(RowThreshold(0, x.shape[1], top, bottom), x)


def fires_in_fractions(x: Any, top: int, bottom: int) -> list[list[bool]]:
    """Mean, variance, comparison: as the sentence says it."""
    answers = []
    for row in np.asarray(x).tolist():
        most = (2**31 - 1) // len(row)
        row = [Fraction(min(max(v, -most), most)) for v in row]
        mean = sum(row) / len(row)
        variance = sum((v - mean) ** 2 for v in row) / len(row)
        least = Fraction(top, bottom) ** 2 * variance
        is_there = variance > 0 or top == 0
        answers.append([is_there and v >= mean and (v - mean) ** 2 >= least for v in row])
    return answers


def random_pixels(rng: np.random.Generator, n_pixels: int, n: int) -> NDArray[np.int32]:
    """Return pixels of many spreads and middles: alike but for a few, alike, and at the ends of int32."""
    most = (2**31 - 1) // n
    spread = int(min(most, rng.choice([1, 2, 5, 60, 5000, most])))
    middle = int(rng.integers(-(most - spread), most - spread + 1)) if rng.random() < 0.3 else 0
    x = rng.integers(-spread, spread + 1, (n_pixels, n)) + middle
    few = rng.random(x.shape) < rng.choice([0.0, 0.1, 0.9])
    x[few] = rng.choice([middle, most, -most, INT32.min, INT32.max, most + 1], int(few.sum()))
    return np.clip(x, INT32.min, INT32.max).astype(np.int32)


# -- what it means


@LAW
@given(seeds(), st.integers(1, 40), RATIOS)
def test_it_is_a_comparison_of_standard_deviations(
    seed: int, n: int, ratio: tuple[int, int]
) -> None:
    x = random_pixels(np.random.default_rng(seed), 4, n)
    assert fires(x, *ratio).tolist() == fires_in_fractions(x, *ratio)


@LAW
@given(seeds(), st.integers(1, 40), RATIOS, st.integers(1, 9), st.integers(-99, 99))
def test_scaling_shifting_and_shuffling_a_row_change_nothing(
    seed: int, n: int, ratio: tuple[int, int], scale: int, shift: int
) -> None:
    rng = np.random.default_rng(seed)
    x, order = rng.integers(-50, 51, (3, n)), rng.permutation(n)
    expected = fires(x, *ratio)
    assert_array_equal(fires(scale * x + shift, *ratio), expected)
    assert_array_equal(fires(x[:, order], *ratio), expected[:, order])
    multiple = tuple(k * (255 // max(ratio)) for k in ratio)
    assert_array_equal(fires(x, *multiple), expected)


TIES = [(2, 1, 1, 5), (1, 1, 1, 2), (3, 2, 4, 13), (17, 13, 169, 458), (15, 1, 1, 226), (1, 3, 9, 10)]  # fmt: skip


@pytest.mark.parametrize(("top", "bottom", "n_ones", "n"), TIES)
def test_at_the_threshold_it_fires_and_a_hair_above_it_does_not(
    top: int, bottom: int, n_ones: int, n: int
) -> None:
    # k ones among n elements lie √((n − k) / k) above their mean
    assert Fraction(top, bottom) ** 2 == Fraction(n - n_ones, n_ones)
    most = (2**31 - 1) // n
    for low, high in ((0, 1), (-1, 1), (7, 4000), (-most, most)):
        x = np.full((1, n), low)
        x[0, :n_ones] = high
        assert fires(x, top, bottom).sum() == n_ones
        above = Fraction(top, bottom) + Fraction(1, 255 * 255)
        above = above.limit_denominator(255)
        if above > Fraction(top, bottom) and above.numerator <= 255:
            assert not fires(x, above.numerator, above.denominator).any()


def test_equal_elements_fire_all_at_zero_and_else_not_at_all() -> None:
    for value in (0, 5, -7, INT32.min, INT32.max):
        x = np.full((2, 9), value)
        assert fires(x, 0, 1).all()
        assert not fires(x, 1, 255).any()
    assert fires([[3], [-3]], 0, 7).all()
    assert not fires([[3], [-3]], 1, 255).any()


def test_no_element_of_n_lies_further_out_than_the_root_of_n_less_one() -> None:
    x = np.zeros((1, 26), int)
    x[0, 3] = 1
    assert fires(x, 5, 1)[0].nonzero()[0].tolist() == [3]
    assert not fires(x, 255, 50).any()


def test_elements_beyond_the_range_count_as_its_ends() -> None:
    most = (2**31 - 1) // 3
    x = [[INT32.max, INT32.min, 0], [most, -most, 0], [most + 1, -most - 1, 0]]
    for ratio in ((0, 1), (1, 1), (6, 5), (5, 4)):
        assert len(np.unique(fires(x, *ratio), axis=0)) == 1


# -- every engine


def constant_pixels(x: NDArray[np.int32], top: int, bottom: int) -> Program:
    """Return a Program whose answers are the bits of these pixels, whatever the row: −1 and +1."""
    n = x.size
    half = (x.astype(np.int64) // 2).ravel()
    rest = x.ravel() - half
    any_bit = Encode(*(np.zeros(1, d) for d in ("u2", "u1", "f4")), np.zeros(0, "u2"), NO_FLOATS)
    weights = np.zeros((n, 1), np.int8)
    ops = (
        any_bit,
        Readout((1,), weights, half.astype(np.int32)),
        Readout((1,), weights, rest.astype(np.int32)),
        Add((2, 3)),
        RowThreshold(4, x.shape[1], top, bottom),
        Pool(5, "sum", (1, 1, n), ONE, ONE, NONE),
        Link(6, "identity", np.ones(n), np.zeros(n), NO_INTS, NO_FLOATS),
    )
    return Program((Column("any"),), ops)


@pytest.mark.parametrize("isa", isas())
@settings(max_examples=40, deadline=None)
@given(seed=seeds(), n=st.sampled_from([1, 2, 3, 7, 31, 32, 33, 100, 513]), ratio=RATIOS)
def test_pixels_of_any_spread_fire_alike_in_every_engine(
    isa: str, seed: int, n: int, ratio: tuple[int, int]
) -> None:
    x = random_pixels(np.random.default_rng(seed), 3, n)
    answers = Engine(constant_pixels(x, *ratio), isa=isa).run(np.zeros((2, 1), np.float32))
    assert_array_equal(answers, np.tile(np.where(fires(x, *ratio).ravel(), 1, -1), (2, 1)))


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize(("top", "bottom", "n_ones", "n"), TIES)
def test_ties_are_decided_alike_in_every_engine(
    isa: str, top: int, bottom: int, n_ones: int, n: int
) -> None:
    most = (2**31 - 1) // n
    x = np.array([[high] * n_ones + [low] * (n - n_ones)
                  for low, high in ((0, 1), (most - 1, most), (-most, most), (-3, 1000))], np.int32)  # fmt: skip
    answers = Engine(constant_pixels(x, top, bottom), isa=isa).run(np.zeros((1, 1), np.float32))
    assert (answers == 1).sum() == 4 * n_ones
    assert_array_equal(answers[0] > 0, fires(x, top, bottom).ravel())


def dense(source: int, n_in: int, n_out: int, rng: np.random.Generator) -> Conv:
    weights, bias = pack(rng.random((n_out, n_in)) < 0.5), np.zeros(n_out, np.int32)
    return Conv(source, "ints", (1, 1, n_in), ONE, ONE, ONE, NONE, "0", 1, weights, bias)


def deep_net(stem: list[Op], columns: tuple[Column, ...], n: int, rng: Any) -> Program:
    """Return a net of two hidden layers of thresholds of rows behind a stem that makes n sums."""
    ops = [*stem, RowThreshold(len(stem), n, 3, 2)]
    ops += [dense(len(ops), n, 90, rng)]
    ops += [RowThreshold(len(ops), 90, 1, 2)]
    ops += [dense(len(ops), 90, 5, rng)]
    link = Link(len(ops), "identity", np.full(5, 0.5), np.zeros(5), NO_INTS, NO_FLOATS)
    return Program(columns, (*ops, link))


def pictures_net(rng: np.random.Generator) -> tuple[Program, NDArray[np.float32]]:
    weights = np.where(rng.random((130, 784)) < 0.5, 1, -1).astype(np.int8)
    first = ByteConv(1, "ints", (1, 1, 784), ONE, ONE, ONE, NONE, 1, np.zeros(784, np.uint8), weights,
                     np.zeros(130, np.int32))  # fmt: skip
    stem = [Quantize(0, np.ones(1, np.float32), np.zeros(1, np.float32)), first]
    rows = rng.integers(0, 256, (70, 784)).astype(np.float32)
    return deep_net(stem, (Column("image", "array", size=784),), 130, rng), rows


def table_net(rng: np.random.Generator) -> tuple[Program, NDArray[np.float32]]:
    stem = [random_encode(rng, 9, 75), dense(1, 75, 128, rng)]
    columns = tuple(Column(f"x{i}") for i in range(9))
    return deep_net(stem, columns, 128, rng), random_rows(rng, 70, 9)


@pytest.mark.parametrize("isa", isas())
@pytest.mark.parametrize("build", [pictures_net, table_net])
def test_nets_of_rows_and_of_pictures_answer_as_the_reference(isa: str, build: Any) -> None:
    program, rows = build(np.random.default_rng(0))
    assert program.version == 3
    expected = reference.run(program, rows)
    assert len(np.unique(expected, axis=0)) > 5
    for kernel in ("", *KERNELS):
        kernels = dict.fromkeys(range(len(program.ops)), kernel) if kernel else {}
        for threads in (1, 3):
            engine = Engine(program, isa=isa, threads=threads, kernels=kernels)
            assert_array_equal(engine.run(rows), expected)
            each = np.concatenate([engine.run(row[None]) for row in rows[:9]])
            assert_array_equal(each, expected[:9])


# -- the layer of torch


@LAW
@given(seeds(), st.integers(1, 40), st.integers(0, 40), st.integers(1, 16), st.integers(-12, 3))
def test_the_layer_in_evaluation_says_what_the_operation_says(
    seed: int, n: int, top: int, bottom: int, exponent: int
) -> None:
    ratio = Fraction(top, bottom)
    x = random_pixels(np.random.default_rng(seed), 4, n)
    most = min(2**24, (2**31 - 1) // n)  # what float32 holds
    x = np.clip(x, -most, most)
    layer = Layer(ratio, "0/1").eval()
    expected = fires(x, ratio.numerator, ratio.denominator)
    assert_array_equal(layer(torch.tensor(x).float() * 2.0**exponent).numpy(), expected)


@LAW
@given(seeds(), st.integers(1, 30), st.sampled_from([0, 0.5, 1.5, 2]))
def test_rows_that_are_not_whole_are_decided_exactly_too(
    seed: int, n: int, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    few = rng.normal(0, 1, 3).astype(np.float32)  # of few values, so that there are ties
    x = rng.choice(few, (5, n)) + np.float32(rng.choice([0, 1e-3, 3e4]))
    layer = Layer(threshold, "0/1").eval()
    whole = [[Fraction(v) * 2**160 for v in row] for row in x.tolist()]
    expected = []
    for row in whole:
        total, q = sum(row), n * sum(v * v for v in row) - sum(row) ** 2
        a = layer.threshold**2
        expected.append([
            (d := n * v - total) >= 0 and (not a or d * d >= a * q > 0) for v in row
        ])  # fmt: skip
    assert (layer(torch.tensor(x)) > 0).tolist() == expected


def test_a_row_is_answered_alike_alone_in_any_company_and_on_a_map() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-9, 10, (6, 11, 3, 2), generator=generator).float()
    x[1] *= 0.37
    x[2, 0] = torch.inf
    x[3, 1] = torch.nan
    layer = Layer(0.5).eval()
    together = layer(x)
    for i in range(6):
        assert torch.equal(layer(x[i : i + 1])[0], together[i])
        for y in range(3):
            assert torch.equal(layer(x[i : i + 1, :, y, 1])[0], together[i, :, y, 1])


def test_levels_are_what_the_layer_says_they_are() -> None:
    x = torch.tensor([[0.0, 0.0, 0.0, 0.0, 8.0]])
    assert Layer(2, "0/1")(x).tolist() == [[0, 0, 0, 0, 0]]  # a tie, which training may see as less
    assert Layer(1.5, "0/1")(x).tolist() == [[0, 0, 0, 0, 1]]
    assert Layer(2, "0/1").eval()(x).tolist() == [[0, 0, 0, 0, 1]]
    assert Layer(2).eval()(x).tolist() == [[-1, -1, -1, -1, 1]]
    assert (Layer(1, "0/1").lowest, Layer(1).lowest) == (0, -1)


def test_the_gradient_is_that_of_the_norm_near_the_threshold() -> None:
    x = torch.randn(7, 20, generator=torch.Generator().manual_seed(1), requires_grad=True)
    norm = torch.nn.LayerNorm(20, elementwise_affine=False)
    weights = torch.randn(7, 20, generator=torch.Generator().manual_seed(2))
    near = ((norm(x) - 0.5).abs() <= 0.8).float()
    (expected,) = torch.autograd.grad((norm(x) * near * weights).sum(), x)
    for layer in (Layer(0.5, window=0.8), Layer(0.5, "0/1", window=0.8).eval()):
        (found,) = torch.autograd.grad((layer(x) * weights).sum(), x)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": -0.5}, "between 0 and 255, got -0.5"),
        ({"threshold": 256}, "between 0 and 255"),
        ({"threshold": 254.93}, r"too fine; take at most 255 / 16"),
        ({"threshold": float("nan")}, "between 0 and 255, got nan"),
        ({"levels": "01"}, "levels must be one of"),
        ({"window": 0}, "window must be above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Layer(**arguments)
