"""Nets with a forward of their own: the same answers as sequences, and Programs of their own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lowering import images, one_thread, op_names, settle  # noqa: F401  (the fixture works by being here)
from torch import Tensor, nn
from torch.nn import functional

from bimetal.errors import DataError, ProgramError
from bimetal.format import dumps
from bimetal.lower import lower_cnn, trace
from bimetal.nn import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Pixels,
    Policy,
    Repeat,
    Residual,
    Sign,
    TrainConfig,
    accuracy,
    as_sequence,
    binarize_,
    calibrate,
    fit_classifier,
    latent_weights,
    with_byte_activations,
)
from bimetal.nn.straighten import straightened
from bimetal.packed import Packed, verify
from bimetal.sizes import packed_summary


class Block(nn.Module):
    """A basic block as torchvision writes it."""

    def __init__(self, n_in: int, n: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n, 3, stride, 1, bias=False), nn.BatchNorm2d(n)
        self.conv2, self.bn2 = nn.Conv2d(n, n, 3, 1, 1, bias=False), nn.BatchNorm2d(n)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or n_in != n:
            conv = nn.Conv2d(n_in, n, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(n))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class PreBlock(nn.Module):
    """A block with the norm first, functions, and its shortcut behind the first of them."""

    def __init__(self, n_in: int, n: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(n_in), nn.BatchNorm2d(n)
        self.conv1 = nn.Conv2d(n_in, n, 3, padding=1)
        self.conv2 = nn.Conv2d(n, n, 3, padding=1)
        self.downsample = nn.Conv2d(n_in, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        before = functional.relu(self.bn1(x))
        out = functional.relu(self.bn2(self.conv1(before)), inplace=True)
        return self.downsample(before) + self.conv2(out)


class ResNet(nn.Module):
    """A small residual net with functions in its forward."""

    def __init__(self, n_classes: int = 2) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8), Block(8, 8))
        self.layer2 = nn.Sequential(Block(8, 12, 2), PreBlock(12, 16))
        self.bn2, self.fc = nn.BatchNorm2d(16), nn.Linear(16, n_classes)

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        if scale is not None:
            x = x * scale
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 2)
        x = functional.relu(self.bn2(self.layer2(self.layer1(x))))
        x = functional.adaptive_avg_pool2d(x, (1, 1))
        return self.fc(torch.flatten(x, 1))


class Own(nn.Module):
    """A net with any forward."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.does = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.does(self, x)


def resnet(seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    return ResNet()


def lowerable(policy: Policy | str = "xnor", conv: nn.Module | None = None) -> ResNet:
    """Return a net that lowers as it is: bits are read by its last layer, bytes by its first."""
    net = resnet()
    binarize_(net, policy)
    net.conv1 = conv or ByteConv2d(3, 8, 3, padding=1)  # type: ignore[assignment]
    net.fc = nn.Sequential(nn.BatchNorm1d(16), Sign(), ByteLinear(16, 3))  # type: ignore[assignment]
    settle(net, images(16, 3, 16, 16))
    calibrate(net, images(16, 3, 16, 16))
    return net


def test_a_net_and_its_sequence_are_one_net() -> None:
    net, x = resnet(), images(6, 3, 12, 12) / 255
    row = as_sequence(net)
    assert torch.equal(row.eval()(x), net.eval()(x))
    assert {id(p) for p in row.parameters()} == {id(p) for p in net.parameters()}
    net.train(), row.train()
    gradients = []
    for each in (net, row):
        net.zero_grad()
        each(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])  # type: ignore[union-attr]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_layers_keep_their_names_and_functions_are_called_after_their_modules() -> None:
    net = resnet()
    straight = straightened(net)
    modules, inside = (
        dict(net.named_modules()),
        dict(straight.row.named_modules(remove_duplicate=False)),
    )
    assert "layer1.0.add.branch.conv1" in inside
    same = [p for p, name in straight.names.items() if inside[p] is modules.get(name)]
    assert {straight.names[p] for p in same} >= {
        n for n, m in modules.items() if not [*m.children()]
    }
    others = {straight.names[p] for p in set(straight.names) - set(same)}
    assert others == {
        "relu", "max_pool2d", "relu_2", "adaptive_avg_pool2d", "flatten", "layer1.0.add",
        "layer1.1.add", "layer2.0.add", "layer2.1.relu", "layer2.1.relu_2", "layer2.1.add",
    }  # fmt: skip


def test_a_sequence_is_returned_itself_with_all_that_is_in_it() -> None:
    net = nn.Sequential(nn.Linear(4, 4), Residual(nn.Sequential(nn.ReLU(), nn.Linear(4, 4))))
    assert as_sequence(net) is net
    (single,) = as_sequence(nn.ReLU())
    assert isinstance(single, nn.ReLU)


def test_blocks_of_ours_around_nets_of_yours_keep_their_names() -> None:
    own = Own(lambda net, x: torch.relu(net.fc(x)), fc=nn.Linear(4, 4))
    net = nn.Sequential(Residual(own, nn.Sequential(nn.Linear(4, 4), nn.Tanh())), nn.Linear(4, 2))
    straight, x = straightened(net), torch.randn(3, 4)
    assert torch.equal(straight.row(x), net(x))
    leaves = {name for path, name in straight.names.items() if path.count(".") > 1}
    assert leaves == {"0.branch.fc", "0.branch.relu", "0.shortcut.0", "0.shortcut.1"}
    assert straight.names["0.branch.fc"] == "0.branch.fc", "places are the same where they can be"


def test_the_mode_and_the_shape_of_the_pictures_are_those_of_the_net() -> None:
    net = resnet().eval()
    net.image_shape = (3, 16, 16)  # type: ignore[assignment]
    net.layer1.train()
    row: Any = as_sequence(net)
    assert (row.training, row.relu.training, row.image_shape) == (False, False, (3, 16, 16))
    assert net.layer1[0].conv1.training and not net.fc.training


CHANNELS = nn.Conv2d(4, 4, 1)
FORMS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "functions": lambda n, x: functional.leaky_relu(torch.tanh(functional.hardtanh(x, -2, 2)), 0.3),
    "methods": lambda n, x: x.relu().tanh().sigmoid(),
    "in place": lambda n, x: torch.relu_(n.conv(x)).relu_(),
    "view": lambda n, x: n.conv(x).view(x.size(0), -1),
    "view by shape": lambda n, x: x.view(x.shape[0], 4 * 36),
    "reshape": lambda n, x: x.reshape((x.size(dim=0), -1)),
    "flatten": lambda n, x: x.flatten(1),
    "flatten from an axis": lambda n, x: torch.flatten(x, start_dim=2),
    "mean": lambda n, x: x.mean((2, 3)),
    "mean kept": lambda n, x: torch.mean(x, dim=[-1, -2], keepdim=True),
    "mean of sequences": lambda n, x: x.flatten(2).mean(2),
    "max pools": lambda n, x: functional.max_pool2d(torch.max_pool2d(x, 2, 1), 2, ceil_mode=True),
    "max pool, all in a row": lambda n, x: functional.max_pool2d(x, 4, 4, 0, 1, True),
    "average pools": lambda n, x: functional.avg_pool2d(functional.adaptive_avg_pool2d(x, 5), 2, 1),
    "cat": lambda n, x: torch.cat([x, x, x], dim=1),
    "sum": lambda n, x: n.conv(x) + x,
    "sum, the other way round": lambda n, x: torch.add(x, other=n.conv(x)),
    "sum with itself": lambda n, x: torch.relu(x) + torch.relu(x) + x,
    "sum of one value": lambda n, x: x.add(x),
    "chain": lambda n, x: x + n.conv(x) + n.norm(x) + torch.relu(x),
    "nest": lambda n, x: x + n.conv(torch.relu(x) + n.norm(n.conv(x))),
    "same layer often": lambda n, x: n.conv(n.conv(x) + n.relu(n.norm(n.relu(n.conv(x))))),
    "dropout": lambda n, x: functional.dropout2d(functional.dropout(x, 0.5, n.training), p=0.5, training=n.training),
    "softmax": lambda n, x: functional.log_softmax(x, dim=1),
}  # fmt: skip


def own(form: Callable[[Any, Tensor], Any]) -> Own:
    torch.manual_seed(0)
    layers = {"conv": nn.Conv2d(4, 4, 1), "norm": nn.BatchNorm2d(4), "relu": nn.ReLU()}
    return Own(form, **layers, fast=nn.ReLU(inplace=True)).eval()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_a_step_answers_alike(form: Callable[[Any, Tensor], Tensor]) -> None:
    net, x = own(form), torch.randn(3, 4, 6, 6)
    assert torch.equal(as_sequence(net)(x), net(x))
    assert net.conv.weight.requires_grad


class Grown(nn.Module):
    """A net of ways that part and meet again, drawn at random."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList()
        self.plan = self._grow(3, generator)

    def _grow(self, depth: int, generator: torch.Generator) -> list[Any]:
        plan: list[Any] = []
        for _ in range(int(torch.randint(0, 4, (), generator=generator))):
            kind = int(torch.randint(0, 4, (), generator=generator))
            if kind > 1 and depth:
                plan.append([self._grow(depth - 1, generator) for _ in range(2)])
            else:
                self.layers.append(nn.Linear(3, 3) if kind else nn.Tanh())
                plan.append(len(self.layers) - 1)
        return plan

    def _run(self, plan: list[Any], x: Tensor) -> Tensor:
        for part in plan:
            if isinstance(part, int):
                x = self.layers[part](x)
            else:
                x = self._run(part[0], x) + self._run(part[1], x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self._run(self.plan, x))


@pytest.mark.parametrize("seed", range(25))
def test_ways_that_part_and_meet_are_found_however_they_are_nested(seed: int) -> None:
    torch.manual_seed(seed)
    net, x = Grown(seed), torch.randn(4, 3)
    row = as_sequence(net)
    assert torch.equal(row(x), net(x))
    assert {id(p) for p in row.parameters()} == {id(p) for p in net.parameters()}


def two_that_cross(net: Any, x: Tensor) -> Tensor:
    first = net.conv(x)
    second = first + x
    return second + first


def a_value_written_over(net: Any, x: Tensor) -> Tensor:
    y = net.norm(x)
    return net.conv(net.fast(y)) + y


def a_value_added_to(net: Any, x: Tensor) -> Tensor:
    y = net.norm(x)
    return y.add_(net.conv(y)) + net.relu(y)


def a_name_of_a_value_written_over(net: Any, x: Tensor) -> Tensor:
    y = net.norm(x)
    return net.conv(net.fast(torch.flatten(y, 3))) + y


def a_clamp_by_the_way(net: Any, x: Tensor) -> Tensor:
    y = net.norm(x)
    y.clamp_(0, 1)
    return y


BUT_NOT: dict[str, tuple[Callable[[Any, Tensor], Any], str]] = {
    "by value": (lambda n, x: x if x.sum() > 0 else -x, "cannot be traced"),
    "product": (lambda n, x: x * torch.sigmoid(n.conv(x)), r"step 'mul' .* of two values has no layer"),
    "scaled": (lambda n, x: n.conv((x - 0.5) / 0.2), r"step '(sub|truediv)' .* bimetal.nn.Pixels"),
    "sum with a number": (lambda n, x: n.conv(x) + 1, "step 'add' .* bimetal.nn.Shift"),
    "weighted sum": (lambda n, x: torch.add(x, n.conv(x), alpha=2), "step 'add'"),
    "parameter": (lambda n, x: x + n.conv.bias.view(4, 1, 1), "reads 'conv.bias' beside its input"),
    "other input": (lambda n, x: x + torch.ones(1), "reads|step 'add'"),
    "sign": (lambda n, x: torch.sign(x), r"step 'sign' .* bimetal.nn.Sign"),
    "squeeze": (lambda n, x: x.mean((2, 3), True).squeeze(), r"step 'squeeze' .* x.flatten\(1\)"),
    "view of numbers": (lambda n, x: x.view(-1, 144), r"step 'view' .* x.flatten\(1\)"),
    "view by another axis": (lambda n, x: x.view(x.size(1), -1), "step 'view'"),
    "cat of two": (lambda n, x: torch.cat([x, n.conv(x)], 1), "step 'cat' .* joined with itself"),
    "cat of rows": (lambda n, x: torch.cat([x, x], 0), "step 'cat'"),
    "mean of rows": (lambda n, x: x.mean(0), r"step 'mean' .* x.mean\(\(2, 3\)\)"),
    "unknown": (lambda n, x: torch.fft.fft(x), "step 'fft_fft' .* there may be adaptive_avg_pool1d, "),
    "size": (lambda n, x: functional.max_pool2d(x, x.size(2)), "has sizes that are computed"),
    "always dropped": (lambda n, x: functional.dropout(x, 0.5), "training=self.training"),
    "two answers": (lambda n, x: (x, n.conv(x)), r"one answer; .* returns tuple"),
    "no input": (lambda n, x: n.conv.weight, "reads 'conv.weight' beside"),
    "crossing": (two_that_cross, "what 'conv' makes is read in several places"),
    "written over": (a_value_written_over, r"'fast' writes into a value that 'add' reads .* inplace=False"),
    "written over by another name": (a_name_of_a_value_written_over, "'fast' writes into a value"),
    "added to": (a_value_added_to, "'add' writes into a value that 'relu' reads"),
    "by the way": (a_clamp_by_the_way, "'clamp' works in place and its result is not used"),
    "options": (lambda n, x: n.conv(input=x), "step 'conv' .* one value and no options"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "message"), BUT_NOT.values(), ids=BUT_NOT)
def test_what_cannot_be_written_as_a_sequence_is_named(
    form: Callable[[Any, Tensor], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        as_sequence(own(form))


def test_a_chain_of_hundreds_of_sums_is_refused() -> None:
    def forward(net: Any, x: Tensor) -> Tensor:
        return sum((torch.relu(x) for _ in range(400)), start=x)

    with pytest.raises(DataError, match="nested too deep"):
        as_sequence(Own(forward))


def test_two_inputs_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with pytest.raises(DataError, match=r"one input .* has the inputs \['x', 'y'\]"):
        as_sequence(Two())


@pytest.mark.parametrize("policy", ["xnor", "bi_real", "binarynet", "react"])
def test_a_net_with_a_forward_of_its_own_equals_its_program(policy: str) -> None:
    net, x = lowerable(policy), images(24, 3, 16, 16, seed=1)
    found = verify(net, x)
    assert found.is_exact
    answers = Packed(net, (3, 16, 16)).answers(x)
    assert len({tuple(row) for row in answers.tolist()}) > 1


def test_its_program_is_that_of_its_sequence_to_the_byte() -> None:
    net = lowerable()
    assert dumps(lower_cnn(net, (3, 16, 16))) == dumps(lower_cnn(as_sequence(net), (3, 16, 16)))
    assert net.training is False


def test_a_net_written_as_a_class_and_as_a_sequence_is_one_program() -> None:
    parts = {
        "planes": BitPlanes(), "conv": BinaryConv2d(8, 6, 3), "norm": nn.BatchNorm2d(6),
        "sign": Sign(), "fc": BinaryLinear(54, 3), "answer": Logits(3),
    }  # fmt: skip

    def forward(n: Any, x: Tensor) -> Tensor:
        x = functional.max_pool2d(n.norm(n.conv(n.planes(x))), 2)
        return n.answer(n.fc(n.sign(x).view(x.size(0), -1)))

    net = Own(forward, **parts)
    row = [
        *list(parts.values())[:3],
        nn.MaxPool2d(2),
        Sign(),
        nn.Flatten(),
        *list(parts.values())[4:],
    ]
    settle(net, images(8, 1, 8, 8))
    assert dumps(lower_cnn(net, (1, 8, 8))) == dumps(lower_cnn(nn.Sequential(*row), (1, 8, 8)))


def test_operations_are_told_the_layers_of_the_net_and_their_bytes_add_up_to_the_file() -> None:
    net = lowerable()
    lowered = trace(net, (3, 16, 16))
    assert {"conv1", "layer1.0.conv1.2", "layer1.0.add", "layer2.0.downsample.0.2", "fc.2"} <= set(
        lowered.layers
    )
    assert not [name for name in lowered.layers if "branch" in name]
    found = packed_summary(net, (3, 16, 16))
    assert found.file_bytes == len(dumps(lowered.program))
    kinds = {layer.name: layer.kind for layer in found.layers}
    assert kinds["layer1.0.add"] == kinds["max_pool2d"] == "function"


def test_repeated_channels_and_sequences_lower() -> None:
    def forward(n: Any, x: Tensor) -> Tensor:
        x = n.norm(n.conv(n.planes(x)))
        x = torch.cat([x, x], 1) + n.wide(n.sign(x))
        return n.last(n.sign(x.mean(2)))

    net = Own(
        forward, planes=BitPlanes(), conv=BinaryConv1d(16, 4, 3), norm=nn.BatchNorm1d(4),
        sign=Sign(), wide=BinaryConv1d(4, 8, 1), last=ByteLinear(8, 3),
    )  # fmt: skip
    x = images(16, 2, 10)
    settle(net, x)
    assert any(isinstance(layer, Repeat) for layer in as_sequence(net).modules())
    assert verify(net, x).is_exact
    assert {"Concat", "Add"} <= set(op_names(lower_cnn(net, (2, 10))))


@pytest.mark.parametrize("size", [16, 24])
@pytest.mark.parametrize("keep", [("first", "last"), ("first", "last", "*.downsample*")])
def test_from_a_class_of_floats_to_bits(size: int, keep: tuple[str, ...]) -> None:
    net, x = resnet(), images(64, 3, size, size)
    y = (x[:, 0].mean((1, 2)) > x[:, 1].mean((1, 2))).long()
    binarize_(net, Policy(binarizer="xnor", keep=keep))
    before = [w.clone() for w in latent_weights(net)]
    fit_classifier(net, x / 255, y, TrainConfig(1, 16))
    assert any(not torch.equal(a, b) for a, b in zip(before, latent_weights(net), strict=True))
    net.train()
    copied = with_byte_activations(net, x / 255)
    assert net.training and net.layer2.training
    assert torch.equal(with_byte_activations(as_sequence(net), x / 255)(x / 255), copied(x / 255))
    assert verify(copied, x / 255).is_exact
    assert abs(accuracy(net, x / 255, y) - accuracy(copied, x / 255, y)) < 0.2


def test_pictures_before_a_class_may_be_normalized_by_pixels() -> None:
    net, x = nn.Sequential(Pixels((0.5,) * 3, (0.25,) * 3), resnet()), images(48, 3, 16, 16)
    binarize_(net, "xnor")
    settle(net, x)
    copied = with_byte_activations(net, x)
    assert verify(copied, x).is_exact
    expected, answers = (each.eval()(x).argmax(1) for each in (net, copied))
    assert (expected == answers).float().mean() > 0.8, "signs of sums near 0 differ, now and then"


def test_what_does_not_lower_is_named_as_in_the_net_with_advice() -> None:
    net, x = resnet(), images(8, 3, 16, 16)
    binarize_(net, "xnor")
    with pytest.raises(ProgramError, match=r"'fc' \(Linear\): .* bimetal.nn.with_byte_activations"):
        lower_cnn(net, (3, 16, 16))
    net.layer1[0].conv2[2] = nn.Conv2d(8, 8, 3, padding=1)
    with pytest.raises(DataError, match=r"layer 'layer1.0.conv2.2' \(Conv2d\): .* reads no bits"):
        with_byte_activations(net, x)
    softened = Own(lambda n, x: functional.softmax(n.net(x), dim=1), net=lowerable())
    with pytest.raises(ProgramError, match=r"'softmax' \(Softmax\): .* answer='softmax'"):
        lower_cnn(softened, (3, 16, 16))
    with pytest.raises(
        ProgramError, match="cannot be written as a sequence of layers: the step 'mul'"
    ):
        lower_cnn(Own(lambda n, x: n.net(x) * 2, net=lowerable()), (3, 16, 16))


def test_a_class_derived_from_a_layer_that_does_something_else_does_not_lower_as_that_layer() -> (
    None
):
    class Doubled(BinaryConv2d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    net = nn.Sequential(BitPlanes(), Doubled(8, 4, 8), nn.Flatten(), Logits(4))
    with pytest.raises(ProgramError, match=r"layer '1' \(Doubled\): .* a forward of its own"):
        lower_cnn(net, (1, 8, 8))


def test_a_block_that_writes_into_its_own_input_does_not_lower() -> None:
    branch = nn.Sequential(nn.Dropout(), nn.Hardtanh(inplace=True), Sign(), BinaryConv2d(8, 8, 1))
    net = nn.Sequential(BitPlanes(), Residual(branch), nn.Flatten(), Sign(), BinaryLinear(512, 3))
    with pytest.raises(ProgramError, match=r"layer '1.branch.1' \(Hardtanh\): writes into a value"):
        lower_cnn(net, (1, 8, 8))
