"""Lowering: a trained net and its bit operations are the same function, to the last hidden bit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from bimetal.bits import unpack
from bimetal.columns import Column
from bimetal.errors import ProgramError
from bimetal.lower import LoweredMLP, lower_dense, lower_mlp
from bimetal.nn import BinaryLinear, BinaryMLP, Sign
from bimetal.program import Dense, Encode, Link, Program, Readout
from bimetal.reference import trace

Bits = NDArray[np.bool_]
LAW = settings(max_examples=60, deadline=None)

WIDTHS = st.sampled_from([1, 2, 3, 7, 8, 9, 16, 31, 33, 64, 65])
GAMMAS = [0.0, -0.0, 1e-45, -1e-45, 1e-40, -1e-40, 1e30, -1e30, 1.0, -1.0]
BETAS = [0.0, -0.0, 1e-45, -1e-45, 1e3, -1e3, 1e30, -1e30]


def spoil(norm: nn.BatchNorm1d, n_in: int, rng: np.random.Generator) -> None:
    """Give a norm running statistics and scales of every kind, exact ties among them."""
    n = norm.num_features
    mean = np.where(
        rng.random(n) < 0.5,
        n_in - 2 * rng.integers(0, n_in + 1, n),  # a sum that occurs: the norm is (nearly) 0 there
        rng.normal(0, n_in**0.5, n),
    )
    draws: dict[str, Any] = {
        "running_mean": mean,
        "running_var": np.where(rng.random(n) < 0.2, 0.0, rng.gamma(1.0, n_in, n)),
        "weight": np.where(rng.random(n) < 0.4, rng.choice(GAMMAS, n), rng.normal(0, 1, n)),
        "bias": np.where(rng.random(n) < 0.6, rng.choice(BETAS, n), rng.normal(0, 1, n)),
    }
    with torch.no_grad():
        for name, drawn in draws.items():
            getattr(norm, name).copy_(torch.from_numpy(np.asarray(drawn, np.float32)))


def random_net(
    rng: np.random.Generator, n_bits: int, hidden: list[int], n_members: int, n_outputs: int
) -> BinaryMLP:
    net = BinaryMLP(n_bits, n_outputs, hidden, n_members)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 1, parameter.shape)))
        for layer, norm in net.binary_layers():
            layer.latent_weight[
                torch.from_numpy(rng.random(layer.latent_weight.shape) < 0.1)
            ] = -0.0
            spoil(norm, layer.n_in // layer.groups, rng)
    return net.eval()


@torch.no_grad()
def torch_bits(net: BinaryMLP, bits: Bits) -> list[Bits]:
    """Return every hidden activation that torch computes, layer by layer, as bits."""
    x, found = torch.from_numpy(bits.astype(np.float32) * 2 - 1), []
    for module in net.hidden:
        x = module(x)
        if isinstance(module, Sign):
            assert set(x.unique().tolist()) <= {-1.0, 1.0}
            found.append(np.asarray(x > 0))
    return found


def lowered_bits(lowered: LoweredMLP, bits: Bits) -> list[Bits]:
    """Return every hidden activation that the reference computes from the lowered operations."""
    n_bits, n_hidden = bits.shape[1], lowered.readout.shape[1]
    no_u2, no_f4, no_i4 = np.zeros(0, np.uint16), np.zeros(0, np.float32), np.zeros(0, np.int32)
    encode = Encode(
        np.arange(n_bits, dtype=np.uint16), np.zeros(n_bits, np.uint8),
        np.full(n_bits, 0.5, np.float32), no_u2, no_f4,
    )  # fmt: skip
    last = len(lowered.ops) + 1
    readout = Readout((last,), np.zeros((1, n_hidden), np.int8), np.zeros(1, np.int32))
    link = Link(last + 1, "identity", np.ones(1), np.zeros(1), no_i4, no_f4)
    columns = tuple(Column(f"x{j}") for j in range(n_bits))
    program = Program(columns, (encode, *lowered.ops, readout, link))
    return trace(program, bits.astype(np.float32))[2:-2]


NETS = {
    "n_bits": WIDTHS,
    "hidden": st.lists(WIDTHS, min_size=1, max_size=3),
    "n_members": st.integers(1, 3),
    "n_outputs": st.integers(1, 3),
    "seed": st.integers(0, 2**32 - 1),
}


@LAW
@given(**NETS)
def test_every_hidden_bit_of_the_lowered_net_is_torchs(
    n_bits: int, hidden: list[int], n_members: int, n_outputs: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    net = random_net(rng, n_bits, hidden, n_members, n_outputs)
    bits = rng.random((33, n_bits)) < 0.5
    expected, found = torch_bits(net, bits), lowered_bits(lower_mlp(net), bits)
    assert len(expected) == len(found) == len(hidden)
    for layer, (want, got) in enumerate(zip(expected, found, strict=True)):
        assert np.array_equal(want, got), f"layer {layer} differs"


@LAW
@given(**NETS)
def test_the_readout_is_torchs_answer_within_a_millionth(
    n_bits: int, hidden: list[int], n_members: int, n_outputs: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    net = random_net(rng, n_bits, hidden, n_members, n_outputs)
    bits = rng.random((9, n_bits)) < 0.5
    lowered = lower_mlp(net)
    fired = lowered_bits(lowered, bits)[-1]
    got = fired @ lowered.readout.T + bits @ lowered.linear.T + lowered.bias
    with torch.no_grad():
        want = net(torch.from_numpy(bits.astype(np.float32) * 2 - 1)).mean(dim=1).numpy()
    terms = (net.readout.abs().sum(dim=(0, 1)) + net.linear.weight.abs().sum(dim=1)).detach()
    assert (np.abs(got - want) <= 1e-6 * (terms.numpy() + 1)).all()


@LAW
@given(n=WIDTHS, n_out=WIDTHS, seed=st.integers(0, 2**32 - 1))
def test_every_sum_that_can_occur_crosses_the_threshold_where_the_norm_does(
    n: int, n_out: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    layer, norm = BinaryLinear(n, n_out), nn.BatchNorm1d(n_out).eval()
    spoil(norm, n, rng)
    op = lower_dense(layer, norm, 1)
    assert op.thresholds.min() >= -1
    assert op.thresholds.max() <= n
    weights = unpack(op.weights, n)
    latent = layer.latent_weight.detach().numpy().reshape(n_out, n) >= 0
    is_flipped = (weights != latent).all(axis=1)
    assert ((weights == latent).all(axis=1) | is_flipped).all(), (
        "a row is kept whole or flipped whole"
    )
    sums = torch.arange(
        n, -n - 1, -2
    ).float()  # of inputs that differ from the weights 0, 1, ... n times
    with torch.no_grad():
        fires = np.asarray(norm(sums[:, None].repeat(1, n_out)) >= 0)
    differing = np.where(is_flipped, n - np.arange(n + 1)[:, None], np.arange(n + 1)[:, None])
    np.testing.assert_array_equal(fires, differing <= op.thresholds)


def constant_norm(scale: float, shift: float) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(2).eval()
    nn.init.constant_(norm.weight, scale)
    nn.init.constant_(norm.bias, shift)
    return norm


@pytest.mark.parametrize(
    ("scale", "shift", "threshold"),
    [
        (0.0, 1.0, 5),
        (0.0, 0.0, 5),
        (-0.0, -0.0, 5),
        (0.0, -1.0, -1),
        (1.0, 1e9, 5),
        (-1.0, -1e9, -1),
    ],
)
def test_a_neuron_that_never_changes_is_always_on_or_always_off(
    scale: float, shift: float, threshold: int
) -> None:
    op = lower_dense(BinaryLinear(5, 2), constant_norm(scale, shift), 1)
    assert op.thresholds.tolist() == [threshold] * 2


def test_a_falling_norm_flips_the_weights() -> None:
    layer = BinaryLinear(5, 2)
    rising = lower_dense(layer, constant_norm(1.0, 0.1), 1)
    falling = lower_dense(layer, constant_norm(-1.0, -0.1), 1)
    np.testing.assert_array_equal(unpack(falling.weights, 5), ~unpack(rising.weights, 5))
    assert (rising.thresholds + falling.thresholds).tolist() == [4, 4]


class Odd(nn.Module):
    """A norm that is not monotone."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = torch.tensor(values)

    def forward(self, sums: Tensor) -> Tensor:
        return self.values[((sums + 3) / 2).long()]


@pytest.mark.parametrize(
    "values", [[1, -1, -1, 1], [-1, 1, 1, -1], [-1, 1, -1, 1], [1, -1, 1, -1], [1, -1, 1, 1]]
)
def test_a_norm_that_rises_and_falls_is_refused(values: list[float]) -> None:
    with pytest.raises(ProgramError, match="not monotone; it has no single threshold"):
        lower_dense(BinaryLinear(3, 2), Odd(values), 1)


@pytest.mark.parametrize("values", [[-1, -1, 1, 1], [1, 1, 1, -1], [1, 0, 1, 0], [-2, -1, -3, -1]])
def test_any_norm_with_one_crossing_is_lowered_whatever_it_does_elsewhere(
    values: list[float],
) -> None:
    layer = BinaryLinear(3, 2)
    op = lower_dense(layer, Odd(values), 1)
    x = np.array([[b >> i & 1 for i in range(3)] for b in range(8)], dtype=bool)
    with torch.no_grad():
        want = np.asarray(Odd(values)(layer(torch.from_numpy(x.astype(np.float32) * 2 - 1))) >= 0)
    counts = (x[:, None] != unpack(op.weights, 3)[None]).sum(axis=2)
    np.testing.assert_array_equal(counts <= op.thresholds, want)


@pytest.mark.parametrize("is_training", [True, False])
def test_lowering_leaves_the_net_as_it_was(is_training: bool) -> None:
    net = random_net(np.random.default_rng(0), 9, [8, 4], 2, 1).train(is_training)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    lower_mlp(net)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(module.training == is_training for module in net.modules())


def test_a_net_in_training_mode_is_asked_as_if_in_eval_mode() -> None:
    net = random_net(np.random.default_rng(0), 9, [8, 4], 2, 1)
    want, got = lower_mlp(net), lower_mlp(net.train())
    for a, b in zip(want.ops, got.ops, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.thresholds, b.thresholds)


def test_members_become_groups_and_wiring_follows_the_layers() -> None:
    ops = lower_mlp(random_net(np.random.default_rng(0), 9, [8, 4, 2], 3, 2)).ops
    assert all(isinstance(op, Dense) for op in ops)
    assert [(op.input, op.n_in, op.groups, len(op.thresholds)) for op in ops] == [
        (1, 9, 1, 24), (2, 24, 3, 12), (3, 12, 3, 6),
    ]  # fmt: skip
