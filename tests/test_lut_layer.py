"""LUT layers: polynomials of ±1 and their slopes, any Boolean function, learned connections, areas."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bimetal.errors import DataError
from bimetal.nn import (
    GroupSum,
    LutArea,
    LutLinear,
    TrainConfig,
    accuracy,
    calibrate,
    fit_classifier,
    float_twin,
    fold_norms,
    lut_areas,
)
from bimetal.nn.lut_connections import best_places
from bimetal.nn.lut_function import degrees, look_up, walsh


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def signs(n: int, n_in: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (n, n_in), generator=generator) * 2.0 - 1


def patterns(n: int) -> Tensor:
    """Return all ±1 rows of n, row *a* with input *j* at +1 where bit *j* of *a* is set."""
    return (torch.arange(2**n)[:, None] >> torch.arange(n) & 1) * 2.0 - 1


def polynomial(layer: LutLinear, selected: Tensor) -> Tensor:
    """Return the polynomials of real inputs (n_rows, n_out, fan_in), product by product."""
    subsets = [
        s
        for d in range(layer.degree + 1)
        for s in sorted(
            itertools.combinations(range(layer.fan_in), d), key=lambda s: sum(1 << j for j in s)
        )
    ]
    total = torch.zeros(selected.shape[:2], dtype=selected.dtype)
    for i, subset in enumerate(subsets):
        total = total + layer.coefficient[:, i] * selected[:, :, list(subset)].prod(dim=2)
    return total


# -- the polynomial


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_values_and_slopes_are_those_of_the_polynomial(degree: int) -> None:
    layer = LutLinear(9, 4, 5, degree, "random", "threshold").double()
    x = signs(30, 9).double().requires_grad_()
    weights = torch.randn(30, 4, dtype=torch.float64)
    y = look_up(x, None, layer._values(), layer.places)
    of_x, of_c = torch.autograd.grad((y * weights).sum(), (x, layer.coefficient))
    with torch.no_grad():
        torch.testing.assert_close(y, polynomial(layer, x[:, layer.places]))
        for i in range(9):  # linear in each input, so a difference of any width is the slope
            step = torch.zeros(9, dtype=torch.float64)
            step[i] = 0.5
            up, down = (polynomial(layer, (x + s)[:, layer.places]) for s in (step, -step))
            torch.testing.assert_close(of_x[:, i], ((up - down) * weights).sum(1))
    expected = torch.autograd.grad(
        (polynomial(layer, x.detach()[:, layer.places]) * weights).sum(), layer.coefficient
    )[0]
    torch.testing.assert_close(of_c, expected)


def test_scores_get_the_slope_of_a_soft_choice_of_inputs() -> None:
    layer = LutLinear(7, 3, 4, 4, "learned", "threshold").double()
    x, weights = signs(20, 7).double(), torch.randn(20, 3, dtype=torch.float64)
    y = look_up(x, layer.score, layer._values(), layer.places)
    (found,) = torch.autograd.grad((y * weights).sum(), layer.score)
    selected = x[:, layer.places].requires_grad_()
    (slope,) = torch.autograd.grad((polynomial(layer, selected) * weights).sum(), selected)
    soft = torch.einsum("bi,oki->bok", x, torch.softmax(layer.score, dim=-1))
    (expected,) = torch.autograd.grad((soft * slope).sum(), layer.score)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("fan_in", range(1, 9))
def test_monomials_are_orthogonal_signs_by_rising_degree(fan_in: int) -> None:
    h = walsh(fan_in, fan_in)
    assert torch.equal(h.T @ h, 2**fan_in * torch.eye(2**fan_in))
    assert torch.equal(h[:, 0], torch.ones(2**fan_in))
    assert torch.equal(h[:, 1 : fan_in + 1], patterns(fan_in))
    for degree in range(1, fan_in + 1):
        order = degrees(fan_in, degree)
        assert len(order) == sum(math.comb(fan_in, d) for d in range(degree + 1))
        assert torch.equal(order, order.sort().values)
        assert torch.equal(walsh(fan_in, degree), h[:, : len(order)])


# -- what neurons can say


def as_functions(layer: LutLinear, tables: Tensor) -> LutLinear:
    """Give neurons the coefficients of Boolean functions, their Walsh-Hadamard spectra."""
    with torch.no_grad():
        layer.coefficient.copy_((tables * 2.0 - 1) @ layer.monomials / 2**layer.fan_in)
    return layer.eval()


@pytest.mark.parametrize("norm", ["batch", "threshold"])
@pytest.mark.parametrize("fan_in", range(1, 9))
def test_any_boolean_function_of_a_few_inputs_can_be_a_neuron(fan_in: int, norm: Any) -> None:
    generator = torch.Generator().manual_seed(fan_in)
    wanted = torch.rand((40, 2**fan_in), generator=generator) < 0.5
    wanted[0], wanted[1], wanted[2] = False, True, patterns(fan_in).prod(1) > 0
    layer = as_functions(LutLinear(10, 40, fan_in, fan_in, "random", norm), wanted)
    assert torch.equal(layer.tables(), wanted)
    x = patterns(10)
    address = ((x[:, layer.places] > 0) << torch.arange(fan_in)).sum(2)
    expected = wanted[torch.arange(40), address] * 2.0 - 1
    with torch.no_grad():
        assert torch.equal(layer(x), expected)


def test_a_neuron_of_degree_one_is_a_threshold_and_one_of_degree_two_may_be_more() -> None:
    linear = LutLinear(9, 200, 4, 1).tables()
    assert not folds(linear, 4).any()
    assert folds(LutLinear(9, 200, 4, 2).tables(), 4).any()


def folds(tables: Tensor, fan_in: int) -> Tensor:
    """Tell which inputs of which neurons turn the answer up here and down there: (n_out, fan_in)."""
    address = torch.arange(2**fan_in)
    steps = [
        tables[:, address | 1 << j].int() - tables[:, address & ~(1 << j)].int()
        for j in range(fan_in)
    ]
    return torch.stack([(s > 0).any(1) & (s < 0).any(1) for s in steps], dim=1)


def test_a_parity_is_learned() -> None:
    torch.manual_seed(0)
    x = patterns(3).repeat(16, 1)
    y = (x.prod(1) > 0).long()
    net = nn.Sequential(LutLinear(3, 8, 3, 3), GroupSum(8, 2))
    fit_classifier(net, x, y, TrainConfig(25, 64, 0.05, weight_decay=0, patience=None))
    assert accuracy(net, x, y) == 1.0


def test_the_sign_of_nothing_is_plus() -> None:
    layer = LutLinear(3, 2, 2, connections=[[0, 1], [1, 2]], norm="threshold")
    with torch.no_grad():
        layer.coefficient.zero_()
        layer.coefficient[1, :2] = torch.tensor([1.0, -1.0])  # 1 − x: a tie where x is +1
    for mode in (layer.train(), layer.eval()):
        assert (mode(patterns(3)) == 1).all()
    with torch.no_grad():
        layer.coefficient[1, 0] = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    assert layer.eval().tables().tolist() == [[True] * 4, [True, False, True, False]]


def test_evaluation_looks_up_what_training_computes() -> None:
    layer = LutLinear(20, 30, 6, 6)
    x = signs(200, 20)
    for _ in range(9):
        layer.train()(x)
    layer.norm.eval()
    in_training = layer(x)
    layer.eval()
    assert torch.equal(layer(x), in_training)  # with a slope
    assert layer(x).requires_grad
    with torch.no_grad():
        assert torch.equal(layer(x), in_training)
        for i in range(5):
            assert torch.equal(layer(x[i : i + 1])[0], in_training[i])


def test_slopes_reach_everything_in_either_mode() -> None:
    net = nn.Sequential(LutLinear(20, 30), LutLinear(30, 12), GroupSum(12, 3))
    for mode in (net.train(), net.eval()):
        net.zero_grad()
        cross_entropy(mode(signs(50, 20)), torch.arange(50) % 3).backward()
        assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_statistics_come_from_rows_and_not_from_tables() -> None:
    layer = LutLinear(4, 2, 2, connections=[[0, 1], [2, 3]])
    x = torch.ones(10, 4)
    x[0] = -1
    calibrate(layer, x)
    value = look_up(x, None, layer._values(), layer.places)
    torch.testing.assert_close(layer.norm.running_mean, value.detach().mean(0))
    assert isinstance(fold_norms(layer), LutLinear)
    assert torch.equal(fold_norms(layer).tables(), layer.eval().tables())


def test_low_precision_changes_nothing_in_evaluation() -> None:
    layer, x = LutLinear(9, 5).eval(), signs(8, 9)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = layer(x.bfloat16())
    with torch.no_grad():
        assert torch.equal(low.float(), layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        layer.train()(x.bfloat16().requires_grad_()).sum().backward()
    assert layer.coefficient.grad is not None


def test_the_float_twin_has_the_same_polynomials_of_real_inputs() -> None:
    for how in ("learned", "random"):
        layer = LutLinear(9, 5, 4, 3, how)
        twin = float_twin(layer).eval()
        x = signs(40, 9)
        layer.eval()
        with torch.no_grad():
            assert torch.equal(torch.where(twin(x) >= 0, 1.0, -1.0), layer(x))
            half = twin.norm(polynomial(layer, x[:, layer.places] / 2)).clamp(-1, 1)
            torch.testing.assert_close(twin(x / 2), half)
        twin(x).sum().backward()
        assert all(p.grad is not None for p in twin.parameters())


def test_a_state_goes_into_another_layer_and_makes_it_the_same() -> None:
    for how in ("learned", "random"):
        first, second = (
            LutLinear(9, 5, connections=how, generator=torch.Generator().manual_seed(s)).eval()
            for s in (0, 1)
        )
        assert not torch.equal(first.places, second.places)
        second.load_state_dict(first.state_dict())
        assert torch.equal(first.places, second.places)
        assert torch.equal(first.tables(), second.tables())


# -- connections


@settings(max_examples=60, deadline=None)
@given(seeds(), st.integers(1, 8), st.integers(0, 5), st.sampled_from([1, 2, 50]))
def test_no_neuron_reads_one_input_twice(seed: int, fan_in: int, more: int, n_levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    score = torch.randint(0, n_levels, (6, fan_in, fan_in + more), generator=generator).float()
    places = best_places(score)
    for row, scores in zip(places.tolist(), score, strict=True):
        assert len(set(row)) == fan_in
        for j, place in enumerate(
            row
        ):  # the best of those that earlier slots left; of equals, the first
            left = [i for i in range(fan_in + more) if i not in row[:j]]
            assert place == max(left, key=lambda i: (float(scores[j, i]), -i))


def with_irrelevant_inputs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return rows of 60 inputs, and the vote of five of them."""
    x = signs(n, 60, seed)
    return x, (x[:, [7, 12, 31, 50, 54]].sum(1) > 0).long()


@pytest.mark.parametrize("seed", [0, 1])
def test_learned_connections_find_the_inputs_that_matter_where_random_ones_miss_them(
    seed: int,
) -> None:
    x, y = with_irrelevant_inputs(1000, 10)
    test = with_irrelevant_inputs(1000, 11)
    reached = {}
    for how in ("learned", "random"):
        torch.manual_seed(seed)
        net = nn.Sequential(LutLinear(60, 8, 5, 2, how), GroupSum(8, 2))
        before = net[0].places.clone()
        fit_classifier(net, x, y, TrainConfig(25, 100, 0.02, patience=None))
        reached[how] = accuracy(net, *test)
        moved = float((net[0].places != before).float().mean())
        assert (moved > 0.3) == (how == "learned")
    print(reached)
    assert reached["learned"] > 0.9
    assert reached["learned"] > reached["random"] + 0.1


# -- sums and areas


def test_a_class_sums_its_own_group() -> None:
    layer, x = GroupSum(12, 3), signs(50, 12)
    scale = float(layer.scale.detach())
    assert scale == 0.5
    expected = [[sum(row[4 * c : 4 * c + 4]) * scale for c in range(3)] for row in x.tolist()]
    assert layer(x).tolist() == expected
    with torch.no_grad():
        layer.scale.fill_(-0.3)
    zeros = layer(torch.tensor([[1.0, -1, 1, -1] * 3]))
    assert not torch.signbit(zeros).any(), "0 times a negative scale is 0, not −0"


def test_areas_tell_what_tables_ignore_and_what_they_repeat() -> None:
    places = [[0, 1, 2], [2, 1, 0], [3, 4, 5], [6, 7, 8], [6, 7, 8], [0, 4, 8]]
    layer = LutLinear(9, 6, 3, 3, connections=places, norm="threshold")
    x = patterns(3) > 0
    a, b, c = x.T
    tables = [a & ~b | c, c & ~b | a, a | True, ~b, a ^ c, a & b & c]
    # the second says of (2, 1, 0) what the first says of (0, 1, 2)
    area = LutArea.of(as_functions(layer, torch.stack(tables)))
    assert area == LutArea(6, 7, (3, 3, 0, 1, 2, 3), 1, 1, 1, (2, 3, 3))
    assert (area.n_luts(), area.n_luts(2)) == (3, 1 + 2 + 2)
    found = lut_areas(nn.Sequential(nn.Identity(), layer))
    assert found == {"1": area}


@settings(max_examples=40, deadline=None)
@given(seeds(), st.integers(1, 5))
def test_an_area_has_the_inputs_that_change_an_answer(seed: int, fan_in: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = torch.tensor(rng.random((8, 2**fan_in)) < rng.choice([0.05, 0.5]))
    layer = as_functions(LutLinear(6, 8, fan_in, fan_in, "random", "threshold"), wanted)
    x = patterns(6)
    with torch.no_grad():
        answers = layer(x)
        changes = []
        for i in range(6):
            turned = x.clone()
            turned[:, i] *= -1
            changes.append((layer(turned) != answers).any(0))
    found = torch.stack(changes)
    area = LutArea.of(layer)
    assert area.fan_in == tuple(found.sum(0).tolist())
    assert area.n_inputs == int(found.any(1).sum())
    assert len(area.sizes) == len({bytes(a) for a, n in zip(answers.T.to(torch.uint8).numpy(), area.fan_in, strict=True) if n > 1})  # fmt: skip


# -- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fan_in": 0}, "fan_in must be from 1 to 8, got 0"),
        ({"fan_in": 9}, "fan_in must be from 1 to 8, got 9"),
        ({"n_in": 5}, "cannot read 6 different inputs of 5"),
        ({"n_in": 0}, "sizes must be at least 1, got 0 inputs"),
        ({"n_out": 0}, "and 0 outputs"),
        ({"degree": 0}, "degree must be from 1 to the fan_in of 6, got 0"),
        ({"degree": 7}, "degree must be from 1 to the fan_in of 6, got 7"),
        ({"norm": "layer"}, r"norm must be one of \['batch', 'threshold'\], got 'layer'"),
        ({"surrogate_name": "best"}, "surrogate must be one of .* got 'best'"),
        ({"connections": "best"}, "'learned', 'random' or an array of input numbers, got 'best'"),
        ({"connections": [[0, 1]]}, r"shape \(3, 6\), one row a neuron; got torch.int64 of shape \(1, 2\)"),
        ({"connections": np.zeros((3, 6))}, "must be whole numbers"),
        ({"connections": [[0, 1, 2, 3, 4, 10]] * 3}, "from 0 to 9, got numbers from 0 to 10"),
        ({"connections": [[-1, 1, 2, 3, 4, 5]] * 3}, "got numbers from -1 to 5"),
        ({"connections": [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4, 5]]},
         r"neuron 1 would read one input twice: \[0, 1, 2, 3, 4, 0\]"),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        LutLinear(**{"n_in": 10, "n_out": 3, **arguments})


def test_inputs_that_are_no_signs_are_refused() -> None:
    layer = LutLinear(6, 2)
    for x, message in (
        (torch.ones(3, 5), r"reads 6 inputs, got an input of shape \(3, 5\)"),
        (torch.ones(6), r"got an input of shape \(6,\)"),
        (torch.zeros(3, 6), r"reads −1 and \+1, got other numbers"),
        (torch.full((3, 6), 1.25), "leave out a Dropout"),
    ):
        with pytest.raises(DataError, match=message):
            layer(x)
    with pytest.raises(DataError, match="7 inputs do not divide into 3 groups"):
        GroupSum(7, 3)
    with pytest.raises(DataError, match="GroupSum reads 6 inputs, got"):
        GroupSum(6, 3)(torch.ones(2, 3))
