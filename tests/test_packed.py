"""A net and its packed twin: answers agree row by row, and the summary is the file, to the last byte."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bimetal import zoo
from bimetal.errors import DataError, ProgramError
from bimetal.format import save
from bimetal.nn import (
    BinaryLinear,
    Logits,
    Thermometer,
    TrainConfig,
    fit_classifier,
    predict,
)
from bimetal.nn.summary import summary
from bimetal.packed import Packed, rows_of, verify
from bimetal.reference import run
from bimetal.sizes import packed_summary

LOWERS = [member for member in zoo.NETS if not member.has_real_activations]
each_net = pytest.mark.parametrize("member", LOWERS, ids=[member.name for member in LOWERS])


def built(member: zoo.Architecture) -> zoo.Net:
    net = member.build(**{"n_classes": 5, **member.small, "seed": 0, "binary": True})
    zoo.calibrate(net)
    return net.eval()


def inputs(net: zoo.Net, n: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *net.image_shape), generator=generator)


@each_net
def test_the_summary_adds_up_to_the_file(member: zoo.Architecture, tmp_path: Path) -> None:
    net = built(member)
    found = packed_summary(net)
    save(Packed(net).program, tmp_path / "net.bimetal")
    assert found.file_bytes == (tmp_path / "net.bimetal").stat().st_size
    assert found.header_bytes > 0
    assert found.float_bytes == 4 * sum(p.numel() for p in net.parameters())


@each_net
def test_the_summary_counts_the_work_and_the_weights_of_torch(member: zoo.Architecture) -> None:
    net = built(member)
    found, in_torch = packed_summary(net), summary(net)
    assert sum(layer.n_bit_macs for layer in found.layers) == in_torch.total.n_bit_macs
    assert sum(layer.latent_bytes for layer in found.layers) == in_torch.total.latent_bytes


@each_net
def test_verify_says_that_the_twins_name_the_same_classes(member: zoo.Architecture) -> None:
    net = built(member)
    found = verify(net, inputs(net))
    assert found.n_equal_classes == found.n_rows == 6
    assert found.largest_difference < 1e-5


@pytest.mark.parametrize("build", [zoo.finn_mlp, zoo.vgg_small], ids=lambda f: f.__name__)
def test_a_net_that_ends_in_a_norm_is_exact_too_once_it_was_trained(build) -> None:
    net = (
        build(width=16, image_size=10, seed=0)
        if build is zoo.finn_mlp
        else build(width=0.0625, image_size=16, seed=0)
    )
    x, y = inputs(net, 64), torch.arange(64) % 10
    fit_classifier(net, x, y, TrainConfig(2, 16))
    assert verify(net, x).is_exact


def test_verify_counts_the_rows_that_differ() -> None:
    net = zoo.finn_mlp(16, image_size=10, seed=0).eval()
    packed = Packed(net)
    with torch.no_grad():
        net.classifier[0].latent_weight.neg_()
    found = verify(net, inputs(net), packed)
    assert not found.is_exact
    assert found.n_equal < found.n_rows
    assert found.largest_difference > 0


def test_packed_accuracy_is_the_share_of_right_classes() -> None:
    net = zoo.finn_mlp(16, image_size=10, seed=0).eval()
    x = inputs(net, 30)
    y = predict(net, x).argmax(1)
    assert Packed(net).accuracy(x, y) == 1
    assert Packed(net).accuracy(x, (y + 1) % 10) == 0


def test_batches_do_not_change_answers() -> None:
    net = zoo.lenet5_xnor(image_size=16, width=0.2, seed=0).eval()
    packed, x = Packed(net), inputs(net, 11)
    assert np.array_equal(packed.answers(x, 4), packed.answers(x, 11))
    assert np.array_equal(packed.answers(x), run(packed.program, rows_of(x)))


def test_a_net_of_your_own_is_verified_in_the_shape_of_its_inputs() -> None:
    net = nn.Sequential(Thermometer(2), nn.Flatten(), BinaryLinear(72, 3), Logits(3))
    assert verify(net, torch.randint(0, 256, (5, 1, 6, 6))).is_exact


def test_no_inputs_have_no_answers() -> None:
    net = zoo.finn_mlp(16, image_size=10, seed=0)
    assert Packed(net).answers(inputs(net, 0)).shape == (0, 10)


def test_inputs_and_classes_that_do_not_fit_are_refused() -> None:
    net = zoo.finn_mlp(16, image_size=10, seed=0)
    packed, x = Packed(net), inputs(net, 4)
    with pytest.raises(DataError, match=r"\(n_rows, 1, 10, 10\) expected, got \(4, 10, 10, 1\)"):
        packed.answers(x.movedim(1, -1))  # as many numbers, in another order
    for y in (torch.zeros(1), torch.zeros(4, 1)):
        with pytest.raises(DataError, match="one class for each of 4 inputs"):
            packed.accuracy(x, y)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 7), (2, 9)])
def test_rows_hold_channels_innermost(shape: tuple[int, ...]) -> None:
    x = torch.arange(np.prod(shape)).view(shape)
    rows = rows_of(x)
    assert rows.shape == (2, np.prod(shape[1:]))
    assert rows.dtype == np.float32
    assert np.array_equal(rows, rows_of(x.numpy()))
    back = rows.reshape(2, *shape[2:], shape[1])
    assert np.array_equal(np.moveaxis(back, -1, 1), x)


def test_a_table_names_every_layer_and_the_file() -> None:
    text = str(packed_summary(zoo.finn_mlp(64, seed=0)))
    assert "features.3    BinaryLinear  conv" in text
    assert "50,176" in text
    assert "× smaller" in text


def test_what_cannot_be_held_against_each_other_is_refused() -> None:
    net = zoo.finn_mlp(16, image_size=10, seed=0)
    with pytest.raises(DataError, match="no rows to verify on"):
        verify(net, inputs(net, 0))
    net.features.append(nn.GELU())
    with pytest.raises(ProgramError, match=r"\(GELU\): cannot be lowered"):
        verify(net, torch.ones(1, 4, 1, 1), None)
