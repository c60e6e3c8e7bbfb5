"""Binary layers with a scale, and layers that change places with a max pooling, lower exactly."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lowering import (  # noqa: F401  (the fixture works by being here)
    answers_of,
    assert_same,
    images,
    one_thread,
    op_names,
    packed_answers,
    settle,
)
from torch import Tensor, nn

from bimetal.errors import ProgramError
from bimetal.lower import lower_cnn, lower_dense
from bimetal.nn import (
    BINARIZERS,
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    Logits,
    Residual,
    RPReLU,
    Scale,
    Shift,
    Sign,
    binary_layers,
    fold_norms,
    real_weights,
)
from bimetal.nn.norms import ShiftBatchNorm1d, ShiftBatchNorm2d
from bimetal.program import Program
from bimetal.reference import run

LAW = settings(max_examples=25, deadline=None)
NAMES = [name for name, how in BINARIZERS.items() if not how.is_shifted]
SCALED = [name for name in NAMES if BINARIZERS[name].scale != "none"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def learned(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give learned scales values of both signs."""
    for layer in binary_layers(net).values():
        if layer.binarizer.scale == "learned":
            layer.scale.copy_(torch.randn(layer.n_out, generator=seeded(seed + 1)))
    return net


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("last", ["sign", "floats"])
def test_every_method_with_weights_of_plus_and_minus_one_lowers(name: str, last: str) -> None:
    way: nn.Module = Residual(nn.Sequential(Sign(), BinaryConv2d(6, 6, 1, binarizer=name)))
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(16, 6, 3, padding=1, binarizer=name), nn.BatchNorm2d(6),
        *([Sign()] if last == "sign" else [way, Sign()]),
        nn.MaxPool2d(2), nn.Flatten(), BinaryLinear(54, 8, binarizer=name), nn.BatchNorm1d(8), Sign(),
        BinaryLinear(8, 4), Logits(4),
    )  # fmt: skip
    x = images(12, 2, 6, 6)
    assert_same(fold_norms(settle(learned(net), x)), x)


@pytest.mark.parametrize("name", SCALED)
def test_norms_behind_scales_are_asked_not_folded(name: str) -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 32, 3, binarizer=name), nn.BatchNorm2d(32), Sign(),
        nn.Flatten(), BinaryLinear(32 * 16, 16, 2, binarizer=name), nn.BatchNorm1d(16), Sign(),
        BinaryLinear(16, 3), Logits(3),
    )  # fmt: skip
    x = images(20, 1, 6, 6)
    settle(learned(net), x)
    with torch.no_grad():  # a mean that is a sum times its scale: the norm is nearly 0 there
        scale = net[1].alpha
        net[2].running_mean.copy_((net[2].running_mean / scale).round() * scale)
        net[2].bias.zero_()
    program = assert_same(net, x)
    assert op_names(program) == ["Quantize", "Planes", "Conv", "Conv", "Conv", "Link"]


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)])
def test_a_block_in_the_order_of_xnor_net_pools_whole_sums(pool: nn.Module) -> None:
    def block(n_in: int, n_out: int) -> list[nn.Module]:
        conv = BinaryConv2d(n_in, n_out, 3, padding=1, pad_value=0, binarizer="xnor")
        return [nn.BatchNorm2d(n_in), Sign(), conv, pool]

    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 6, 1), *block(6, 8), *block(8, 8),
        nn.BatchNorm2d(8), Sign(), nn.Flatten(), BinaryLinear(32, 4), Logits(4),
    )  # fmt: skip
    x = images(12, 1, 8, 8)
    program = assert_same(settle(learned(net), x), x)
    pooled = ["Conv", "Pool", "Threshold"]
    assert op_names(program) == ["Quantize", "Planes", "Conv", *pooled, *pooled, "Conv", "Link"]


def test_a_scale_that_falls_is_not_moved_behind_a_max_pooling() -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 6, 3, binarizer="xnor_learned"), nn.MaxPool2d(2),
        nn.BatchNorm2d(6), Sign(), nn.Flatten(), BinaryLinear(24, 4), Logits(4),
    )  # fmt: skip
    x = images(12, 1, 6, 6)
    settle(learned(net), x)
    assert net[1].scale.min() < 0 < net[1].scale.max()
    kept = ["Quantize", "Planes", "Conv", "Affine", "Pool", "Threshold", "Conv", "Link"]
    assert op_names(assert_same(net, x)) == kept
    net[1].scale.data.abs_()
    moved = ["Quantize", "Planes", "Conv", "Pool", "Threshold", "Conv", "Link"]
    assert op_names(assert_same(net, x)) == moved


def rising(name: str, rng: np.random.Generator, n: int) -> nn.Module:
    """Return a layer, most often one that never falls."""

    def drawn(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, n).astype(np.float32))

    low = -1.0 if rng.random() < 0.2 else 0.0
    match name:
        case "scale":
            return Scale.of(drawn(low, 2), drawn(-3, 3))
        case "shift":
            layer = Shift(n)
            layer.shift.data = drawn(-5, 5)
            return layer
        case "norm":
            norm = nn.BatchNorm2d(n)
            norm.weight.data, norm.bias.data = drawn(low, 2), drawn(-3, 3)
            norm.running_mean, norm.running_var = drawn(-5, 5), drawn(0, 9)
            return norm
        case "shift norm":
            shifts = ShiftBatchNorm2d(n)
            shifts.weight.data, shifts.bias.data = drawn(low, 2), drawn(-3, 3)
            shifts.running_mean, shifts.running_scale = drawn(-5, 5), drawn(0.1, 2)
            return shifts
        case "rprelu":
            bend = RPReLU(n)
            bend.before.data, bend.slope.data, bend.after.data = (
                drawn(-3, 3),
                drawn(0, 1),
                drawn(-3, 3),
            )
            return bend
        case "prelu":
            return nn.PReLU(n, init=0.3)
        case "leaky":
            return nn.LeakyReLU(0.1)
        case _:
            return nn.ReLU()


@LAW
@given(
    names=st.lists(
        st.sampled_from(
            ["scale", "shift", "norm", "shift norm", "rprelu", "prelu", "leaky", "relu"]
        ),
        max_size=3,
    ),
    is_float=st.booleans(),
    after=st.sampled_from(["shift", "norm"]),
    seed=st.integers(0, 2**31),
)
def test_what_never_falls_changes_places_with_a_max_pooling(
    names: list[str], is_float: bool, after: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    start = [nn.PReLU(6), Residual(nn.Identity())] if is_float else []
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 6, 3, generator=seeded(seed)), *start,
        *[rising(name, rng, 6) for name in names], nn.MaxPool2d(2), rising(after, rng, 6), Sign(),
        nn.Flatten(), BinaryLinear(24, 4, generator=seeded(seed)), Logits(4),
    )  # fmt: skip
    x = images(8, 1, 6, 6, seed=seed)
    net = fold_norms(net)
    program = lower_cnn(net, (1, 6, 6))
    np.testing.assert_array_equal(packed_answers(program, x), answers_of(net, x))


@pytest.mark.parametrize("kernel", [3, (2, 3), 5])
@pytest.mark.parametrize("padding", [0, 1])
def test_an_average_that_a_sign_follows_is_exact_over_any_number_of_pixels(
    kernel: Any, padding: int
) -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 16, 3), nn.AvgPool2d(kernel, 1, padding), nn.BatchNorm2d(16),
        Sign(), nn.AvgPool2d(3), Shift(16), Sign(), nn.AdaptiveAvgPool2d(1), Sign(),
        nn.Flatten(), BinaryLinear(16, 4), Logits(4),
    )  # fmt: skip
    x = images(20, 1, 12, 12)
    assert "Affine" not in op_names(assert_same(settle(net, x), x))


def test_answers_may_be_averages_of_sums() -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 5, 3), nn.AvgPool2d(4), nn.Flatten(), Logits(5, scale=0.25)
    )
    assert op_names(assert_same(net, images(9, 1, 6, 6)))[-2:] == ["Pool", "Link"]


def test_shift_based_norms_lower() -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 6, 3), ShiftBatchNorm2d(6), nn.PReLU(6), Residual(nn.Identity()),
        Sign(), nn.Flatten(), BinaryLinear(96, 8), ShiftBatchNorm1d(8), Sign(), BinaryLinear(8, 4),
        ShiftBatchNorm1d(4),
    )  # fmt: skip
    x = images(12, 1, 6, 6)
    net.train()(x)
    program = lower_cnn(net, (1, 6, 6))
    # a last norm is one step of float64 in a Program and two of float32 in torch
    np.testing.assert_allclose(packed_answers(program, x), answers_of(net, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SCALED)
def test_a_scale_behind_the_last_layer_multiplies_the_answers(name: str) -> None:
    net = nn.Sequential(
        BitPlanes(), nn.Flatten(), BinaryLinear(128, 4, binarizer=name), nn.BatchNorm1d(4)
    )
    x = images(12, 1, 4, 4)
    settle(learned(net), x)
    answers = packed_answers(lower_cnn(net, (1, 4, 4)), x)
    np.testing.assert_allclose(answers, answers_of(net, x), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(answers.argmax(1), answers_of(net, x).argmax(1))


def test_weights_drawn_at_random_in_training_lower_as_their_signs() -> None:
    net = nn.Sequential(
        BitPlanes(),
        nn.Flatten(),
        BinaryLinear(128, 4, binarizer="binaryconnect_stochastic"),
        Logits(4),
    ).train()
    first, again = (lower_cnn(net, (1, 4, 4)).id for _ in range(2))
    assert first == again
    assert net[2].training
    assert_same(net, images(5, 1, 4, 4))


@pytest.mark.parametrize("name", NAMES)
def test_a_dense_layer_of_a_table_is_asked_with_its_scale(name: str) -> None:
    layer, norm = BinaryLinear(40, 16, 2, binarizer=name), nn.BatchNorm1d(16)
    bits = torch.randint(0, 2, (64, 40), generator=seeded(0)).float() * 2 - 1
    net = nn.Sequential(layer, norm)
    settle(learned(net), bits)
    with torch.no_grad():
        expected = (net(bits) >= 0).numpy()
    layer.train()
    op = lower_dense(layer, norm, input_value=1)
    assert layer.training
    np.testing.assert_array_equal(_fires(op, (bits > 0).numpy()), expected)


def _fires(op: Any, bits: Any) -> Any:
    """Return what a `Dense` makes of bits, worked out by its definition."""
    k = op.n_in // op.groups
    weights = np.unpackbits(op.weights, axis=1, bitorder="little")[:, :k].astype(bool)
    per_group = len(weights) // op.groups
    parts = [bits[:, (o // per_group) * k :][:, :k] != weights[o] for o in range(len(weights))]
    return np.stack([part.sum(1) for part in parts], axis=1) <= op.thresholds


def test_one_layer_in_several_places_is_lowered_in_all_of_them() -> None:
    sign, conv = Sign(), BinaryConv2d(6, 6, 3, padding=1)
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 6, 1), sign, conv, sign, conv, sign, conv, sign,
        nn.Flatten(), BinaryLinear(96, 4), Logits(4),
    )  # fmt: skip
    program = assert_same(net, images(9, 1, 4, 4))
    assert op_names(program).count("Conv") == 5


def net_with(layer: nn.Module) -> nn.Module:
    return nn.Sequential(BitPlanes(), nn.Flatten(), layer, Logits(4))


def test_weights_around_a_middle_are_refused_by_name() -> None:
    with pytest.raises(ProgramError, match=r"layer '2' \(BinaryLinear\): .*AdaBin.*'xnor_learned'"):
        lower_cnn(net_with(BinaryLinear(128, 4, binarizer="adabin")), (1, 4, 4))
    with pytest.raises(ProgramError, match="AdaBin"):
        lower_dense(BinaryLinear(8, 4, binarizer="adabin"), nn.BatchNorm1d(4), 1)


def test_latent_weights_at_work_are_refused_by_name() -> None:
    net = net_with(BinaryLinear(128, 4, binarizer="xnor"))
    with real_weights(net), pytest.raises(ProgramError, match=r"latent weights .* `real_weights`"):
        lower_cnn(net, (1, 4, 4))
    assert isinstance(lower_cnn(net, (1, 4, 4)), Program)
    assert run(lower_cnn(net, (1, 4, 4)), np.zeros((1, 16), np.float32)).shape == (1, 4)
