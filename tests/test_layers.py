"""Binary layers and their optimizer: ±1 in, whole sums out, latent weights that learn and stay small."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import (
    SURROGATES,
    BinaryLinear,
    BinaryMLP,
    Sign,
    adamw,
    binarize,
    clip_latent,
    latent_weights,
    surrogate,
)

NAMES = [f.__name__ for f in SURROGATES]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signs(n_rows: int, n: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, (n_rows, n), generator=seeded(seed)).float() * 2 - 1


def as_signs(latent: Tensor) -> Tensor:
    return torch.where(latent >= 0, 1.0, -1.0)


@given(n_in=st.integers(1, 70), n_out=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_binary_linear_is_a_linear_with_the_signs_of_its_weights(
    n_in: int, n_out: int, seed: int
) -> None:
    layer, x = BinaryLinear(n_in, n_out, generator=seeded(seed)), signs(5, n_in, seed)
    plain = nn.Linear(n_in, n_out, bias=False)
    plain.weight.data = as_signs(layer.latent_weight.data[0])
    assert torch.equal(layer(x), plain(x)), "sums of ±1 are whole numbers, exact in float32"


@given(
    groups=st.integers(1, 5),
    k_in=st.integers(1, 20),
    k_out=st.integers(1, 5),
    n_rows=st.integers(0, 4),
)
def test_groups_are_separate_layers_side_by_side(
    groups: int, k_in: int, k_out: int, n_rows: int
) -> None:
    layer = BinaryLinear(groups * k_in, groups * k_out, groups, generator=seeded(groups))
    x = signs(n_rows, groups * k_in)
    parts = []
    for g, part in enumerate(x.chunk(groups, dim=1)):
        alone = BinaryLinear(k_in, k_out)
        alone.latent_weight.data = layer.latent_weight.data[g : g + 1]
        parts.append(alone(part))
    assert torch.equal(layer(x), torch.cat(parts, dim=1))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("shape", [(6,), (3, 1, 6), (2, 3, 4, 6)])
def test_a_linear_layer_works_on_the_last_axis_whatever_stands_before(
    groups: int, shape: tuple[int, ...]
) -> None:
    layer, x = BinaryLinear(6, 4, groups, binarizer="bi_real"), torch.randn(shape)
    expected = layer(x.reshape(-1, 6)).reshape(*shape[:-1], 4)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_an_input_of_another_width_is_refused(groups: int) -> None:
    with pytest.raises(DataError, match=r"reads 6 inputs, got an input of shape \(2, 4\)"):
        BinaryLinear(6, 4, groups)(torch.ones(2, 4))


def test_an_input_that_is_not_contiguous_gives_the_same_sums() -> None:
    layer, x = BinaryLinear(6, 4, groups=2), signs(5, 6)
    assert torch.equal(layer(x.T.contiguous().T), layer(x))


def test_a_latent_weight_of_zero_is_plus_one() -> None:
    layer = BinaryLinear(4, 2)
    layer.latent_weight.data = torch.tensor([[[0.0, -0.0, 1.0, -1.0], [0.0, 0.0, 0.0, -1e-45]]])
    assert layer.binary_weight.tolist() == [[[1, 1, 1, -1], [1, 1, 1, -1]]]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_latent_weight_through_its_surrogate(name: str) -> None:
    layer = BinaryLinear(6, 4, groups=2, binarizer=name, generator=seeded(1))
    x = signs(8, 6)
    arriving = torch.randn(8, 4, generator=seeded(2))
    layer(x).backward(arriving)
    weight = layer.latent_weight.detach().clone().requires_grad_()
    slope = torch.autograd.grad(binarize(weight, surrogate(name)).sum(), weight)[0]
    for g in range(2):
        plain = arriving[:, 2 * g : 2 * g + 2].T @ x[:, 3 * g : 3 * g + 3]
        torch.testing.assert_close(layer.latent_weight.grad[g], plain * slope[g])
    assert (layer.latent_weight.grad != 0).all()


def test_initial_weights_come_from_the_generator_and_lie_within_the_bound() -> None:
    first, second, other = (
        BinaryLinear(50, 50, generator=seeded(s)).latent_weight for s in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 0.1
    assert BinaryLinear(50, 50, init_bound=0.5).latent_weight.abs().max() > 0.1


def test_clipping_keeps_latent_weights_within_one_and_leaves_the_rest_alone() -> None:
    model = nn.Sequential(BinaryLinear(3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded(0)) * 9)
    before = model[0].latent_weight.detach().clone(), model[1].weight.detach().clone()
    clip_latent(model)
    assert torch.equal(model[0].latent_weight, before[0].clamp(-1, 1))
    assert torch.equal(model[1].weight, before[1])
    clip_latent(model, 0.25)
    assert model[0].latent_weight.abs().max() == 0.25


def test_clipping_never_changes_a_sign() -> None:
    layer = BinaryLinear(40, 9)
    layer.latent_weight.data.normal_(0, 3, generator=seeded(0))
    before = layer.binary_weight
    clip_latent(layer)
    assert torch.equal(layer.binary_weight, before)


def test_adamw_decays_real_weights_and_never_latent_ones() -> None:
    model = nn.Sequential(BinaryLinear(3, 3), nn.Linear(3, 2))
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.5)
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # decay alone moves what moves
    optimizer.step()
    latent, weight, bias = model.parameters()
    assert torch.equal(latent, before[0])
    torch.testing.assert_close(weight, before[1] * 0.95)
    torch.testing.assert_close(bias, before[2] * 0.95)


def test_adamw_trains_every_parameter_once() -> None:
    model = BinaryMLP(5, 2, hidden=(4, 4), n_members=3)
    groups = adamw(model, 0.1).param_groups
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())
    assert [id(p) for p in groups[0]["params"]] == [id(p) for p in latent_weights(model)]


def test_latent_weights_are_found_however_deep_they_lie() -> None:
    model = nn.Sequential(nn.Sequential(BinaryLinear(2, 2), nn.Linear(2, 2)), BinaryLinear(2, 1))
    assert [tuple(w.shape) for w in latent_weights(model)] == [(1, 2, 2), (1, 1, 2)]
    assert latent_weights(nn.Linear(2, 2)) == []


def test_sign_layers_name_their_surrogate() -> None:
    assert repr(Sign("swish_sign")) == "Sign('swish_sign')"
    assert repr(BinaryLinear(4, 2, 2)) == "BinaryLinear(4, 2, groups=2)"
    assert Sign()(torch.tensor([-3.0, 0.0])).tolist() == [-1, 1]


def test_the_members_of_a_net_do_not_see_each_other() -> None:
    net = BinaryMLP(6, 2, hidden=(4, 4), n_members=3, generator=seeded(0)).eval()
    net.readout.data.normal_(generator=seeded(1))
    x = signs(7, 6)
    before = net(x).detach()
    second_layer = net.binary_layers()[1][0]
    second_layer.latent_weight.data[1].neg_()
    changed = (net(x) != before).any(dim=2).any(dim=0)
    assert changed.tolist() == [False, True, False]


def test_a_fresh_net_answers_with_its_linear_path_alone() -> None:
    net, x = BinaryMLP(6, 2, hidden=(4,), n_members=3).eval(), signs(7, 6)
    net.linear.weight.data.normal_(generator=seeded(1))
    for member in net(x).unbind(dim=1):
        assert torch.equal(member, net.linear(x))


def test_every_hidden_activation_is_plus_or_minus_one() -> None:
    net, x = BinaryMLP(6, 1, hidden=(5, 4, 3), n_members=2).eval(), signs(9, 6)
    widths = []
    for module in net.hidden:
        x = module(x)
        if isinstance(module, Sign):
            assert set(x.unique().tolist()) <= {-1.0, 1.0}
            widths.append(x.shape[1])
    assert widths == [10, 8, 6]


def test_layers_chain_in_groups_of_members() -> None:
    layers = [layer for layer, _ in BinaryMLP(6, 1, hidden=(5, 4), n_members=2).binary_layers()]
    assert [layer.groups for layer in layers] == [1, 2]
    assert all(a.n_out == b.n_in for a, b in pairwise(layers))


@pytest.mark.parametrize(
    ("n_in", "n_out", "groups"),
    [(5, 4, 2), (4, 5, 2), (0, 4, 1), (4, 0, 1), (4, 4, 0), (4, 4, -2)],
)
def test_sizes_that_do_not_divide_are_refused(n_in: int, n_out: int, groups: int) -> None:
    with pytest.raises(DataError, match=rf"{n_in} inputs and {n_out} outputs .* {groups} groups"):
        BinaryLinear(n_in, n_out, groups)


@pytest.mark.parametrize("make", [lambda: BinaryLinear(2, 2, binarizer="no"), lambda: Sign("no")])
def test_a_layer_with_an_unknown_surrogate_is_refused(
    make: Callable[[], nn.Module],
) -> None:
    with pytest.raises(DataError, match=r"must be .*got 'no'"):
        make()


@pytest.mark.parametrize(("hidden", "n_members"), [((), 2), ((4, 0), 2), ((4,), 0)])
def test_a_net_without_neurons_or_members_is_refused(
    hidden: tuple[int, ...], n_members: int
) -> None:
    with pytest.raises(DataError, match="hidden layers and members must be positive"):
        BinaryMLP(3, 1, hidden=hidden, n_members=n_members)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_sums_are_contiguous_since_norms_round_strided_memory_differently(groups: int) -> None:
    assert BinaryLinear(8, 4, groups)(signs(5, 8)).is_contiguous()


def test_a_net_with_a_generator_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    BinaryMLP(5, 2, generator=seeded(0))
    assert torch.equal(torch.get_rng_state(), before)
