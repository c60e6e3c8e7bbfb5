"""An existing net made binary by rule, its float twin, and weights handed on without a loss."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from bimetal.errors import DataError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    POLICIES,
    Binarizer,
    BinaryLinear,
    ByteConv2d,
    Logits,
    Policy,
    Rows,
    Shift,
    Sign,
    TrainConfig,
    binarize_,
    binary_layers,
    clip_latent,
    float_twin,
    train,
)
from bimetal.nn.inventory import inventory
from bimetal.reference import run

ALL = Policy(keep=(), norm="none")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost such small nets more than they give, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cnn(seed: int = 0) -> nn.Sequential:
    """Return a small net as people write them; its first convolution has no bias."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 3, bias=False), nn.BatchNorm1d(3),
        )  # fmt: skip


class Odd(nn.Module):
    """Layers in lists, dicts and attributes, one of them used twice, the first one defined last."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.blocks = nn.ModuleList([nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU())])
        self.by_name = nn.ModuleDict({"again": self.blocks[0]})
        self.stem = nn.Linear(5, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.by_name["again"](x))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def as_signs(latent: Tensor) -> Tensor:
    return torch.where(latent >= 0, 1.0, -1.0)


# binarize_


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_keeps_shapes_lets_gradients_through_and_leaves_the_kept_alone(
    name: str,
) -> None:
    net, x = cnn(), torch.randn(4, 1, 8, 8, generator=seeded())
    shape = net(x).shape
    before = state(net)
    done = binarize_(net, name)
    after = state(net)
    assert {layer.split(".")[0] for layer in binary_layers(net)} == set(done.replaced)
    assert sorted((*done.replaced, *done.kept)) == ["0", "11", "3", "6"]
    stays = {k for k in before if k.split(".")[0] not in done.replaced}
    assert stays
    assert all(torch.equal(before[k], after[k]) for k in stays)
    assert net(x).shape == shape
    net(x).square().sum().backward()
    latent = [layer.latent_weight for layer in binary_layers(net).values()]
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in latent)


@settings(deadline=None)
@given(
    groups=st.integers(1, 3),
    k_in=st.integers(1, 3),
    k_out=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.one_of(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.just("valid")),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    has_bias=st.booleans(),
)
def test_a_convolution_becomes_one_with_the_signs_of_its_weights_and_its_own_bias(
    groups: int, k_in: int, k_out: int, kernel: Any, stride: Any, padding: Any, dilation: Any,
    has_bias: bool,
) -> None:  # fmt: skip
    conv = nn.Conv2d(
        groups * k_in, groups * k_out, kernel, stride, padding, dilation, groups, has_bias
    )
    x = torch.randn(2, groups * k_in, 7, 8, generator=seeded())
    plain = copy.deepcopy(conv)
    plain.weight.data = as_signs(conv.weight.detach())
    net = nn.Sequential(conv)
    binarize_(net, Policy("binarynet", activations=None, keep=(), norm="none"))
    torch.testing.assert_close(net(x), plain(x))


@pytest.mark.parametrize("padding", [(1, 2), "same"])
def test_the_edge_of_a_real_input_stays_zero_and_that_of_bits_is_the_policys(padding: Any) -> None:
    net = nn.Sequential(*(nn.Conv2d(2, 2, (3, 5), padding=padding) for _ in range(2)))
    done = binarize_(net, Policy(keep=(), real_input=("first",), pad_value=1))
    convs = list(binary_layers(net).values())
    assert [(conv.pad_value, conv.padding) for conv in convs] == [(0, (1, 2)), (1, (1, 2))]
    assert [layer.why for layer in done.layers] == [
        "input stays real; edge counts as 0", "edge counts as 1"
    ]  # fmt: skip


@given(largest=st.floats(1e-3, 50.0), clip=st.sampled_from([None, 0.5, 1.0]))
def test_latent_weights_are_the_float_ones_shrunk_as_a_whole_where_they_exceed_the_clip(
    largest: float, clip: float | None
) -> None:
    layer = nn.Linear(6, 5, bias=False)
    layer.weight.data.mul_(largest / layer.weight.detach().abs().max())
    weight = layer.weight.detach().clone()
    net = nn.Sequential(layer)
    binarize_(net, Policy(Binarizer(clip=clip), None, keep=(), norm="none"))
    (binary,) = binary_layers(net).values()
    latent = binary.latent_weight.detach()[0]
    assert torch.equal(as_signs(latent), as_signs(weight))
    most = weight.abs().max().item()
    factor = 1.0 if clip is None or most <= clip else clip / most
    torch.testing.assert_close(latent, weight * factor)
    before = latent.clone()
    clip_latent(net)
    assert torch.equal(binary.latent_weight.detach()[0], before), "within the clip already"


def test_a_scale_starts_where_it_fits_the_float_layer_best() -> None:
    for name in ("bi_real", "xnor_learned"):
        net = nn.Sequential(nn.Linear(6, 4))
        weight = net[0].weight.detach().clone()
        binarize_(net, Policy(name, keep=()))
        (layer,) = binary_layers(net).values()
        torch.testing.assert_close(layer.alpha.detach(), weight.abs().mean(1))


def test_a_sign_after_a_relu_is_not_always_plus_one() -> None:
    net, x = cnn(), torch.randn(32, 1, 8, 8, generator=seeded())
    binarize_(net, "xnor")
    net(x)
    means = []
    for module in net.modules():
        if isinstance(module, Sign):
            module.register_forward_hook(lambda _, __, out: means.append(out.mean().item()))
    net(x)
    assert len(means) == 2
    assert all(abs(mean) < 0.9 for mean in means)


@given(
    groups=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padding=st.one_of(st.integers(0, 2), st.just("valid")),
    dilation=st.integers(1, 2),
)
@settings(deadline=None, max_examples=30)
def test_a_convolution_over_time_is_converted_likewise(
    groups: int, kernel: int, stride: int, padding: Any, dilation: int
) -> None:
    conv = nn.Conv1d(2 * groups, 3 * groups, kernel, stride, padding, dilation, groups)
    plain, net, x = copy.deepcopy(conv), nn.Sequential(conv), torch.randn(2, 2 * groups, 9)
    plain.weight.data = as_signs(conv.weight.detach())
    binarize_(net, Policy("binarynet", activations=None, keep=(), norm="none"))
    torch.testing.assert_close(net(x), plain(x))
    assert float_twin(net)(x).shape == net(x).shape


def test_one_over_time_has_a_norm_and_a_sign_before_it_too() -> None:
    net = nn.Sequential(nn.Conv1d(3, 4, 3, padding=1))
    binarize_(net, Policy("bi_real", keep=(), after="rprelu"))
    assert [type(m).__name__ for m in net[0]] == [
        "BatchNorm1d", "Sign", "BinaryConv1d", "Shift", "RPReLU"
    ]  # fmt: skip
    assert net(torch.randn(2, 3, 9)).shape == (2, 4, 9)


@pytest.mark.parametrize("name", ["ir_net", "adabin"])
def test_outputs_of_one_number_are_refused_where_its_mean_would_be_taken_from_it(name: str) -> None:
    net = nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 4))
    with pytest.raises(DataError, match=r"'0' \(Linear\): its outputs read one number each"):
        binarize_(net, Policy(name, keep=()))


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 5), (2, 2, 3, 5)])
@pytest.mark.parametrize("how", ["xnor", "binaryconnect", "react"])
def test_a_linear_layer_goes_on_reading_the_last_axis(shape: tuple[int, ...], how: str) -> None:
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 5))
    binarize_(net, Policy(**{**vars(POLICIES[how]), "keep": ()}))
    x = torch.randn(shape, generator=seeded())
    rows = x.reshape(-1, 5)
    for training in (True, False):
        net.train(training)
        torch.testing.assert_close(net(x), net(rows).reshape(shape))


def test_first_and_last_are_by_name_or_in_the_order_in_which_layers_run() -> None:
    by_name, by_run = Odd(), Odd()
    assert binarize_(by_name).kept == ("head", "stem")
    x = torch.randn(3, 5)
    done = binarize_(by_run, Policy(keep=("first",)), example=x)
    assert done.kept == ("stem",)
    assert by_run.training
    by_run = Odd()
    assert binarize_(by_run, Policy(keep=("last",)), example=(x,)).kept == ("head",)


def test_a_layer_in_two_places_is_replaced_by_one_layer_in_both() -> None:
    net = Odd()
    done = binarize_(net)
    assert net.by_name["again"] is net.blocks[0]
    assert done.replaced == ("blocks.0, by_name.again", "blocks.1.0")
    assert len(binary_layers(net)) == 2
    assert net(torch.randn(4, 5)).shape == (4, 3)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(keep=("0", "6")), {"3", "11"}),
        (Policy(keep=(), only=("3",)), {"3"}),
        (Policy(keep=("first",), only=("?",)), {"3", "6"}),
        (Policy(keep=(), kinds=("Linear",)), {"11"}),
        (Policy(keep=("*",), only=("*",)), None),
    ],
)
def test_what_is_kept_and_what_is_looked_at_is_said_by_names_and_globs(
    policy: Policy, expected: set[str] | None
) -> None:
    if expected is None:
        with pytest.raises(
            DataError, match=r"makes no layer binary; the layers are 0 \(Conv2d: kept"
        ):
            binarize_(cnn(), policy)
    else:
        assert set(binarize_(cnn(), policy).replaced) == expected


def test_the_name_of_a_module_means_all_that_is_in_it() -> None:
    net = nn.ModuleDict({"body": cnn(), "side": cnn()})
    done = binarize_(net, Policy(keep=("body",)))
    assert {name.split(".")[0] for name in done.replaced} == {"side"}


def test_types_modes_and_frozen_weights_stay() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double().eval()
    net[0].weight.requires_grad_(False)
    binarize_(net, ALL)
    assert not any(module.training for module in net.modules())
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    layers = list(binary_layers(net).values())
    assert [layer.latent_weight.requires_grad for layer in layers] == [False, True]


def test_torchs_generator_is_left_alone() -> None:
    net = cnn()
    before = torch.random.get_rng_state()
    binarize_(net)
    float_twin(net)
    float_twin(nn.Sequential(BinaryLinear(4, 4, groups=2, generator=seeded())))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("how", ["binarynet", "xnor", "bi_real", "react"])
def test_a_converted_net_learns(how: str) -> None:
    net, x = cnn(), torch.randn(64, 1, 8, 8, generator=seeded())
    y = x.mean((1, 2, 3)).gt(0).long()
    binarize_(net, how)
    config = TrainConfig(max_epochs=8, batch_size=32, learning_rate=0.02, patience=None)
    loss = nn.CrossEntropyLoss()
    history = train(net, lambda rows: loss(net(x[rows]), y[rows]), len(x), config)
    assert history.epochs[-1].train_loss < 0.8 * history.epochs[0].train_loss
    assert any(epoch.flip_ratio > 0 for epoch in history.epochs)


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_converted_net_lowers_to_the_last_bit_of_its_answers(has_bias: bool) -> None:
    net = cnn()
    net[3].bias = nn.Parameter(torch.randn(8, generator=seeded())) if has_bias else None
    binarize_(net, Policy(keep=("first",)))
    x = torch.randint(0, 256, (16, 1, 8, 8), generator=seeded()).float()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):
        norm.momentum = None  # all batches count alike, here the one
    net(x)
    net.eval()
    net[0] = ByteConv2d.from_conv(net[0], [0.0], [1 / 255])
    net[-1] = Logits(3)
    with torch.no_grad():
        expected = net(x).numpy()
    answers = run(lower_cnn(net, image=(1, 8, 8)), x.reshape(16, -1).numpy())
    np.testing.assert_array_equal(answers, expected)
    assert len(np.unique(expected, axis=0)) > 1


@pytest.mark.parametrize("how", ["xnor", "xnor_learned", "bi_real", "ir_net", "recu"])
def test_scales_lower_too_up_to_the_rounding_of_the_answer(how: str) -> None:
    net, x = cnn(), torch.randint(0, 256, (16, 1, 8, 8), generator=seeded()).float()
    binarize_(net, Policy(**{**vars(POLICIES[how]), "keep": ("first",)}))
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):
        norm.momentum = None
    net(x)
    net.eval()
    net[0] = ByteConv2d.from_conv(net[0], [0.0], [1 / 255])
    with torch.no_grad():
        expected = net(x).numpy()
    answers = run(lower_cnn(net, image=(1, 8, 8)), x.reshape(16, -1).numpy())
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-6)


def test_the_table_tells_what_became_of_each_layer() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(5, 4)
            self.memory = nn.LSTM(4, 4)
            self.encoder = nn.TransformerEncoderLayer(4, 2, 8)
            self.own = type("Own", (nn.Linear,), {})(4, 4)
            self.big = nn.Linear(4, 4)
            self.done = BinaryLinear(4, 4)
            self.last = nn.Linear(4, 2)
            nn.init.constant_(self.big.weight, 4.0)

    lines = str(binarize_(Net())).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "why",
        "kept: first",
        "the rule is for Linear, Conv1d, Conv2d; by hand: BinaryLSTM",
        "TransformerEncoderLayer reads its weights itself",
        "TransformerEncoderLayer reads its weights itself",
        "TransformerEncoderLayer reads its weights itself",
        "its forward may not be that of Linear",
        "weights × 0.25, into ±1",
        "binary already",
        "kept: last",
        "1 of 9 layers made binary, 16 of 332 weights (4.8%)",
    ]


def test_a_transformer_is_still_one_after_what_can_be_replaced_in_it_was() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mid, self.head = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.mid(self.embed(x))
            return self.head(self.encoder(self.attention(x, x, x)[0]))

    net, x = Net(), torch.randn(2, 5, 3)
    done = binarize_(net, "xnor", example=x)
    assert done.replaced == ("mid",)
    assert net(x).shape == net.eval()(x).shape == (2, 5, 2)


REFUSED = {
    "circular": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "padding_mode 'circular'"),
    "even": (lambda: nn.Conv2d(2, 2, 2, padding="same"), "'same' of an even kernel.*ZeroPad2d"),
    "lazy": (lambda: nn.LazyConv2d(2, 3), "lazy and has no sizes yet: run the net once"),
    "norm": (lambda: parametrizations.weight_norm(nn.Conv2d(2, 2, 3)), "weight is computed from others"),
    "depthwise": (lambda: nn.Conv2d(2, 2, 3, groups=2), "read one channel each"),
    "pruned": (lambda: prune.random_unstructured(nn.Conv2d(2, 2, 3), "weight", 0.5), "computed from"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_layer_that_is_meant_but_cannot_be_replaced_is_named_and_nothing_changes(
    name: str,
) -> None:
    make, words = REFUSED[name]
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Sequential(make()))
    with pytest.raises(DataError, match=rf"'1\.0' \((Lazy)?Conv2d\): .*{words}.*policy's keep"):
        binarize_(net, Policy("xnor", keep=()))
    assert not binary_layers(net)
    assert binarize_(net, Policy(keep=("1.0",))).replaced == ("0",)


def test_hooks_tied_weights_and_weights_that_are_not_finite_are_never_lost_in_silence() -> None:
    net = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3), "c": nn.Linear(3, 3)})
    net["b"].weight = net["a"].weight
    net["a"].register_forward_hook(lambda *_: None)
    net["c"].weight.data[0, 0] = float("nan")
    with pytest.raises(DataError) as caught:
        binarize_(net, ALL)
    for words in (
        "'a' (Linear): it has hooks", "'a' (Linear): its weight is also that of ['b.weight']",
        "'b' (Linear): its weight is also that of ['a.weight']", "'c' (Linear): it has weights that",
    ):  # fmt: skip
        assert words in str(caught.value)


WRONG: list[tuple[Any, Any, str]] = [
    (cnn, "xnorr", "policy must be a Policy or one of .*'xnor'.* got 'xnorr'"),
    (
        cnn,
        Policy(keep=("nine",)),
        "keep names 'nine', which is no layer of this net; there are 0, 3, 6, 11",
    ),
    (cnn, Policy(only=("features.*",)), r"only names 'features\.\*', which is no layer"),
    (lambda: nn.Sequential(nn.ReLU()), ALL, "the net has no layer with weights"),
    (
        lambda: nn.Sequential(nn.LSTM(2, 2)),
        ALL,
        r"the layers are 0 \(LSTM: the rule is for",
    ),
    (lambda: nn.Linear(2, 2), ALL, r"a Linear cannot be replaced from inside itself: wrap it"),
    (lambda: nn.DataParallel(cnn()), ALL, "'the net' is a DataParallel.* convert that net"),
]


@pytest.mark.parametrize(("make", "policy", "message"), WRONG)
def test_a_policy_that_does_nothing_says_so(make: Any, policy: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        binarize_(make(), policy)


BAD_POLICIES: list[tuple[dict[str, Any], str]] = [
    ({"binarizer": "ternary?"}, "binarizer must be"),
    ({"activations": "relu"}, "activations must be one of .*'clipped'.* got 'relu'"),
    ({"norm": "after"}, "norm must be one of"),
    ({"after": "prelu"}, "after must be one of"),
    ({"pad_value": 2}, r"pad_value must be one of \[-1, 0, 1\], got 2"),
    ({"keep": "first"}, "keep must be a tuple of names, got 'first'"),
    ({"kinds": ("LSTM",)}, r"kinds must be some of .*got \('LSTM',\)"),
    ({"kinds": ()}, "kinds must be some of"),
]


@pytest.mark.parametrize(("options", "message"), BAD_POLICIES)
def test_a_policy_of_unknown_words_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Policy(**options)


def test_an_example_that_does_not_fit_is_an_error_and_leaves_the_net_as_it_was() -> None:
    net = Odd()
    with pytest.raises(DataError, match="cannot run the example: mat1 and mat2"):
        binarize_(net, "xnor", example=torch.zeros(2, 7))
    assert net.training
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert not binary_layers(net)


def test_layers_that_the_example_does_not_run_are_neither_first_nor_last() -> None:
    net = Odd()
    net.unused = nn.Linear(2, 2)
    ends = {found.name: found.ends for found in inventory(net, torch.zeros(2, 5)) if found.ends}
    assert ends == {"head": ("last",), "stem": ("first",)}


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_chain_of_layers_is_converted_with_its_shapes_and_has_a_twin(data: Any) -> None:
    layers: list[nn.Module] = []
    n, size = data.draw(st.integers(2, 4)), 6
    first = n
    for _ in range(data.draw(st.integers(1, 4))):
        n_out, kernel = data.draw(st.integers(2, 4)), data.draw(st.sampled_from([1, 3]))
        conv = nn.Conv2d(n, n_out, kernel, padding=kernel // 2, bias=data.draw(st.booleans()))
        layers += [conv, data.draw(st.sampled_from([nn.ReLU, nn.Identity, nn.Tanh]))()]
        n = n_out
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(n * size * size, 2))
    x = torch.randn(3, first, size, size, generator=seeded())
    shape = net(x).shape
    how = data.draw(st.sampled_from(sorted(POLICIES)))
    policy = Policy(**{**vars(POLICIES[how]), "keep": ()})
    done = binarize_(net, policy)
    assert len(done.replaced) == len(binary_layers(net)) == len(done.layers)
    assert net(x).shape == float_twin(net)(x).shape == shape
    assert all(isinstance(m, Rows) for m in [net[-1]])
    n_bias = sum(isinstance(m, Shift) for m in net.modules())
    assert n_bias == sum(getattr(layer, "bias", None) is not None for layer in layers) + 1
