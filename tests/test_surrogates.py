"""The laws of every surrogate: a new member of `SURROGATES` is held to them by being listed.

The closed forms are derived again here: each pseudo-gradient is the slope of a smooth (or piecewise)
stand-in for the sign, so where the paper gives the stand-in, its numerical slope is what is compared.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bimetal.errors import DataError
from bimetal.nn import SURROGATES, binarize, surrogate

Floats = NDArray[np.float64]
NAMES = [f.__name__ for f in SURROGATES]
each_surrogate = pytest.mark.parametrize("name", NAMES)

NUMBERS = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 3e38])
BETA = 5.0


def sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


def stand_in_identity(x: Floats) -> Floats:
    return x


def stand_in_clipped(x: Floats) -> Floats:
    return np.clip(x, -1, 1)


def stand_in_clipped_wide(x: Floats) -> Floats:
    return np.clip(x, -1.25, 1.25)


def stand_in_ede(x: Floats) -> Floats:
    t = 1e-3  # at the beginning
    return max(1 / t, 1) * np.tanh(t * x)


def stand_in_approx_sign(x: Floats) -> Floats:
    curve = np.where(x < 0, 2 * x + x**2, 2 * x - x**2)
    return np.where(np.abs(x) < 1, curve, np.sign(x))


def stand_in_swish_sign(x: Floats) -> Floats:
    z = BETA * x
    return 2 * sigmoid(z) * (1 + z * (1 - sigmoid(z))) - 1


STAND_INS: dict[str, Callable[[Floats], Floats]] = {
    "identity": stand_in_identity,
    "clipped": stand_in_clipped,
    "clipped_wide": stand_in_clipped_wide,
    "ede": stand_in_ede,
    "approx_sign": stand_in_approx_sign,
    "swish_sign": stand_in_swish_sign,
}


def gradient(name: str, x: Floats) -> Floats:
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(binarize(tensor, surrogate(name)).sum(), tensor)
    return np.asarray(slope)


def test_every_surrogate_has_a_stand_in_here() -> None:
    assert set(STAND_INS) == set(NAMES)


@each_surrogate
@given(x=st.lists(NUMBERS, min_size=1))
def test_forward_is_plus_or_minus_one_and_zero_is_plus(name: str, x: list[float]) -> None:
    out = binarize(torch.tensor(x, dtype=torch.float32), surrogate(name))
    expected = [1.0 if v >= 0 else -1.0 for v in x]  # −0.0 >= 0
    assert out.tolist() == expected


@each_surrogate
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_type_of_the_input_stays(name: str, dtype: torch.dtype) -> None:
    x = torch.tensor([-2.0, 0.0, 2.0], dtype=dtype, requires_grad=True)
    y = binarize(x, surrogate(name))
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert y.dtype == slope.dtype == dtype


@each_surrogate
def test_backward_is_the_slope_of_the_stand_in(name: str) -> None:
    x = np.linspace(-2.97, 2.97, 401)  # keeps clear of the kinks at 0 and ±1
    h = 1e-6
    numerical = (STAND_INS[name](x + h) - STAND_INS[name](x - h)) / (2 * h)
    np.testing.assert_allclose(gradient(name, x), numerical, atol=1e-6)


@each_surrogate
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bound", [1.0, 1.25])
def test_the_fast_backward_ends_where_the_surrogate_does(
    name: str, dtype: torch.dtype, bound: float
) -> None:
    above = bound + torch.finfo(dtype).eps  # the next larger number
    x = torch.tensor([bound, above, -bound, -above], dtype=dtype, requires_grad=True)
    (got,) = torch.autograd.grad(binarize(x, surrogate(name)).sum(), x)
    assert torch.equal(got, surrogate(name)(x.detach()))


@each_surrogate
def test_backward_multiplies_the_gradient_that_arrives(name: str) -> None:
    x = torch.linspace(-0.9, 0.9, 7, requires_grad=True)
    arriving = torch.arange(7.0)
    (got,) = torch.autograd.grad(binarize(x, surrogate(name)), x, arriving)
    torch.testing.assert_close(got, arriving * surrogate(name)(x.detach()))


@pytest.mark.parametrize("name", ["clipped", "approx_sign", "swish_sign"])
def test_the_area_is_the_step_from_minus_one_to_plus_one(name: str) -> None:
    x = np.linspace(-20, 20, 400_001)
    area = float(gradient(name, x).sum() * (x[1] - x[0]))
    assert area == pytest.approx(2, abs=1e-3)


@each_surrogate
@given(x=st.floats(0, 1e30))
def test_the_slope_is_even(name: str, x: float) -> None:
    left, right = gradient(name, np.array([-x, x]))
    assert left == right


@each_surrogate
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_huge_inputs_never_overflow(name: str, dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    x = torch.tensor([0.0, 100.0, 1e4, largest, -largest, np.inf, -np.inf], dtype=dtype)
    slope = surrogate(name)(x)
    assert torch.isfinite(slope).all()
    if name not in ("identity", "ede"):  # ede begins as the identity
        assert (slope[1:].abs() < 1e-6).all(), "far from 0 a surrogate lets nothing through"


def test_swish_sign_is_beta_at_zero_and_dips_below_zero_once() -> None:
    assert gradient("swish_sign", np.zeros(1))[0] == pytest.approx(BETA)
    x = np.linspace(0, 10, 10_001)
    signs = np.sign(gradient("swish_sign", x))
    assert (np.diff(signs) != 0).sum() == 1


@each_surrogate
def test_a_surrogate_is_found_by_its_name(name: str) -> None:
    found = surrogate(name)
    assert getattr(found, "func", found).__name__ == name  # a schedule is bound by partial


def test_an_unknown_name_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(DataError, match=r"one of \['approx_sign', .*'swish_sign'\], got 'stee'"):
        surrogate("stee")
