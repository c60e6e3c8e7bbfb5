"""Named nets: torchvision's layouts, twins that lower to the last bit, and the size of their files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bimetal import zoo
from bimetal.errors import DataError
from bimetal.format import load, save
from bimetal.lower import lower_cnn
from bimetal.program import Conv, Program
from bimetal.reference import run
from bimetal.runtime import Engine

NETS = {"alexnet": zoo.alexnet, "vgg16": zoo.vgg16}
N_PARAMETERS = {"alexnet": 61_100_840, "vgg16": 138_357_544}
SIZES = {"alexnet": 63, "vgg16": 32}


def small(name: str, **options: Any) -> zoo.PictureNet:
    """Return a binary net that runs in milliseconds, its norms fitted to noise."""
    net = NETS[name](True, 7, SIZES[name], 0.0625, 0, **options)
    zoo.calibrate(net)
    return net.eval()


def images(net: zoo.PictureNet, n: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, *net.image_shape), generator=generator).float()


def rows(x: torch.Tensor) -> Any:
    return x.permute(0, 2, 3, 1).reshape(len(x), -1).numpy()


def n_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", NETS)
def test_the_float_twin_has_torchvisions_parameters(name: str) -> None:
    with torch.device("meta"):
        assert n_parameters(NETS[name]()) == N_PARAMETERS[name]


@pytest.mark.parametrize("name", NETS)
def test_the_binary_twin_has_a_weight_for_each_of_the_float_one(name: str) -> None:
    with torch.device("meta"):
        plain, binary = NETS[name](), NETS[name](True)
    kinds = (nn.Conv2d, nn.Linear)
    expected = [m.weight.numel() for m in plain.modules() if isinstance(m, kinds)]
    weights = [p for n, p in binary.named_parameters() if n.endswith("weight") and p.ndim > 1]
    assert [w.numel() for w in weights] == expected


def test_weights_of_torchvisions_alexnet_fit_by_name() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in zoo.alexnet().state_dict().items()}
    convs = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3),
             10: (256, 256, 3, 3)}  # fmt: skip
    dense = {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}
    layers = {f"features.{i}": s for i, s in convs.items()}
    layers |= {f"classifier.{i}": s for i, s in dense.items()}
    expected = {f"{name}.weight": s for name, s in layers.items()}
    assert shapes == expected | {f"{name}.bias": s[:1] for name, s in layers.items()}


def test_weights_of_torchvisions_vgg_fit_by_name() -> None:
    with torch.device("meta"):
        names = [n for n in zoo.vgg16().state_dict() if n.endswith("weight")]
    convs = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    dense = [0, 3, 6]
    assert names == [f"features.{i}.weight" for i in convs] + [
        f"classifier.{i}.weight" for i in dense
    ]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("stem", ["int8", "planes", "thermometer"])
@pytest.mark.parametrize("last", ["1bit", "8bit"])
def test_a_twin_and_its_program_answer_alike(name: str, stem: str, last: str) -> None:
    net = small(name, stem=stem, last=last)
    x = images(net)
    with torch.no_grad():
        expected = net(x).numpy()
    program = lower_cnn(net)
    np.testing.assert_array_equal(run(program, rows(x)), expected)
    np.testing.assert_array_equal(Engine(program).run(rows(x)), expected)
    assert len(np.unique(expected, axis=0)) == len(x), "different pictures, different answers"


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_the_edge_counts_as_what_was_asked_for(pad_value: int) -> None:
    net = small("alexnet", pad_value=pad_value, n_levels=3, stem="thermometer")
    x = images(net)
    program = lower_cnn(net)
    with torch.no_grad():
        np.testing.assert_array_equal(run(program, rows(x)), net(x).numpy())
    padded = [op for op in program.ops if isinstance(op, Conv) and any(op.padding)]
    assert {op.pad for op in padded} == {{-1: "-1", 0: "0", 1: "+1"}[pad_value]}


def test_a_program_of_the_zoo_holds_no_floats_but_its_scales() -> None:
    names = [type(op).__name__ for op in lower_cnn(small("alexnet")).ops]
    convs = ["ByteConv", "Pool", "Conv", "Pool", "Conv", "Conv", "Conv", "Pool"]
    assert names == ["Quantize", *convs, "Conv", "Conv", "Conv", "Link"]


@pytest.mark.parametrize("name", NETS)
def test_the_same_seed_makes_the_same_net_and_leaves_torchs_generator_alone(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        NETS[name](True, 5, SIZES[name], 0.0625, seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)
    torch.manual_seed(1)
    unseeded = NETS[name](True, 5, SIZES[name], 0.0625).state_dict()
    assert all(torch.equal(first[k], unseeded[k]) for k in first)


@pytest.mark.parametrize("stem", ["int8", "planes", "thermometer"])
def test_the_neurons_of_an_untrained_net_are_alive(stem: str) -> None:
    net = zoo.alexnet(True, 10, 95, 0.25, 0, stem=stem).eval()
    x, shares = images(net, 16), []
    for part in (net.features, net.flatten, net.classifier):
        for layer in part if isinstance(part, nn.Sequential) else [part]:
            with torch.no_grad():
                x = layer(x)
            if set(x.unique().tolist()) == {-1.0, 1.0} and "Sign" in type(layer).__name__:
                ones = (x > 0).float().transpose(0, 1).flatten(1).mean(1)
                shares.append(((ones > 0) & (ones < 1)).float().mean().item())
    assert len(shares) == 7
    assert min(shares) > 0.7, shares


def test_calibration_fits_the_norms_to_the_pictures_and_nothing_else() -> None:
    net = zoo.alexnet(True, 10, 63, 0.0625, 0).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    x = images(net, 6)
    zoo.calibrate(net, x)
    after = net.state_dict()
    changed = {k.rsplit(".", 1)[1] for k in after if not torch.equal(before[k], after[k])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert all(m.training for m in net.modules())
    norm, sums = net.features[1], net.features[0](x).detach()
    torch.testing.assert_close(norm.running_mean, sums.mean((0, 2, 3)))
    assert norm.momentum == 0.1


@pytest.fixture(scope="module")
def alexnet_program() -> Program:
    return lower_cnn(zoo.alexnet(binary=True, seed=0))


def test_alexnets_whole_file_is_a_thirty_first_of_the_float_one(
    alexnet_program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "alexnet.bimetal"
    save(alexnet_program, path)
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
    size, cost = path.stat().st_size, alexnet_program.cost()
    assert size == 8 + n_header + cost.bytes
    assert n_header < 10_000
    assert 4 * N_PARAMETERS["alexnet"] / size >= 31.5
    assert load(path).id == alexnet_program.id


def test_alexnet_holds_one_bit_a_weight(alexnet_program: Program) -> None:
    stem, biases = 64 * 3 * 11 * 11, 64 + 192 + 384 + 256 + 256 + 4096 + 4096 + 1000
    assert alexnet_program.cost().bits == N_PARAMETERS["alexnet"] - stem - biases


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"image_size": 62}, "AlexNet needs an image_size of at least 63, got 62"),
    ({"width": 0.0}, "width must be above 0"),
    ({"binary": True, "stem": "float"}, "stem must be one of .* got 'float'"),
    ({"binary": True, "last": "2bit"}, "last must be one of .* got '2bit'"),
    ({"binary": True, "pad_value": 3, "width": 0.1}, "pad_value must be -1, 0 or 1"),
    ({"binary": True, "colour": "red"}, r"AlexNet has no option \['colour'\]; it has .*'stem'"),
    ({"stem": "planes"}, r"\['stem'\] are options of the binary net: pass binary=True"),
    ({"n_classes": 0, "width": 0.1}, "n_classes must be at least 1, got 0"),
]


@pytest.mark.parametrize(("options", "message"), ERRORS)
def test_what_makes_no_net_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        zoo.alexnet(**options)


def test_statistics_of_one_picture_are_refused() -> None:
    net = zoo.vgg16(True, 4, 32, 0.0625, 0)
    with pytest.raises(DataError, match="two inputs at least, got 1"):
        zoo.calibrate(net, images(net, 1))
