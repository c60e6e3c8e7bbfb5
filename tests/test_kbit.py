"""Quantizers of k bits: values and gradients against closed forms worked out in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bimetal.errors import DataError
from bimetal.nn import DoReFaActivation, DoReFaWeight, TernaryWeight, straight_through

BITS = range(1, 9)
each_width = pytest.mark.parametrize("n_bits", BITS)
above_one_bit = pytest.mark.parametrize("n_bits", BITS[1:])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(layer: nn.Module, x: Tensor, arriving: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(layer(leaf), leaf, arriving)[0]


@above_one_bit
def test_dorefa_weights_are_the_formula_of_the_paper(n_bits: int) -> None:
    w, n = drawn(40, 5), 2**n_bits - 1
    bent = np.tanh(w.numpy())
    expected = 2 * np.round((bent / (2 * np.abs(bent).max()) + 0.5) * n) / n - 1
    np.testing.assert_allclose(DoReFaWeight(n_bits)(w).numpy(), expected, atol=1e-12)


@above_one_bit
def test_dorefa_weights_take_all_levels_and_the_largest_is_one(n_bits: int) -> None:
    w, n = torch.linspace(-3, 3, 20_001, dtype=torch.float64), 2**n_bits - 1
    levels = (DoReFaWeight(n_bits)(w).unique() * n).round().int().tolist()
    assert levels == list(range(-n, n + 1, 2))


@above_one_bit
def test_the_gradient_of_dorefa_weights_passes_the_rounding_and_holds_the_maximum(
    n_bits: int,
) -> None:
    w, arriving = drawn(30), drawn(30, seed=1)
    bent = torch.tanh(w)
    expected = arriving * (1 - bent**2) / bent.abs().max()
    torch.testing.assert_close(gradient(DoReFaWeight(n_bits), w, arriving), expected)


def test_one_bit_of_dorefa_is_a_sign_with_one_scale_and_the_gradient_of_the_identity() -> None:
    w, arriving = drawn(6, 5), drawn(6, 5, seed=1)
    w[0, 0] = 0.0
    made = DoReFaWeight(1)(w)
    torch.testing.assert_close(made, torch.where(w >= 0, 1, -1) * w.abs().mean())
    assert torch.equal(gradient(DoReFaWeight(1), w, arriving), arriving)


@each_width
@given(x=st.floats(-3, 4, allow_nan=False))
def test_dorefa_activations_are_the_nearest_level_of_the_clipped_input(
    n_bits: int, x: float
) -> None:
    n = 2**n_bits - 1
    made = DoReFaActivation(n_bits)(torch.tensor([x], dtype=torch.float64)).item()
    assert made == pytest.approx(np.round(np.clip(x, 0, 1) * n) / n, abs=1e-15)
    assert abs(made - np.clip(x, 0, 1)) <= 0.5 / n + 1e-12


@each_width
def test_the_gradient_of_dorefa_activations_is_one_within_both_bounds_and_zero_outside(
    n_bits: int,
) -> None:
    x = torch.tensor([-2.0, -1e-6, 0.0, 0.3, 1.0, 1.0 + 1e-6, 5.0])
    passed = gradient(DoReFaActivation(n_bits), x, torch.ones(7))
    assert passed.tolist() == [0, 0, 1, 1, 1, 0, 0]


@given(seed=st.integers(0, 2**31))
def test_ternary_weights_are_the_formula_of_twn(seed: int) -> None:
    w = drawn(50, seed=seed)
    size = np.abs(w.numpy())
    is_large = size > 0.7 * size.mean()
    expected = np.where(is_large, np.sign(w.numpy()) * size[is_large].mean(), 0)
    np.testing.assert_allclose(TernaryWeight()(w).numpy(), expected)


def test_the_scale_of_ternary_weights_is_the_best_for_their_signs() -> None:
    w = drawn(200)
    made = TernaryWeight()(w)
    error = [(w - made * by).square().sum().item() for by in (0.99, 1.0, 1.01)]
    assert error[1] == min(error)


@given(scale=st.sampled_from([2.0**k for k in range(-20, 21, 4)]))
def test_twn_has_no_unit_of_its_own(scale: float) -> None:
    w = drawn(50)
    torch.testing.assert_close(TernaryWeight()(w * scale), TernaryWeight()(w) * scale)


def test_a_fixed_threshold_makes_three_values_and_clips_the_gradient_at_one() -> None:
    w = torch.tensor([-2.0, -1.0, -0.06, -0.05, 0.0, 0.04, 0.05, 0.06, 1.0, 1.01])
    layer = TernaryWeight(0.05)
    assert layer(w).tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1, 1]
    assert gradient(layer, w, torch.ones(10)).tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]


def test_the_gradient_of_twn_is_that_of_the_identity() -> None:
    w, arriving = drawn(30) * 3, drawn(30, seed=1)
    assert torch.equal(gradient(TernaryWeight(), w, arriving), arriving)


QUANTIZERS: list[Callable[[], nn.Module]] = [
    lambda: DoReFaWeight(1),
    lambda: DoReFaWeight(2),
    lambda: DoReFaWeight(8),
    lambda: TernaryWeight(),
    lambda: TernaryWeight(0.05),
]


@pytest.mark.parametrize("make", QUANTIZERS)
def test_weights_that_are_all_zero_stay_finite(make: Callable[[], nn.Module]) -> None:
    w = torch.zeros(5)
    assert make()(w).isfinite().all()
    assert gradient(make(), w, torch.ones(5)).isfinite().all()


@pytest.mark.parametrize("make", QUANTIZERS)
@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(2, 3, 3)])
def test_an_ordinary_layer_takes_a_quantizer_as_its_parametrization(
    make: Callable[[], nn.Module], layer: nn.Module
) -> None:
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", make())
    assert torch.equal(layer.weight, make()(before))
    x = torch.randn(2, 6) if isinstance(layer, nn.Linear) else torch.randn(2, 2, 5, 5)
    layer(x).square().sum().backward()
    latent = layer.parametrizations.weight.original
    assert latent.grad is not None
    assert latent.grad.abs().max() > 0
    parametrize.remove_parametrizations(layer, "weight")
    assert torch.equal(layer.weight, make()(before)), "what is left is the quantized weight"


def test_what_was_worked_out_passes_with_the_gradient_of_where_it_came_from() -> None:
    x = drawn(4).requires_grad_()
    made = straight_through(x, x.detach().round())
    assert torch.equal(made, x.round())
    made.backward(torch.arange(4.0, dtype=torch.float64))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 2, 3]


def test_quantizers_name_their_numbers() -> None:
    assert repr(DoReFaWeight(3)) == "DoReFaWeight(3)"
    assert repr(DoReFaActivation(2)) == "DoReFaActivation(2)"
    assert repr(TernaryWeight(0.5)) == "TernaryWeight(threshold=0.5)"


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: DoReFaWeight(0), "n_bits must be 1 to 8, got 0"),
    (lambda: DoReFaWeight(2.5), "n_bits must be 1 to 8, got 2.5"),  # type: ignore[arg-type]
    (lambda: DoReFaActivation(9), "n_bits must be 1 to 8, got 9"),
    (lambda: TernaryWeight(-0.1), "threshold must be 0 or more"),
    (lambda: TernaryWeight(float("nan")), "threshold must be 0 or more"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_cannot_be_built_says_why(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
