"""The float net of the same layers: its sizes, shapes, names and weights."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bimetal import zoo
from bimetal.errors import DataError
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BinaryMLP,
    ByteConv2d,
    ByteLinear,
    Residual,
    Sign,
    TrainConfig,
    bi_real_block,
    binarize_,
    binary_layers,
    float_twin,
    react_block,
    real_weights,
    train,
    transfer,
)
from bimetal.nn.adaptive import XnorConv2d
from bimetal.nn.attention import BinaryAttention
from bimetal.nn.embedding import BinaryEmbedding
from bimetal.nn.float_layers import GroupedLinear
from bimetal.nn.gated import BinaryGRU, BinaryLSTM
from bimetal.nn.kbit import DoReFaActivation, DoReFaWeight
from bimetal.nn.recurrent import BinaryRNN
from bimetal.nn.sequence import BinaryConv1d, tcn_block


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost such small nets more than they give, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def n_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def is_binary_at_all(net: nn.Module) -> bool:
    kinds = (Sign, ByteConv2d, ByteLinear, DoReFaActivation)
    return bool(binary_layers(net)) or any(isinstance(module, kinds) for module in net.modules())


TWINNED: dict[str, tuple[Any, tuple[int, ...]]] = {
    "alexnet": (lambda: zoo.alexnet(True, 5, 63, 0.0625, 0), (2, 3, 63, 63)),
    "alexnet_planes": (
        lambda: zoo.alexnet(True, 5, 63, 0.0625, 0, stem="planes", last="8bit"), (2, 3, 63, 63),
    ),
    "vgg16": (lambda: zoo.vgg16(True, 5, 32, 0.0625, 0, stem="thermometer"), (2, 3, 32, 32)),
    "mlp": (lambda: BinaryMLP(6, 2, (4, 4), 3), (5, 6)),
    "bi_real": (lambda: bi_real_block(4, 8, 2), (2, 4, 6, 6)),
    "react": (lambda: react_block(4, 8, 2), (2, 4, 6, 6)),
    "xnor_with_k": (lambda: nn.Sequential(XnorConv2d(4, 6, 3, 1, 1, groups=2)), (2, 4, 6, 6)),
    "tcn": (lambda: nn.Sequential(tcn_block(4, 8), tcn_block(8, 8, dilation=2)), (2, 4, 9)),
    "conv1d": (lambda: nn.Sequential(BinaryConv1d(4, 6, 3, padding=2, groups=2)), (2, 4, 9)),
    "attention": (lambda: BinaryAttention(8, 2), (2, 3, 8)),
    "embedding": (lambda: nn.Sequential(BinaryEmbedding(256, 3, absent=1)), (2, 5)),
    "mean_embedding": (lambda: nn.Sequential(BinaryEmbedding(256, 3, "mean")), (2, 5)),
    "residual": (lambda: nn.Sequential(Residual(BinaryLinear(4, 4), BinaryLinear(4, 4))), (3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", TWINNED)
def test_a_twin_has_no_bit_in_it_and_the_same_sizes_shapes_and_names(name: str) -> None:
    make, shape = TWINNED[name]
    net = make()
    before, twin = state(net), float_twin(net)
    assert same(state(net), before)
    assert not is_binary_at_all(twin)
    assert n_parameters(twin) == n_parameters(net)
    x = torch.randint(0, 256, shape, generator=seeded())
    x = x if "embedding" in name else x.float()
    assert twin(x).shape == net(x).shape
    assert [k.replace("latent_weight", "weight") for k in before if "levels" not in k] == [
        k for k in twin.state_dict() if "levels" not in k
    ]
    assert [type(m) for m in twin.modules() if "Norm" in type(m).__name__] == [
        type(m) for m in net.modules() if "Norm" in type(m).__name__
    ]


@pytest.mark.parametrize("name", TWINNED)
def test_a_twin_shares_nothing_with_its_net_and_weights_return_by_transfer(name: str) -> None:
    net = TWINNED[name][0]()
    before, twin = state(net), float_twin(net)
    for tensor in twin.parameters():
        tensor.data.add_(1.0)
    assert same(state(net), before)
    transfer(twin, net)
    after = state(net)
    parameters = dict(net.named_parameters())
    assert all(torch.equal(after[k], before[k] + 1.0) for k in parameters)


@settings(deadline=None)
@given(groups=st.integers(1, 3), k_in=st.integers(1, 4), k_out=st.integers(1, 4))
def test_a_twin_computes_what_latent_weights_do_when_they_work_themselves(
    groups: int, k_in: int, k_out: int
) -> None:
    layer = BinaryLinear(groups * k_in, groups * k_out, groups)
    x = torch.randn(5, groups * k_in, generator=seeded())
    with real_weights(layer):
        expected = layer(x)
    torch.testing.assert_close(float_twin(layer)(x), expected)


def test_the_twin_of_a_convolution_has_its_geometry_and_weights() -> None:
    layer = BinaryConv2d(4, 6, (3, 2), (2, 1), (1, 0), 0, (1, 2), 2)
    x = torch.randn(2, 4, 9, 9, generator=seeded())
    with real_weights(layer):
        expected = layer(x)
    torch.testing.assert_close(float_twin(layer)(x), expected)


def test_the_twin_of_a_converted_net_has_its_structure_and_trains_by_the_same_loop() -> None:
    net, x = cnn(), torch.randn(64, 1, 8, 8, generator=seeded())
    binarize_(net, "react")
    twin = float_twin(net)
    assert [name for name, _ in twin.named_modules()] == [name for name, _ in net.named_modules()]
    y = x.mean((1, 2, 3)).gt(0).long()
    config = TrainConfig(max_epochs=8, batch_size=32, learning_rate=0.02, patience=None)
    loss = nn.CrossEntropyLoss()
    history = train(twin, lambda rows: loss(twin(x[rows]), y[rows]), len(x), config)
    assert history.epochs[-1].train_loss < 0.8 * history.epochs[0].train_loss


def test_a_layer_in_two_places_has_one_twin_and_modes_and_types_stay() -> None:
    shared = BinaryLinear(3, 3)
    twin = float_twin(nn.Sequential(shared, Sign(), shared).double().eval())
    assert twin[0] is twin[2]
    assert {p.dtype for p in twin.parameters()} == {torch.float64}
    assert not any(module.training for module in twin.modules())


def test_the_twin_of_a_wide_sign_is_as_wide() -> None:
    x = torch.tensor([-3.0, 1.1, 3.0])
    assert float_twin(Sign("clipped_wide"))(x).tolist() == pytest.approx([-1.25, 1.1, 1.25])
    assert float_twin(Sign("identity"))(x).tolist() == [-1.0, 1.0, 1.0]


def test_quantizers_of_weights_come_off_in_a_twin() -> None:
    layer = nn.utils.parametrize.register_parametrization(
        nn.Linear(3, 3), "weight", DoReFaWeight(2)
    )
    original = layer.parametrizations["weight"].original.detach().clone()
    twin = float_twin(nn.Sequential(layer, DoReFaActivation(2)))
    assert torch.equal(twin[0].weight, original)
    assert repr(twin[1]) == repr(nn.Hardtanh(0.0, 1.0))
    assert nn.utils.parametrize.is_parametrized(layer)


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(DataError, match="5 inputs and 4 outputs do not divide into 2 groups"):
        GroupedLinear(5, 4, 2)


@pytest.mark.parametrize("kind", [BinaryRNN, BinaryGRU, BinaryLSTM])
def test_a_recurrent_layer_has_a_twin_that_computes_what_its_latent_weights_do(kind: Any) -> None:
    layer = kind(3, 5, is_input_binary=False, binarizer="binarynet", generator=seeded()).eval()
    x, twin = torch.randn(2, 7, 3, generator=seeded()), float_twin(layer)
    assert not is_binary_at_all(twin)
    assert n_parameters(twin) == n_parameters(layer)
    assert twin(x)[0].shape == layer(x)[0].shape
    if kind is not BinaryRNN:  # whose state is a sign
        with real_weights(layer):
            torch.testing.assert_close(twin(x), layer(x))
    transfer(twin, layer)


@pytest.mark.parametrize("answer", ["rows", "mean"])
@pytest.mark.parametrize("absent", [None, 2])
def test_a_table_has_a_twin_that_computes_what_its_latent_rows_do(answer: Any, absent: Any) -> None:
    table = BinaryEmbedding(6, 4, answer, absent)
    numbers = torch.randint(0, 6, (5, 3), generator=seeded())
    with real_weights(table):
        expected = table(numbers)
    torch.testing.assert_close(float_twin(table)(numbers), expected)


@given(left=st.integers(0, 2), right=st.integers(0, 2), stride=st.integers(1, 2))
@settings(deadline=None, max_examples=20)
def test_the_twin_of_a_convolution_over_time_is_padded_on_the_same_sides(
    left: int, right: int, stride: int
) -> None:
    layer = BinaryConv1d(2, 3, 2, stride, (left, right), 0)
    x = torch.randn(2, 2, 6, generator=seeded())
    with real_weights(layer):
        expected = layer(x)
    torch.testing.assert_close(float_twin(layer)(x), expected)


def zoo_net(member: zoo.Architecture, binary: bool) -> Any:
    return member.build(**{"n_classes": 5, "seed": 0, **member.small}, binary=binary)


each_net = pytest.mark.parametrize("member", zoo.NETS, ids=[member.name for member in zoo.NETS])


@each_net
def test_every_net_of_the_zoo_has_a_twin(member: zoo.Architecture) -> None:
    net = zoo_net(member, binary=True)
    twin = float_twin(net)
    assert not is_binary_at_all(twin)
    n_scales = sum(
        layer.scale.numel() for layer in binary_layers(net).values() if hasattr(layer, "scale")
    )
    assert n_parameters(twin) == n_parameters(net) - n_scales
    x = torch.randint(0, 256, (3, *net.image_shape), generator=seeded()).float()
    assert twin(x).shape == net(x).shape
    twin(x).square().mean().backward()
    transfer(twin, net, allow=("*.scale",))


@each_net
def test_the_float_nets_of_the_zoo_become_binary_by_rule(member: zoo.Architecture) -> None:
    net = zoo_net(member, binary=False)
    x = torch.randint(0, 256, (3, *net.image_shape), generator=seeded()).float()
    done = binarize_(net, "bi_real", example=x)
    assert len(binary_layers(net)) == len(done.replaced) > 0
    assert net(x).shape == (3, 5)
    net(x).square().mean().backward()
