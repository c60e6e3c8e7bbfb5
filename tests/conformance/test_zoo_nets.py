"""The laws of every net of the zoo: a new member of `NETS` is held to them by being listed."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bimetal import zoo
from bimetal.errors import DataError
from bimetal.lower import lower_cnn
from bimetal.nn import binary_layers, clip_latent, fold_norms, latent_weights
from bimetal.nn.activations import Bytes
from bimetal.nn.deploy import with_byte_activations
from bimetal.reference import run
from bimetal.runtime import Engine
from bimetal.zoo.sequences import n_steps_seen

each_net = pytest.mark.parametrize("member", zoo.NETS, ids=[member.name for member in zoo.NETS])
BY_NAME = {member.name: member for member in zoo.NETS}
N_CLASSES = 7


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)  # nets as small as these only wait for each other's threads
    yield
    torch.set_num_threads(n)


def built(member: zoo.Architecture, binary: bool = True, **options: Any) -> zoo.Net:
    return member.build(
        **{"n_classes": N_CLASSES, "seed": 0, **member.small, **options}, binary=binary
    )


def inputs(net: zoo.Net, n: int = 4, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *net.image_shape), generator=generator).float()


def rows(x: Tensor) -> Any:
    return x.movedim(1, -1).reshape(len(x), -1).numpy()


def test_every_net_is_on_the_face_of_the_zoo() -> None:
    assert {member.name for member in zoo.NETS} <= set(zoo.__all__)
    assert all(getattr(zoo, member.name) is member.build for member in zoo.NETS)
    assert len({member.name for member in zoo.NETS}) == len(zoo.NETS)


@each_net
def test_a_net_has_the_options_of_all_nets(member: zoo.Architecture) -> None:
    options = inspect.signature(member.build).parameters
    assert {"binary", "n_classes", "seed"} <= set(options)
    assert member.summary.endswith((".", ",")) or ":" in member.summary


@each_net
@pytest.mark.parametrize("binary", [True, False])
def test_either_twin_answers_each_picture_with_a_number_a_class(
    member: zoo.Architecture, binary: bool
) -> None:
    net = built(member, binary).eval()
    x = inputs(net)
    with torch.no_grad():
        answers = net(x)
    assert answers.shape == (4, N_CLASSES)
    assert bool(answers.isfinite().all())
    assert bool(binary_layers(net)) == binary


@each_net
def test_the_same_seed_makes_the_same_net_and_leaves_torchs_generator_alone(
    member: zoo.Architecture,
) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (built(member, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


@each_net
@pytest.mark.parametrize("binary", [True, False])
def test_a_step_of_training_reaches_every_parameter(member: zoo.Architecture, binary: bool) -> None:
    net = built(member, binary).train()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    loss = cross_entropy(net(inputs(net, N_CLASSES)), torch.arange(N_CLASSES))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    with torch.no_grad():
        for p in net.parameters():
            p.sub_(0.01 * p.grad.sign())
    clip_latent(net)
    unmoved = [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
    assert not [name for name in unmoved if name.endswith("weight")], "weights learn at once"
    with torch.no_grad():
        assert net(inputs(net, 3)).isfinite().all()


def assert_same(net: zoo.Net, has_real_activations: bool = False) -> None:
    """Calibrate a net, lower it, and require that all three answer alike."""
    zoo.calibrate(net)
    x = inputs(net)
    # what a Program computes: a norm that no sign follows is a scale and an offset, rounded each
    exact = with_byte_activations(net, x) if has_real_activations else fold_norms(net)
    with torch.no_grad():
        expected = exact(x).numpy()
    program = lower_cnn(exact, net.image_shape)
    answers = run(program, rows(x))
    np.testing.assert_array_equal(Engine(program).run(rows(x)), answers)
    # a norm behind the last sums is one float64 step in a Program and two float32 ones in torch
    np.testing.assert_allclose(answers, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(answers.argmax(1), expected.argmax(1))
    assert len(np.unique(expected, axis=0)) == len(x), "different pictures, different answers"


@each_net
def test_a_net_and_its_program_answer_alike(member: zoo.Architecture) -> None:
    assert_same(built(member), member.has_real_activations)


VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("binaryconnect_mlp", {"stochastic": True, "in_channels": 3}),
    ("binarynet_mlp", {"stem": "threshold"}),
    ("binarynet_mlp", {"stem": "thermometer", "n_levels": 3, "in_channels": 2}),
    ("binarynet_mlp", {"stem": "planes", "in_channels": 3}),
    ("xnor_mlp", {"binarizer": "xnor_corrected", "in_channels": 3}),
    ("finn_mlp", {"n_hidden": 1, "in_channels": 3}),
    ("lut_mlp", {"hidden": (), "in_channels": 3, "connections": "random", "fan_in": 4}),
    ("lut_mlp", {"hidden": (60, 50), "degree": 6, "n_levels": 1}),
    ("lenet5_xnor", {"binarizer": "xnor_learned", "in_channels": 3}),
    ("vgg_small", {"dense": (), "last": "8bit", "pad_value": 0}),
    ("vgg_small", {"in_channels": 1, "binarizer": "ir_net", "image_size": 14}),
    ("xnor_alexnet", {"in_channels": 1, "pad_value": 1}),
    ("bi_real18", {"shortcut": "conv", "in_channels": 1, "pad_value": 0}),
    ("bi_real18", {"stem": "imagenet", "image_size": 32}),
    ("react18", {"shortcut": "conv", "stem": "imagenet", "image_size": 32}),
    ("reactnet", {"stem": "imagenet", "image_size": 32, "in_channels": 1}),
    ("quicknet", {"stem": "imagenet", "image_size": 32, "in_channels": 1}),
    ("binary_tcn", {"pad_value": 0, "kernel_size": 2, "binarizer": "xnor", "length": 5}),
)


@pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=[f"{name}-{list(o.values())}" for name, o in VARIANTS]
)
def test_options_change_the_net_and_its_program_alike(name: str, options: dict[str, Any]) -> None:
    member = BY_NAME[name]
    net = built(member, **options)
    assert_same(net, member.has_real_activations)
    if "in_channels" in options:
        assert net.image_shape[0] == options["in_channels"]
    if "image_size" in options:
        assert net.image_shape[1:] == (options["image_size"],) * 2


ERRORS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("binarynet_mlp", {"stem": "float"}, "stem must be one of .* got 'float'"),
    ("binarynet_mlp", {"hidden": (4, 0)}, "sizes must be at least 1, got 0"),
    ("binaryconnect_mlp", {"n_classes": 0}, "sizes must be at least 1, got 0"),
    ("xnor_mlp", {"binarizer": "best"}, "binarizer must be .* got 'best'"),
    ("xnor_mlp", {"hidden": ()}, "needs a hidden layer"),
    ("finn_mlp", {"width": 0}, "sizes must be at least 1, got 0"),
    ("lut_mlp", {"votes": 0}, "sizes must be at least 1, got 0"),
    ("lut_mlp", {"fan_in": 9}, "fan_in must be from 1 to 8, got 9"),
    ("lenet5_xnor", {"image_size": 15}, "lenet5_xnor needs an image_size of at least 16, got 15"),
    ("xnor_alexnet", {"image_size": 62}, "xnor_alexnet needs an image_size of at least 63, got 62"),
    ("vgg_small", {"width": 0}, "width must be above 0, got 0"),
    ("vgg_small", {"image_size": 7}, "vgg_small needs an image_size of at least 8, got 7"),
    ("vgg_small", {"last": "2bit"}, "last must be one of .* got '2bit'"),
    ("vgg_small", {"pad_value": 3}, "pad_value must be -1, 0 or 1, got 3"),
    ("bi_real18", {"stem": "mnist"}, "stem must be one of .* got 'mnist'"),
    ("bi_real18", {"shortcut": "none"}, "shortcut must be one of .* got 'none'"),
    ("bi_real18", {"image_size": 20}, "image_size must be a multiple of 8, .* got 20"),
    ("react18", {"stem": "imagenet", "image_size": 48}, "image_size must be a multiple of 32"),
    ("reactnet", {"image_size": 24}, "image_size must be a multiple of 16, .* got 24"),
    ("quicknet", {"sections": (4, 4)}, "QuickNet has 4 sections, got 2"),
    ("quicknet", {"sections": (4, 4, 0, 4)}, "sizes must be at least 1, got 0"),
    ("binary_tcn", {"length": 0}, "sizes must be at least 1, got 0"),
    ("binary_tcn", {"n_levels": 255}, "a thermometer has 1 to 254 levels, got 255"),
)


@pytest.mark.parametrize(("name", "options", "message"), ERRORS)
def test_what_makes_no_net_says_why(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        built(BY_NAME[name], **options)


def test_a_series_of_any_numbers_is_read_by_the_range_of_each_channel() -> None:
    net = zoo.binary_tcn(3, n_channels=2, length=20, width=8, n_blocks=2, seed=0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 2, 20, generator=generator) * torch.tensor([[0.01], [1000.0]])
    zoo.calibrate(net, x)
    assert net.features[0].high.tolist() == x.amax((0, 2)).tolist()
    folded = fold_norms(net)
    with torch.no_grad():
        expected = folded(x).numpy()
    np.testing.assert_array_equal(run(lower_cnn(folded), rows(x)), expected)
    assert len(np.unique(expected, axis=0)) == len(x)


def test_a_series_is_answered_from_the_steps_that_it_says_and_no_others() -> None:
    seen, length = n_steps_seen(2, 3), 20
    net = zoo.binary_tcn(3, 1, length, width=16, n_blocks=2, seed=0).eval()
    net.features[0].high.fill_(255.0)
    x = inputs(net, 64)
    zoo.calibrate(net, x)
    changed, unchanged = x.clone(), x.clone()
    changed[:, :, length - seen] = 255 - x[:, :, length - seen]
    unchanged[:, :, : length - seen] = 255 - x[:, :, : length - seen]
    with torch.no_grad():
        assert torch.equal(net(unchanged), net(x))
        assert not torch.equal(net(changed), net(x))


def test_calibration_also_fits_the_ranges_of_bytes_and_leaves_modes_alone() -> None:
    net = built(BY_NAME["quicknet"]).train()
    x = inputs(net, 6)
    zoo.calibrate(net, x)
    assert all(module.training for module in net.modules())
    ranges = [module for module in net.modules() if isinstance(module, Bytes)]
    assert len(ranges) == 6
    assert all(int(module.n_batches) == 1 for module in ranges)


N_BITS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("finn_mlp", {"width": 64}, 784 * 64 + 2 * 64**2 + 640),
    ("finn_mlp", {"width": 1024}, 784 * 1024 + 2 * 1024**2 + 10_240),
    ("binarynet_mlp", {}, 784 * 4096 + 2 * 4096**2 + 40_960),
    ("binaryconnect_mlp", {}, 784 * 1024 + 2 * 1024**2 + 10_240),
    ("lenet5_xnor", {}, 20 * 50 * 25 + 800 * 500),
    ("vgg_small", {}, 4_571_136 + 8192 * 1024 + 1024**2 + 10_240),
    ("vgg_small", {"dense": (), "last": "8bit"}, 4_571_136),
    (
        "xnor_alexnet",
        {},
        96 * 256 * 25 + 9 * (256 * 384 + 384**2 + 384 * 256) + 9216 * 4096 + 4096**2,
    ),
    ("bi_real18", {}, 10_985_472),  # of ResNet-18: all but the first convolution and the shortcuts'
    ("react18", {}, 10_985_472),
    ("reactnet", {}, 28_253_184),  # counted in the authors' own net
    ("quicknet", {}, 4 * 9 * (64**2 + 128**2 + 256**2 + 512**2)),
)


@pytest.mark.parametrize(("name", "options", "n_bits"), N_BITS)
def test_a_net_of_full_size_has_the_published_number_of_binary_weights(
    name: str, options: dict[str, Any], n_bits: int
) -> None:
    with torch.device("meta"):
        net = BY_NAME[name].build(**options)
    assert sum(weight.numel() for weight in latent_weights(net)) == n_bits
