"""One test for each known defect of earlier libraries for binary nets: ours does not have it.

The docstrings say where a defect was seen: the project, and the issue where there is one.
"""

import ast
import io
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad

from bimetal.errors import DataError
from bimetal.format import dumps
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BINARIZERS,
    SURROGATES,
    Binarizer,
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    Bop,
    Logits,
    Policy,
    Scale,
    ShiftAdaMax,
    Sign,
    TrainConfig,
    binarize_,
    binary_layers,
    float_twin,
    real_weights,
    surrogate,
    train,
    transfer,
)
from bimetal.nn.adaptive import AdaSign, InputScale, XnorConv2d
from bimetal.nn.binarizers import DRAWS
from bimetal.nn.embedding import BinaryEmbedding
from bimetal.nn.gated import BinaryGRU, BinaryLSTM
from bimetal.nn.kbit import DoReFaActivation, DoReFaWeight
from bimetal.nn.norms import ShiftBatchNorm1d
from bimetal.nn.optim import OPTIMIZERS, optimizer
from bimetal.nn.sequence import BinaryConv1d
from bimetal.program import Program
from bimetal.reference import run
from bimetal.runtime import Engine

ROOT = Path(__file__).parents[1]
NAMES = [f.__name__ for f in SURROGATES]
TREES = {path: ast.parse(path.read_text()) for path in (ROOT / "src").rglob("*.py")}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost such small nets more than they give, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=seeded(seed)).float() * 2 - 1


def as_signs(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


def picture_net() -> nn.Sequential:
    return nn.Sequential(
        BitPlanes(), BinaryConv2d(8, 16, 3, generator=seeded()), nn.BatchNorm2d(16), Sign(),
        nn.Flatten(), BinaryLinear(16 * 6 * 6, 10, generator=seeded()), Logits(10),
    ).eval()  # fmt: skip


def pixels(n: int = 4) -> Tensor:
    return torch.randint(0, 256, (n, 1, 8, 8), generator=seeded()).float()


def learned(net: nn.Module, x: Tensor, **options: Any) -> None:
    config = TrainConfig(max_epochs=4, batch_size=8, patience=None, **options)
    train(net, lambda rows: (net(x[rows]) - 3.0).square().mean(), len(x), config)


# The sign of zero


def test_zero_is_plus_one_in_every_surrogate_binarizer_and_mode() -> None:
    """torch.sign(0) = 0: Bi-Real-net, ReActNet, BNext, IR-Net, ReCU, AdaBin, OvSW, `bnn`, BinaryNet.pytorch."""
    zero = torch.tensor([0.0, -0.0])
    for name in NAMES:
        assert Sign(name)(zero).tolist() == [1.0, 1.0]
    for given in BINARIZERS.values():
        assert given.signs(torch.zeros(2, 3), is_training=False).unique().tolist() == [1.0]


def test_a_net_full_of_zeros_answers_alike_before_and_after_packing() -> None:
    """Ternary in training, binary when packed: the consequence of torch.sign(0) = 0 in all of the above."""
    net = picture_net()
    for layer in binary_layers(net).values():
        layer.latent_weight.data[::2] = 0.0
    net[2].weight.data.zero_()  # and a norm whose outputs are all exactly zero
    x = pixels()
    with torch.no_grad():
        expected = net(x).numpy()
    rows = x.flatten(1).numpy()
    np.testing.assert_array_equal(run(lower_cnn(net, (1, 8, 8)), rows), expected)


def test_an_evaluated_sign_is_hard_however_far_the_training_is() -> None:
    """BNext's HardBinaryConv answers with soft weights until its temperature falls below 1e-7."""
    x = torch.tensor([-0.3, 0.0, 0.2])
    for draw in DRAWS:
        assert Sign("clipped", draw).eval()(x).tolist() == [-1.0, 1.0, 1.0]
        layer = BinaryLinear(5, 4, binarizer=Binarizer(draw=draw)).eval()
        assert set(layer.binary_weight.flatten().tolist()) <= {-1.0, 1.0}


# Latent weights


@pytest.mark.parametrize("name", [n for n, b in BINARIZERS.items() if b.clip])
def test_latent_weights_stay_within_their_clip(name: str) -> None:
    """BinaryNet.pytorch lost its clamp in the "pytorch2" commit of 2023; bitorch has a stub of a hook."""
    net = nn.Sequential(BinaryLinear(6, 4, binarizer=name, generator=seeded()), Scale(4))
    net[0].latent_weight.data.mul_(9)
    learned(net, torch.randn(16, 6, generator=seeded()), learning_rate=0.05)
    clip = BINARIZERS[name].clip
    assert clip is not None
    assert net[0].latent_weight.abs().max() <= clip


def test_nothing_is_pinned_on_parameters_and_the_state_has_only_what_was_there() -> None:
    """BinaryNet.pytorch keeps `p.org` and `bias.org` on parameters, anew in every forward pass."""
    net = nn.Sequential(BinaryLinear(6, 4, generator=seeded()), nn.BatchNorm1d(4))
    before = list(net.state_dict())
    learned(net, torch.randn(16, 6, generator=seeded()))
    assert all(not vars(p) for p in net.parameters())
    assert list(net.state_dict()) == before


@pytest.mark.parametrize(
    "layer",
    [
        BinaryLinear(20, 20),
        BinaryConv1d(8, 8, 3),
        BinaryConv2d(8, 8, 3),
        BinaryEmbedding(20, 20),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_new_weights_have_both_signs_alike(layer: Any) -> None:
    """ReActNet-A begins with rand * 0.001, all signs +1, and nothing is loaded over it (ReActNet#39, #31)."""
    assert 0.3 < (layer.binary_weight > 0).float().mean() < 0.7


# Weights from stage to stage


def test_weights_that_a_renaming_would_lose_are_an_error_that_counts_them() -> None:
    """ReActNet-A drops 28,253,184 of 29,343,592 parameters by load_state_dict(strict=False) (ReActNet#39)."""

    class Second(nn.Module):  # its second step: another name, another shape
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Parameter(torch.rand(4 * 4 * 9, 1) * 0.001)

    first = nn.ModuleDict({"binary_3x3": nn.Conv2d(4, 4, 3, bias=False), "norm": nn.BatchNorm2d(4)})
    second = nn.ModuleDict({"binary_3x3": Second(), "norm": nn.BatchNorm2d(4)})
    message = (
        r"144 of 161 numbers of the source would be lost.*\n.*binary_3x3\.weight \(4, 4, 3, 3\)"
    )
    with pytest.raises(DataError, match=message):
        transfer(first, second)


def test_a_second_stage_begins_with_the_weights_of_the_first() -> None:
    """The same: two-step training in which the second step forgets the first one."""
    net = nn.Sequential(BinaryLinear(6, 4, generator=seeded()), nn.BatchNorm1d(4))
    with real_weights(net):
        learned(net, torch.randn(16, 6, generator=seeded()), learning_rate=0.1)
        between = net[0].latent_weight.detach().clone()
    assert torch.equal(net[0].latent_weight, between)
    assert torch.equal(net[0].binary_weight, as_signs(between)[None][0])


def test_first_means_the_first_layer_and_last_the_last() -> None:
    """`bnn` (binary-networks-pytorch) has `_first_` and `_last_` swapped in binarize.py."""
    for end, kept in (("first", "0"), ("last", "2")):
        net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
        assert binarize_(net, Policy(keep=(end,))).kept == (kept,)
        assert type(net[int(kept)]) is nn.Linear


def test_every_binary_net_has_its_float_twin_one_call_away() -> None:
    """No switch to the float net: larq#778, ReActNet#30."""
    assert not binary_layers(float_twin(picture_net()))


# Padding


@pytest.mark.parametrize("value", [-1, 0, 1])
@pytest.mark.parametrize("kind", [BinaryConv1d, BinaryConv2d])
def test_padding_of_every_value_is_possible_and_is_what_runs(kind: Any, value: Any) -> None:
    """bitorch reads `pad_value or config`, so 0 becomes −1; LCE#49, #252, #535 and larq PR#438 on parity."""
    layer = kind(2, 3, 3, padding=1, pad_value=value)
    x = signs(2, 2, 5, *([5] if kind is BinaryConv2d else []))
    around = (1, 1) * (x.ndim - 2)
    unpadded = kind(2, 3, 3)
    unpadded.latent_weight = layer.latent_weight
    assert torch.equal(layer(x), unpadded(pad(x, around, value=value)))


@pytest.mark.parametrize("value", [None, 2, 0.5, "zeros"])
def test_padding_with_what_is_no_bit_is_refused(value: Any) -> None:
    """Padding with an undefined value: LCE#132."""
    with pytest.raises(DataError, match="pad_value must be -1, 0 or 1"):
        BinaryConv2d(2, 3, 3, padding=1, pad_value=value)


# Gradients


def gradient_of_weights(layer: BinaryLinear) -> tuple[Tensor, Tensor, Tensor]:
    """Return the latent weights, their gradient, and the one of the scaled weights α sign(w)."""
    layer.latent_weight.data.mul_(12)  # so that some exceed 1
    x, arriving = torch.randn(9, 6, generator=seeded(1)), torch.randn(9, 4, generator=seeded(2))
    layer(x).backward(arriving)
    assert layer.latent_weight.grad is not None
    return layer.latent_weight.detach()[0], layer.latent_weight.grad[0], arriving.T @ x


def centred(w: Tensor) -> Tensor:
    return w - w.mean(1, keepdim=True)


@pytest.mark.parametrize("is_centred", [True, False])
def test_the_gradient_of_xnor_net_is_the_published_formula_with_no_factor_added(
    is_centred: bool,
) -> None:
    """Its code multiplies by 1 − 1/c, by n and by 1e9 besides (XNOR-Net#3, #5, #10; XNOR-Net-PyTorch#117)."""
    plain = Binarizer("xnor", "mean_abs_detached")
    layer = BinaryLinear(6, 4, binarizer="xnor" if is_centred else plain, generator=seeded())
    latent, got, g = gradient_of_weights(layer)
    w = centred(latent) if is_centred else latent
    alpha = w.abs().mean(1, keepdim=True)
    expected = g * (1 / 6 + alpha * (w.abs() <= 1))
    torch.testing.assert_close(got, centred(expected) if is_centred else expected)


@pytest.mark.parametrize("is_centred", [True, False])
def test_the_corrected_gradient_of_xnor_net_differentiates_its_scale(is_centred: bool) -> None:
    """The formula is disputed (XNOR-Net-PyTorch#1, #28, #47, #70, #126); this is that port's corrected one."""
    plain = Binarizer("clipped", "mean_abs")
    layer = BinaryLinear(
        6, 4, binarizer="xnor_corrected" if is_centred else plain, generator=seeded()
    )
    latent, got, g = gradient_of_weights(layer)
    w = centred(latent) if is_centred else latent
    alpha, s = w.abs().mean(1, keepdim=True), as_signs(w)
    expected = s * (g * s).sum(1, keepdim=True) / 6 + alpha * g * (w.abs() <= 1)
    torch.testing.assert_close(got, centred(expected) if is_centred else expected)


def test_dorefas_gradient_is_zero_outside_the_interval() -> None:
    """bitorch's dorefa.py passes the gradient everywhere."""
    x = torch.tensor([-0.5, 0.2, 0.9, 1.5], requires_grad=True)
    DoReFaActivation(2)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_dorefas_gradient_of_weights_passes_through_the_tanh() -> None:
    """bitorch's dorefa.py leaves the tanh out."""
    w = torch.randn(5, 4, generator=seeded()).requires_grad_()
    DoReFaWeight(3)(w).sum().backward()
    bent = torch.tanh(w.detach())
    torch.testing.assert_close(w.grad, (1 - bent**2) / bent.abs().max())


def test_a_clipped_gradient_is_clipped() -> None:
    """BinaryNet.pytorch's STE has a gradient at w = 5 (BinaryNet.pytorch#19, #29)."""
    x = torch.tensor([-5.0, -0.5, 0.5, 5.0], requires_grad=True)
    Sign("clipped")(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    layer = BinaryLinear(3, 2, binarizer="binarynet")
    layer.latent_weight.data.fill_(5.0)
    layer(torch.ones(1, 3)).sum().backward()
    assert not layer.latent_weight.grad.any()


def test_the_cancellation_of_gradients_can_be_switched_off() -> None:
    """bitorch reads `0.0 or config`, so that its threshold is 1 whatever is asked for."""
    x = torch.tensor([-5.0, 5.0], requires_grad=True)
    Sign("identity")(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0]
    assert Binarizer("identity", clip=None).clip is None


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_binarize_activations_has_a_gradient(name: str, draw: Any) -> None:
    """`bnn`: AdvancedInputBinarizer returns a tensor without one."""
    x = torch.tensor([-0.4, 0.3], requires_grad=True)
    Sign(name, draw)(x).sum().backward()
    assert x.grad is not None
    assert (x.grad > 0).all()


def test_the_default_of_a_surrogate_is_one_number() -> None:
    """bitorch's SwishSign has β = 1 by its parameter and 5 by its configuration."""
    assert surrogate("swish_sign")(torch.zeros(1)).item() == 5.0


def test_adabins_two_values_lie_around_their_middle() -> None:
    """AdaBin's code returns α(sign + β), whose middle is αβ and not β."""
    sign = AdaSign()
    sign.alpha.data.fill_(2.0)
    sign.beta.data.fill_(0.5)
    assert sign(torch.tensor([[-9.0, 9.0]])).tolist() == [[-1.5, 2.5]]
    layer = BinaryLinear(6, 1, binarizer="adabin", generator=seeded())
    w = layer.latent_weight.detach().flatten()
    middle, spread = w.mean(), w.std(unbiased=False)
    expected = torch.where(w >= middle, middle + spread, middle - spread)
    torch.testing.assert_close(layer(torch.eye(6)).detach()[:, 0], expected)


def test_zero_one_activations_are_zero_and_one() -> None:
    """bitorch's SteHeaviside returns ±1."""
    x = torch.linspace(-2, 2, 41)
    assert DoReFaActivation(1)(x).unique().tolist() == [0.0, 1.0]


def test_no_gradient_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """bitorch's SteHeaviside prints in every backward pass."""
    modules = [Sign(n) for n in NAMES] + [DoReFaActivation(1), DoReFaWeight(1), AdaSign()]
    for module in modules:
        module(torch.randn(3, 1, requires_grad=True)).sum().backward()
    assert capsys.readouterr() == ("", "")


# Layers


@pytest.mark.parametrize("n_in", [3, 10, 784])
def test_a_layer_never_guesses_from_its_size_whether_to_binarize_its_input(n_in: int) -> None:
    """BinaryNet.pytorch guesses by 784 columns or 3 channels; with 784 it raises UnboundLocalError."""
    dense, conv = BinaryLinear(n_in, 4), BinaryConv2d(n_in, 2, 1)
    x = torch.randn(2, n_in, generator=seeded())
    torch.testing.assert_close(dense(x), linear(x, as_signs(dense.latent_weight[0])))
    maps = x[:, :, None, None]
    torch.testing.assert_close(conv(maps), conv2d(maps, as_signs(conv.latent_weight)))


def test_the_input_scale_of_xnor_net_can_be_built_and_is_the_published_one() -> None:
    """`bnn`: XNORScaleBinarizer() raises TypeError; XNOR-Net's own code has no K at all."""
    x = torch.randn(2, 4, 6, 6, generator=seeded())
    box = torch.full((1, 1, 3, 3), 1 / 9)
    k = conv2d(x.abs().mean(1, keepdim=True), box, padding=1)
    torch.testing.assert_close(InputScale(3, padding=1)(x), k)
    layer = XnorConv2d(4, 5, 3, padding=1, generator=seeded())
    torch.testing.assert_close(layer(x), layer.conv(as_signs(x)) * k)


def test_binary_recurrent_layers_and_the_norm_by_shifts_exist() -> None:
    """Asked for: larq#645, #641, #640. The shift-based norm is absent from BinaryNet's Theano code."""
    x = torch.randn(2, 5, 3, generator=seeded())
    assert BinaryGRU(3, 4)(x)[0].shape == BinaryLSTM(3, 4)(x)[0].shape == (2, 5, 4)
    assert ShiftBatchNorm1d(3)(x[:, 0]).shape == (2, 3)


# Optimizers, loops and files


def test_an_optimizer_that_is_not_there_is_an_error_and_a_named_one_is_what_runs() -> None:
    """XNOR-Net's train.lua takes the flag `adamax` and runs adam."""
    with pytest.raises(
        DataError, match=r"optimizer must be one of .*'shift_adamax'.* got 'adamax'"
    ):
        TrainConfig(optimizer="adamax")
    net = nn.Sequential(BinaryLinear(3, 2), nn.BatchNorm1d(2))
    assert isinstance(optimizer("shift_adamax", net, 0.1), ShiftAdaMax)
    assert len({type(optimizer(name, net, 0.1)).__name__ for name in OPTIMIZERS}) >= 5


def test_a_weight_that_is_exactly_at_bops_threshold_does_not_flip() -> None:
    """Larq's Bop takes a sign of w·m − τ, so that a tie sets the weight by the rule for sign(0)."""
    for value in (1.0, -1.0):
        weight = nn.Parameter(torch.tensor([value]))
        weight.grad = torch.tensor([value])
        Bop([weight], gamma=0.5, threshold=0.5).step()
        assert weight.item() == value
        weight.grad = torch.tensor([1.5 * value])
        Bop([weight], gamma=0.5, threshold=0.5).step()
        assert weight.item() == -value


def test_a_loop_and_a_checkpoint_of_ones_own_work() -> None:
    """Custom loops and checkpoints break: larq#720, #377, #509."""
    net, x = picture_net().train(), pixels(8)
    step = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        step.zero_grad()
        net(x).square().mean().backward()
        step.step()
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    again = picture_net()
    again.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        assert torch.equal(net.eval()(x), again(x))


@pytest.fixture(scope="module")
def program() -> Program:
    return lower_cnn(picture_net(), (1, 8, 8))


def test_a_file_holds_bits_and_not_the_floats_behind_them(program: Program) -> None:
    """Saved weights are floats: larq#360, #553, #685, #792, #910; ReActNet#8, #12; BinaryNet.pytorch#33.

    Sizes that are promised and not met: larq#508; LCE#631, #669, #744.
    """
    n_weights = sum(layer.latent_weight.numel() for layer in binary_layers(picture_net()).values())
    data = dumps(program)
    assert program.cost().bits >= n_weights
    assert len(data) == 8 + int.from_bytes(data[:8], "little") + program.cost().bytes
    assert len(data) < 4 * n_weights / 4, "with the header, which is most of such a small file"


def test_binary_dense_layers_run_as_bits(program: Program) -> None:
    """No binary dense kernel: LCE#53 (open since 2019), #410, #669, #806."""
    x, net = pixels(), picture_net()
    with torch.no_grad():
        np.testing.assert_array_equal(Engine(program).run(x.flatten(1).numpy()), net(x).numpy())


# Habits of code


def calls(tree: ast.Module) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_nothing_needs_an_accelerator_to_be_imported_or_run() -> None:
    """difflogic imports its CUDA build at the top (difflogic#1, #2, #4, #6); IR-Net and others call .cuda()."""
    for path, tree in TREES.items():
        imported = [
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        assert not [name for name in imported if "cuda" in name.lower()], path
        moved = [c.lineno for c in calls(tree) if getattr(c.func, "attr", "") == "cuda"]
        assert moved == [], path


def test_what_is_raised_is_an_exception() -> None:
    """DWN raises strings, which is a TypeError."""
    for path, tree in TREES.items():
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        assert not [x for x in raised if isinstance(x, ast.Constant | ast.JoinedStr)], path


def test_files_of_others_are_read_without_running_them() -> None:
    """13 of 17 research repositories call torch.load without weights_only."""
    for path, tree in TREES.items():
        loads = [
            c
            for c in calls(tree)
            if isinstance(c.func, ast.Attribute)
            and c.func.attr == "load"
            and getattr(c.func.value, "id", "") in ("torch", "pickle")
        ]
        safe = [
            c
            for c in loads
            if any(
                k.arg == "weights_only" and getattr(k.value, "value", None) is True
                for k in c.keywords
            )
        ]
        assert loads == safe, path


def test_what_is_told_to_a_user_is_raised_and_not_asserted() -> None:
    """lleaves, torchao and Brevitas check arguments by assert, which `python -O` takes away."""
    for path, tree in TREES.items():
        told = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert) and n.msg is not None]
        assert told == [], path


def test_no_dependency_is_held_below_a_version() -> None:
    """larq-zoo pins larq below the current one, so that the two cannot be installed together.

    bitorch-engine needs a patched torch.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert [w for w in wanted if any(mark in w for mark in ("<", "==", "~=", "@"))] == []
