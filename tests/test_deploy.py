"""A net of real activations, copied with bytes in their place: near the net, equal to its Program."""

from typing import Any

import numpy as np
import pytest
import torch
from lowering import (  # noqa: F401  (the fixture works by being here)
    answers_of,
    assert_same,
    images,
    one_thread,
    op_names,
    settle,
)
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BINARIZERS,
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    Logits,
    Policy,
    Residual,
    Scale,
    Sign,
    binarize_,
    fold_norms,
    real_weights,
)
from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.deploy import with_byte_activations
from bimetal.nn.norms import ShiftBatchNorm1d
from bimetal.packed import verify

NAMES = [name for name, how in BINARIZERS.items() if not how.is_shifted]


def mlp(binarizer: str = "binaryconnect", act: Any = nn.ReLU) -> nn.Sequential:
    """Return BinaryConnect's kind of net on pictures of one channel, 8 × 8."""
    layers: list[nn.Module] = [Pixels(0.3, 0.3), nn.Dropout(), nn.Flatten()]
    for n_in, n_out in ((64, 48), (48, 32)):
        layers += [BinaryLinear(n_in, n_out, binarizer=binarizer), nn.BatchNorm1d(n_out), act()]
    return nn.Sequential(
        nn.Sequential(*layers),
        nn.Sequential(BinaryLinear(32, 5, binarizer=binarizer), nn.BatchNorm1d(5)),
    )


def trained(net: nn.Module, x: Tensor) -> nn.Module:
    """Give norms the statistics of the data, and positive scales."""
    settle(net, x)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.weight.data.abs_().add_(0.2)
    return net


def near(net: nn.Module, copied: nn.Module, x: Tensor) -> float:
    """Return how far the answers of the copy are off, in deviations of the answers."""
    expected = answers_of(net, x)
    return float(np.abs(answers_of(copied, x) - expected).mean() / expected.std())


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_near_the_net_and_equals_its_program(name: str) -> None:
    x = images(64, 1, 8, 8)
    net = trained(mlp(name), x)
    copied = with_byte_activations(net, x)
    program = assert_same(copied, x)
    assert near(net, copied, x) < 0.02
    hidden = ["ByteConv", "Affine", "Quantize"]
    assert op_names(program) == ["Quantize", *hidden, *hidden, "ByteConv", "Link"]


def conv_net(pool_first: bool, act: nn.Module, pad_value: int, last: nn.Module) -> nn.Sequential:
    first = BinaryConv2d(1, 8, 3, padding=1, pad_value=0, binarizer="binaryconnect")
    second = BinaryConv2d(8, 6, 3, padding=1, pad_value=pad_value, binarizer="bi_real")  # type: ignore[arg-type]
    norm, pool = nn.BatchNorm2d(8), nn.MaxPool2d(2)
    middle = [pool, norm, act] if pool_first else [norm, act, pool]
    return nn.Sequential(
        Pixels(0.5, 0.5), first, *middle, second, nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Dropout(), last,
    )  # fmt: skip


@pytest.mark.parametrize("pool_first", [True, False])
@pytest.mark.parametrize("act", [nn.ReLU(), nn.LeakyReLU(0.3), nn.PReLU(8, 0.5)])
@pytest.mark.parametrize("pad_value", [0, 1])
def test_convolutions_are_copied_with_their_edges(
    pool_first: bool, act: nn.Module, pad_value: int
) -> None:
    x = images(64, 1, 8, 8)
    net = trained(conv_net(pool_first, act, pad_value, BinaryLinear(24, 5)), x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    assert near(net, copied, x) < 0.03
    kinds = [type(layer) for layer in copied]
    assert kinds.count(Bytes) == 2
    assert kinds.index(Bytes) < kinds.index(nn.MaxPool2d) or pool_first, "bytes are pooled"


def test_zero_is_exactly_a_byte_so_the_edge_is_exact() -> None:
    x = images(64, 1, 8, 8)
    net = trained(conv_net(False, nn.LeakyReLU(0.5), 0, BinaryLinear(24, 5)), x)
    copied = with_byte_activations(net, x)
    ranged: Any = next(layer for layer in copied if isinstance(layer, Bytes))
    second: Any = [layer for layer in copied if isinstance(layer, BinaryConv2d)][1]
    assert ranged(torch.zeros(1, 1)).item() == second.pad_value > 0
    assert (
        abs(ranged.low.item() + second.pad_value * (ranged.high - ranged.low).item() / 255) < 1e-6
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_ordinary_layers_become_layers_of_eight_bits(bias: bool, norm: bool) -> None:
    x = images(64, 1, 8, 8)
    net = conv_net(False, nn.ReLU(), 0, nn.Linear(24, 5, bias))
    net[1] = nn.Conv2d(1, 8, 3, padding=1, bias=bias)
    net[5] = nn.Conv2d(8, 6, 3, padding=1, bias=bias)
    if norm:
        net.append(nn.BatchNorm1d(5))
    trained(net, x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    assert near(net, copied, x) < 0.03
    assert sum(isinstance(layer, ByteConv2d) for layer in copied) == 2


def test_an_ordinary_first_layer_may_read_the_picture_itself() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        BinaryLinear(144, 3),
        Logits(3),
    )
    x = images(32, 2, 8, 8)
    trained(net, x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    assert near(net, copied, x) < 0.02


@pytest.mark.parametrize("bias", [True, False])
def test_a_net_made_binary_but_for_its_ends_is_copied(bias: bool) -> None:
    net = nn.Sequential(
        Pixels((0.4, 0.6), (0.2, 0.5)), nn.Conv2d(2, 8, 3, bias=bias), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, bias=bias), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(72, 32, bias), nn.ReLU(), nn.Linear(32, 4, bias),
    )  # fmt: skip
    binarize_(net, Policy(binarizer="xnor"))
    x = images(64, 2, 8, 8)
    trained(net, x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    assert near(net, copied, x) < 0.2, "the sign of a sum near 0 flips now and then"
    kinds = [type(layer).__name__ for layer in copied]
    assert (kinds.count("ByteConv2d"), kinds.count("BinaryConv2d"), kinds.count("ByteLinear")) == (
        1,
        1,
        1,
    )


def test_ordinary_ends_on_pixels_and_on_bits_become_layers_of_eight_bits() -> None:
    net = nn.Sequential(
        Pixels((0.4, 0.6), (0.2, 0.5)), nn.Flatten(), nn.Linear(128, 32), nn.BatchNorm1d(32), Sign(),
        BinaryLinear(32, 16), nn.BatchNorm1d(16), Sign(), nn.Linear(16, 4), nn.BatchNorm1d(4),
    )  # fmt: skip
    x = images(256, 2, 8, 8)
    trained(net, x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    same = answers_of(net, x).argmax(1) == answers_of(copied, x).argmax(1)
    assert same.mean() > 0.8, "signs of sums near 0 differ, now and then"


@pytest.mark.parametrize("first", ["conv", "binary", "flatten", "norm", "sign"])
@pytest.mark.parametrize("spread", [0.2, 3.0])
def test_inputs_that_are_no_bytes_are_made_bytes_first(first: str, spread: float) -> None:
    begin: dict[str, list[nn.Module]] = {
        "conv": [nn.Conv2d(2, 6, 3, padding=1), nn.Flatten()],
        "binary": [BinaryConv2d(2, 6, 3, padding=1, pad_value=0), nn.Flatten()],
        "flatten": [nn.Flatten(), BinaryLinear(128, 384)],
        "norm": [nn.BatchNorm2d(2), Sign(), nn.Flatten(), BinaryLinear(128, 384)],
        "sign": [nn.Flatten(), Sign(), BinaryLinear(128, 384)],
    }
    net = nn.Sequential(*begin[first], nn.BatchNorm1d(384), nn.ReLU(), nn.Linear(384, 3))
    x = spread * torch.randn(80, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    trained(net, x)
    copied = with_byte_activations(net, x)
    answers = copied(x)
    assert torch.corrcoef(torch.stack([answers.flatten(), net.eval()(x).flatten()]))[0, 1] > 0.97
    assert verify(copied, x).is_exact


def test_layers_that_read_bits_stay_on_bits() -> None:
    net = nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 8, 3, padding=1, binarizer="xnor"), nn.BatchNorm2d(8), Sign(),
        Residual(nn.Sequential(BinaryConv2d(8, 8, 1), nn.BatchNorm2d(8))), nn.ReLU(), nn.Flatten(),
        BinaryLinear(8 * 64, 8), ShiftBatchNorm1d(8), Sign(), BinaryLinear(8, 3, binarizer="bi_real"),
        nn.BatchNorm1d(3),
    )  # fmt: skip
    x = images(32, 1, 8, 8)
    trained(net, x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    assert [type(layer).__name__ for layer in copied].count("Bytes") == 1


def test_a_net_of_signs_alone_is_copied_with_its_norms_folded() -> None:
    net = nn.Sequential(
        Pixels(0.5, 0.5), nn.Flatten(), BinaryLinear(64, 32), nn.BatchNorm1d(32), Sign(),
        BinaryLinear(32, 4), nn.BatchNorm1d(4),
    )  # fmt: skip
    x = images(64, 1, 8, 8)
    trained(net, x)
    copied = with_byte_activations(net, x)
    assert_same(copied, x)
    torch.testing.assert_close(copied(x), net(x), atol=1e-5, rtol=1e-5)


def test_the_net_is_left_as_it_was() -> None:
    x = images(32, 1, 8, 8)
    net = trained(mlp("xnor_learned"), x).train()
    net[0][3].eval()
    net.image_shape = (1, 8, 8)  # type: ignore[assignment]
    modes = [module.training for module in net.modules()]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    copied = with_byte_activations(net, x)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert copied.image_shape == (1, 8, 8)
    lower_cnn(copied)
    shared = {p.data_ptr() for p in net.parameters()} & {p.data_ptr() for p in copied.parameters()}
    assert not shared


def test_activations_that_are_all_zero_have_a_range_too() -> None:
    net = nn.Sequential(
        nn.Flatten(), BinaryLinear(16, 4), Scale(4), nn.ReLU(), BinaryLinear(4, 2), Logits(2)
    )
    net[2].scale.data.zero_()
    x = images(4, 1, 4, 4)
    copied = with_byte_activations(net, x)
    assert torch.equal(copied(x), fold_norms(net)(x))


def test_what_cannot_be_copied_is_named() -> None:
    x = images(8, 1, 8, 8)
    with pytest.raises(DataError, match="ranges are found from inputs, got none"):
        with_byte_activations(mlp(), x[:0])
    with pytest.raises(DataError, match=r"layer '0\.3' \(BinaryLinear\): .*AdaBin"):
        with_byte_activations(mlp("adabin"), x)
    on_bits = nn.Sequential(BitPlanes(), nn.Conv2d(8, 4, 3))
    with pytest.raises(
        DataError, match=r"layer '1' \(Conv2d\): an ordinary convolution reads no bits"
    ):
        with_byte_activations(on_bits, x)
    net = mlp()
    with real_weights(net), pytest.raises(DataError, match="latent weights at work"):
        with_byte_activations(net, x)
