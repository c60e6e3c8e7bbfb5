"""Lowering nets on pictures: torch and the Program give the same answers, to the last bit."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bimetal.errors import ProgramError
from bimetal.lower import lower_cnn
from bimetal.lower.asking import FLOATS, MOST_ASKED, Span, crossing
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Repeat,
    Residual,
    RPReLU,
    Scale,
    Shift,
    Sign,
    Thermometer,
    bi_real_block,
    fold_norms,
    react_block,
)
from bimetal.program import Program
from bimetal.reference import run

GAMMAS = [0.0, -0.0, 1e-45, -1e-45, 1e30, -1e30, 1.0, -1.0]
BETAS = [0.0, -0.0, 1e-45, -1e-45, 1e3, -1e3]
LAW = settings(max_examples=40, deadline=None)


def images(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed)).float()


def rows(x: Tensor) -> Any:
    return x.permute(0, 2, 3, 1).reshape(len(x), -1).numpy()


@torch.no_grad()
def torch_answers(net: nn.Module, x: Tensor) -> Any:
    return net.eval()(x).numpy()


def assert_same(net: nn.Module, x: Tensor, program: Program | None = None) -> Program:
    """Lower the net and require equal answers for the pictures."""
    program = program or lower_cnn(net, tuple(x.shape[1:]))
    np.testing.assert_array_equal(run(program, rows(x)), torch_answers(net, x))
    return program


@torch.no_grad()
def spoil(net: nn.Module, x: Tensor, rng: np.random.Generator) -> None:
    """Give norms statistics of the data, and scales and biases of every kind, ties among them."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    net.train()
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    net(x)
    for norm in norms:
        n = norm.num_features
        odd = torch.from_numpy(rng.random(n) < 0.3)
        means = norm.running_mean
        means[odd] = means[odd].round()  # a sum that can occur: the norm is nearly 0 there
        for parameter, odd_ones in ((norm.weight, GAMMAS), (norm.bias, BETAS)):
            odd = torch.from_numpy(rng.random(n) < 0.3)
            drawn = torch.from_numpy(rng.normal(0, 1, n).astype(np.float32))
            picked = torch.from_numpy(rng.choice(odd_ones, n).astype(np.float32))
            parameter.copy_(torch.where(odd, picked, drawn))
    for layer in net.modules():
        if isinstance(layer, Scale | Logits | Shift | RPReLU):
            for name, p in layer.named_parameters():
                p.copy_(torch.from_numpy(rng.normal(0, 1, p.shape)))
                if name == "slope":
                    p.abs_()
    net.eval()


def stem(name: str, n_out: int, seed: int) -> list[nn.Module]:
    g = torch.Generator().manual_seed(seed)
    match name:
        case "int8":
            return [
                ByteConv2d(3, n_out, 3, 1, 1, mean=(0.5, 0.4, 0.3), std=(0.2,) * 3, generator=g)
            ]
        case "planes":
            return [BitPlanes(), BinaryConv2d(24, n_out, 3, padding=1, generator=g)]
        case _:
            return [Thermometer(5), BinaryConv2d(15, n_out, 3, padding=1, generator=g)]


@LAW
@given(
    stem_name=st.sampled_from(["int8", "planes", "thermometer"]),
    last=st.sampled_from(["1bit", "8bit"]),
    pad_value=st.sampled_from([-1, 0, 1]),
    kernel=st.sampled_from([1, 2, 3, (3, 2), (1, 3)]),
    stride=st.sampled_from([1, 2, (1, 2)]),
    padding=st.sampled_from([0, 1, (2, 1)]),
    dilation=st.sampled_from([1, 2, (2, 1)]),
    groups=st.sampled_from([1, 2, 3]),
    order=st.sampled_from(["sign pool", "pool sign", "pool norm sign", "no pool"]),
    seed=st.integers(0, 2**31),
)
def test_a_net_and_its_program_answer_alike(
    stem_name: str, last: str, pad_value: Any, kernel: Any, stride: Any, padding: Any,
    dilation: Any, groups: int, order: str, seed: int,
) -> None:  # fmt: skip
    rng, g = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    pool: nn.Module = nn.MaxPool2d(2, stride=1, padding=int(rng.integers(0, 2)))
    norm = nn.BatchNorm2d(12)
    tails: dict[str, list[nn.Module]] = {
        "sign pool": [norm, Sign(), pool],
        "pool sign": [norm, pool, nn.Dropout(), Sign()],
        "pool norm sign": [pool, norm, nn.Hardtanh(), Sign()],
        "no pool": [norm, Sign()],
    }
    features = [
        *stem(stem_name, 6, seed), nn.BatchNorm2d(6), Sign(),
        BinaryConv2d(6, 12, kernel, stride, padding, pad_value, dilation, groups, generator=g),
        *tails[order], nn.Flatten(),
    ]  # fmt: skip
    x = images(3, 3, 8, 9, seed=seed)
    n = nn.Sequential(*features)(x).shape[1]
    hidden = [BinaryLinear(n, 12, groups, generator=g), nn.BatchNorm1d(12), Sign()]
    end = (
        [BinaryLinear(12, 5, generator=g), Logits(5)] if last == "1bit" else [ByteLinear(12, 5, g)]
    )
    net = nn.Sequential(nn.Sequential(*features), nn.Sequential(*hidden, *end))
    spoil(net, x, rng)
    assert_same(net, x)


@pytest.mark.parametrize("seed", range(5))
def test_sums_of_the_other_parity_occur_at_an_edge_of_zeros(seed: int) -> None:
    conv = BinaryConv2d(3, 16, 3, padding=1, pad_value=0)  # at an edge 18 of 27 terms are left
    net = nn.Sequential(*stem("int8", 3, seed), nn.BatchNorm2d(3), Sign(), conv, Scale(16), Sign())
    net.append(nn.Flatten()).extend([BinaryLinear(16 * 20, 8), Logits(8)])
    offsets = torch.arange(-8, 8).float()  # every crossing at a sum that occurs
    net[4].offset.data = offsets
    net[4].scale.data = torch.where(torch.arange(16) % 3 == 0, -1.0, 1.0)
    assert_same(net, images(6, 3, 4, 5, seed=seed))


@pytest.mark.parametrize("block", [bi_real_block, react_block])
@pytest.mark.parametrize("pad_value", [-1, 0])
def test_blocks_with_shortcuts_answer_alike_once_norms_are_folded(
    block: Any, pad_value: Any
) -> None:
    net = nn.Sequential(
        *stem("int8", 4, 0), nn.BatchNorm2d(4), nn.PReLU(),
        block(4, 4, 1, pad_value), block(4, 8, 2, pad_value),
        nn.AvgPool2d(2), nn.BatchNorm2d(8), Shift(8), Sign(), nn.Flatten(),
        BinaryLinear(8 * 2 * 2, 10), nn.BatchNorm1d(10), Sign(), ByteLinear(10, 6),
    )  # fmt: skip
    x = images(4, 3, 8, 8)
    spoil(net, x, np.random.default_rng(1))
    for norm in net.modules():  # scales of 1e30 leave nothing to compare within a tolerance
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data.clamp_(-2, 2)
    folded = fold_norms(net)
    assert_same(folded, x)
    program = lower_cnn(net, (3, 8, 8))
    assert {"Add", "Affine", "Threshold", "PReLU"} <= {type(op).__name__ for op in program.ops}


def test_a_shortcut_net_is_near_the_unfolded_one() -> None:
    net = nn.Sequential(
        *stem("int8", 4, 0), nn.BatchNorm2d(4), bi_real_block(4, 8, 2), Sign(), nn.Flatten(),
        BinaryLinear(8 * 4 * 4, 10), nn.BatchNorm1d(10),
    )  # fmt: skip
    x = images(6, 3, 8, 8)
    net.train()(x)
    answers = run(lower_cnn(net, (3, 8, 8)), rows(x))
    np.testing.assert_allclose(answers, torch_answers(net, x), rtol=1e-5, atol=1e-5)


def tail(n: int) -> list[nn.Module]:
    """Bits of n channels (1 × 1) to answers."""
    return [nn.Flatten(), BinaryLinear(n, 4), Logits(4)]


REAL = [*stem("int8", 4, 0), nn.BatchNorm2d(4)]
BITS = [*stem("planes", 4, 0), Sign()]
PIECES: dict[str, list[nn.Module]] = {
    "max pool of sums": [*BITS, BinaryConv2d(4, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4), Sign()],
    "max pool of floats": [*REAL, RPReLU(4), nn.MaxPool2d(3, 2, 1), Shift(4), Sign()],
    "norm before the max pool": [*BITS, BinaryConv2d(4, 4, 3), Scale(4), nn.MaxPool2d(2), Shift(4), Sign()],
    "average of bits": [*BITS, nn.AvgPool2d(2, padding=1), Shift(4), Sign()],
    "average of sums": [*BITS, BinaryConv2d(4, 4, 3, padding=1, pad_value=0), nn.AvgPool2d(4), Sign()],
    "average of bytes": [nn.AvgPool2d(2), Shift(3), Sign()],
    "largest bytes": [nn.MaxPool2d(2), *BITS],
    "global average": [*BITS, nn.AdaptiveAvgPool2d(1), Shift(4), Sign()],
    "average to the same size": [*BITS, nn.AdaptiveAvgPool2d((8, 8))],
    "repeated bits": [*BITS, Repeat(3)],
    "repeated sums": [*BITS, BinaryConv2d(4, 4, 1), Repeat(2), Shift(8), Sign(), Repeat(1)],
    "repeated floats": [*REAL, Repeat(2), Sign()],
    "relu": [*REAL, nn.ReLU(), Shift(4), nn.LeakyReLU(0.5), Sign()],
    "prelu of sums": [*BITS, BinaryConv2d(4, 4, 1), nn.PReLU(4), nn.AvgPool2d(2), Sign()],
    "shortcut of bits": [*BITS, Residual(BinaryConv2d(4, 4, 1)), Sign()],
    "shortcut in a shortcut": [*REAL, Residual(Residual(nn.ReLU(), Scale(4)), Shift(4)), Sign()],
    "bits scaled": [*BITS, Scale(4), nn.AvgPool2d(2), Sign()],
    "ordinary layers": [*BITS, nn.Identity(), nn.Dropout2d(), nn.Sequential(), Repeat(2)],
    "flatten before the sign": [*BITS, BinaryConv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), Sign()],
    "norm of a flattened map": [*BITS, BinaryConv2d(4, 4, 3), nn.Flatten(), nn.BatchNorm1d(144), Sign()],
    "flattened floats": [*REAL, nn.Flatten(), nn.BatchNorm1d(256), nn.LeakyReLU(), RPReLU(256), Sign()],
    "flattened bits": [*BITS, nn.Flatten(), Scale(256), nn.ReLU(), Shift(256), Sign(), nn.Flatten()],
    "flattened picture": [nn.Flatten(), nn.BatchNorm1d(192), Sign()],
    "flattened one pixel": [*BITS, BinaryConv2d(4, 4, 8), nn.Flatten(), nn.BatchNorm1d(4), Sign()],
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_every_piece_answers_alike(name: str) -> None:
    torch.manual_seed(0)
    x = images(5, 3, 8, 8)
    body = nn.Sequential(*PIECES[name])
    n = body(x).flatten(1).shape[1]
    net = nn.Sequential(body, *tail(n))
    spoil(net, x, np.random.default_rng(0))
    assert_same(fold_norms(net), x)


def test_a_norm_of_a_flattened_map_is_asked_element_by_element() -> None:
    net = nn.Sequential(
        *BITS, BinaryConv2d(4, 4, 3, padding=1), nn.Flatten(), nn.BatchNorm1d(256), Sign(),
        *tail(256)[1:],
    )  # fmt: skip
    x = images(20, 3, 8, 8)
    spoil(net, x, np.random.default_rng(0))
    program = assert_same(net, x)
    threshold: Any = program.ops[-3]
    assert len(threshold.thresholds) == 256


def test_bits_are_pooled_by_or_and_norms_cost_nothing() -> None:
    net = nn.Sequential(*BITS, BinaryConv2d(4, 6, 3), nn.BatchNorm2d(6), nn.MaxPool2d(2), Sign(),
                        *tail(54))  # fmt: skip
    names = [type(op).__name__ for op in lower_cnn(net, (3, 8, 8)).ops]
    assert names == ["Quantize", "Planes", "Conv", "Conv", "Pool", "Conv", "Link"]


def test_a_dense_layer_on_a_map_is_a_convolution_as_large_as_the_map() -> None:
    program = lower_cnn(nn.Sequential(*BITS, *tail(4 * 8 * 8)), (3, 8, 8))
    conv: Any = program.ops[-2]
    assert (conv.shape, conv.kernel, conv.makes) == ((8, 8, 4), (8, 8), "ints")


def test_an_ordinary_first_convolution_is_rounded_to_eight_bits() -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    rest = [nn.BatchNorm2d(4), Sign(), *tail(256)]
    x = images(4, 3, 8, 8)
    net = nn.Sequential(conv, *rest)
    net.train()(x)
    twin = nn.Sequential(ByteConv2d.from_conv(conv, (0.0,) * 3, (1 / 255,) * 3), *rest)
    assert_same(twin, x, lower_cnn(net, (3, 8, 8)))


def test_pictures_are_rounded_to_bytes_alike() -> None:
    net = nn.Sequential(*stem("int8", 4, 0), nn.BatchNorm2d(4), Sign(), *tail(256))
    assert_same(net, images(4, 3, 8, 8) * 1.1 - 12.5 + 0.25)


def test_a_softmax_is_torchs_but_for_rounding() -> None:
    net = nn.Sequential(*BITS, *tail(256))
    nn.init.constant_(net[-1].scale, 0.05)
    x = images(4, 3, 8, 8)
    program = lower_cnn(net, (3, 8, 8), answer="softmax", classes=("a", "b", "c", "d"))
    expected = torch.softmax(torch.from_numpy(torch_answers(net, x)), 1).numpy()
    np.testing.assert_allclose(run(program, rows(x)), expected, rtol=1e-6)
    assert program.classes == ("a", "b", "c", "d")


def test_scales_at_the_end_multiply() -> None:
    net = nn.Sequential(*BITS, *tail(256)[:2], nn.BatchNorm1d(4), Scale(4), Logits(4))
    x = images(6, 3, 8, 8)
    spoil(net, x, np.random.default_rng(3))
    net[-3].weight.data.clamp_(-2, 2)
    answers = run(lower_cnn(net, (3, 8, 8)), rows(x))
    np.testing.assert_allclose(answers, torch_answers(net, x), rtol=1e-5, atol=1e-5)


def test_lowering_leaves_the_net_as_it_was() -> None:
    net = nn.Sequential(*REAL, bi_real_block(4, 4), Sign(), *tail(256)).train()
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    program = lower_cnn(net, (3, 8, 8), column="pixels", provenance={"from": "a test"})
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert [m.training for m in net.modules()] == modes
    assert program.columns[0].spec()["name"] == "pixels"
    assert program.provenance == {"from": "a test"}
    assert len(program.golden_x) == 0
    assert program.id == lower_cnn(net.eval(), (3, 8, 8), column="pixels").id


def bent() -> nn.Module:
    """Fires on both sides of a gap around 0."""
    layers = nn.Sequential(nn.PReLU(init=-1.0), Shift(4))
    nn.init.constant_(layers[1].shift, -0.5)
    return layers


ANY = [*BITS, *tail(256)]
ERRORS: dict[str, tuple[list[nn.Module], str]] = {
    "unknown": ([*BITS, nn.Softplus(), Sign(), *tail(256)],
        r"layer '3' \(Softplus\): cannot be lowered; supported are .*BinaryConv2d"),
    "a plain linear": ([*BITS, nn.Flatten(), nn.Linear(256, 4)],
        r"\(Linear\): cannot be lowered, since its weights are real: bimetal.nn.with_byte_"),
    "a deep one": ([nn.Sequential(*BITS, nn.Sequential(nn.GELU()))], r"layer '0.3.0' \(GELU\)"),
    "in a shortcut": ([*REAL, Residual(nn.GELU()), Sign(), *tail(256)], "layer '2.branch'"),
    "no sign": ([*stem("planes", 4, 0), BinaryConv2d(4, 4, 1)],
        r"layer '2' \(BinaryConv2d\): reads bits, but here are ints; put a Sign before it"),
    "no sign after a norm": ([*REAL, BinaryConv2d(4, 4, 1)], "here are values before a sign"),
    "no sign before a dense layer": ([*REAL, nn.Flatten(), BinaryLinear(256, 4)], "put a Sign"),
    "no sign before the last": ([*REAL, nn.Flatten(), ByteLinear(256, 4)], "put a Sign before it"),
    "bits of bits": ([*BITS, BitPlanes()], "reads bytes, but here are bits; it is the first"),
    "bytes of bits": ([*BITS, ByteConv2d(4, 4, 3)], "reads bytes"),
    "no flatten": ([*BITS, BinaryLinear(256, 4)], "put a Flatten before it"),
    "another size": ([*BITS, nn.Flatten(), BinaryLinear(255, 4)], "expects a row of 255"),
    "another last size": ([*BITS, nn.Flatten(), ByteLinear(255, 4)], "expects a row of 255"),
    "groups across channels": ([*BITS, nn.Flatten(), BinaryLinear(256, 8, 8)], "4 channels do not"),
    "other channels": ([*BITS, BinaryConv2d(5, 4, 1)], "expects 5 channels, but its input has 4"),
    "other colours": ([ByteConv2d(1, 4, 1)], "expects 1 channels, but its input has 3"),
    "another norm": ([*BITS, BinaryConv2d(4, 4, 1), nn.BatchNorm2d(5)], "expects 5 channels"),
    "a window too large": ([*BITS, BinaryConv2d(4, 4, 9)], r"window of \(9, 9\) does not fit"),
    "ceil mode": ([*BITS, nn.MaxPool2d(2, ceil_mode=True)], "without ceil_mode"),
    "average ceil mode": ([*BITS, nn.AvgPool2d(2, ceil_mode=True)], "without ceil_mode"),
    "average of the inside": ([*BITS, nn.AvgPool2d(3, padding=1, count_include_pad=False)],
        "count_include_pad only"),
    "adaptive": ([*BITS, nn.AdaptiveAvgPool2d(3)], "not supported; to"),
    "part of a flatten": ([*BITS, nn.Flatten(2)], "cannot be lowered"),
    "norm after flatten": ([*REAL, nn.Flatten(), nn.BatchNorm1d(255)], "expects 255 channels, but its"),
    "tanh without a sign": ([*REAL, nn.Tanh(), nn.MaxPool2d(2)], "can only stand before a Sign"),
    "logits inside": ([*BITS, nn.Flatten(), BinaryLinear(256, 4), Logits(4), nn.Flatten()],
        "before a Sign or at the end"),
    "not monotone": ([*BITS, BinaryConv2d(4, 4, 2), bent(), Sign()], "not monotone"),
    "not monotone bytes": ([*REAL, bent(), Sign()], "not monotone"),
    "not monotone floats": ([*REAL, nn.MaxPool2d(2), bent(), Sign()], "not monotone"),
    "shapes of a shortcut": ([*REAL, Residual(nn.Identity(), nn.MaxPool2d(2))], "its shortcut one"),
    "ends with bits": (BITS, "must end with one row of whole sums"),
    "ends with a map": ([*BITS, BinaryConv2d(4, 4, 1), Logits(4)], "ends with ints of shape"),
    "ends with floats": ([*ANY, nn.ReLU()], "it ends with ints .* → Logits → ReLU"),
    "norm of the batch": (
        [*REAL, nn.BatchNorm2d(4, track_running_stats=False)],
        "no running statistics",
    ),
    "conv with bias": ([nn.Conv2d(3, 4, 3)], "no bias"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_lowered_is_named(name: str) -> None:
    layers, message = ERRORS[name]
    with pytest.raises(ProgramError, match=message):
        lower_cnn(nn.Sequential(*layers), (3, 8, 8))


def test_arguments_that_make_no_sense_are_refused() -> None:
    net = nn.Sequential(*ANY)
    for image in (None, (8,), (3, 0, 8), (3, 0)):
        with pytest.raises(ProgramError, match=r"image must be \(channels, height, width\)"):
            lower_cnn(net, image)  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="answer must be 'logits' or 'softmax', got 'odds'"):
        lower_cnn(net, (3, 8, 8), answer="odds")  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="lowering needs float32 on the CPU"):
        lower_cnn(nn.Sequential(nn.BatchNorm2d(3).bfloat16()), (3, 8, 8))
    with pytest.raises(ProgramError, match=r"torch.float64 on cpu; lowering needs float32"):
        lower_cnn(nn.Sequential(nn.BatchNorm2d(3).double()), (3, 8, 8))
    with pytest.raises(ProgramError, match="lowering needs float32 on the CPU"):
        lower_cnn(nn.Sequential(nn.BatchNorm2d(3, device="meta")), (3, 8, 8))


class Strange(nn.Sequential):
    """A sequence that does something else."""

    def forward(self, x: Tensor) -> Tensor:
        return -x


def test_a_sequence_with_a_forward_of_its_own_is_no_sequence() -> None:
    message = "cannot be written as a sequence of layers: the step 'neg' of the model is no layer"
    with pytest.raises(ProgramError, match=message):
        lower_cnn(Strange(*ANY), (3, 8, 8))


@given(
    n=st.sampled_from([1, 2, 3, 1000, MOST_ASKED, MOST_ASKED + 1, 2**24, FLOATS.n]),
    seed=st.integers(0, 2**31),
)
@LAW
def test_the_crossing_is_found_wherever_it_is(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at, falls = rng.integers(0, n, 5), rng.random(5) < 0.5
    found = crossing(lambda places: (places >= at) != falls, n, 5)
    assert found.at.tolist() == at.tolist()
    assert found.falls.tolist() == falls.tolist()


def test_floats_are_counted_in_their_order() -> None:
    edges = np.array([0, 1, FLOATS.n // 2 - 1, FLOATS.n // 2, FLOATS.n // 2 + 1, FLOATS.n - 1])
    largest, least = np.finfo(np.float32).max, np.float32(1e-45)
    below = -np.nextafter(largest, np.float32(0))
    assert FLOATS.values(edges).tolist() == [-largest, below, -least, 0.0, least, largest]
    assert math.isfinite(FLOATS.values(np.array([FLOATS.n - 1]))[0])
    assert Span(-3, 3, 2).values(np.arange(4)).tolist() == [-3, -1, 1, 3]
