"""A summary counts as one counts by hand, and as the Program that is made of the net counts."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bimetal import zoo
from bimetal.errors import DataError
from bimetal.lower import lower_cnn
from bimetal.nn import (
    BINARIZERS,
    BinaryConv2d,
    BinaryLinear,
    BinaryMLP,
    ByteConv2d,
    ByteLinear,
    Logits,
    Scale,
    Sign,
    bi_real_block,
    react_block,
)
from bimetal.nn.attention import BinaryAttention
from bimetal.nn.embedding import BinaryEmbedding
from bimetal.nn.gated import BinaryGRU, BinaryLSTM
from bimetal.nn.kbit import DoReFaWeight
from bimetal.nn.recurrent import BinaryRNN
from bimetal.nn.sequence import BinaryConv1d
from bimetal.nn.summary import LayerSummary, Summary, summary

SMALL: dict[str, Callable[..., Any]] = {
    "alexnet": lambda **recipe: zoo.alexnet(True, 7, 63, 0.0625, 0, **recipe),
    "vgg16": lambda **recipe: zoo.vgg16(True, 7, 32, 0.0625, 0, **recipe),
}


def by_name(found: Summary) -> dict[str, LayerSummary]:
    return {layer.name: layer for layer in found.layers}


# --- against counts by hand ------------------------------------------------------------------

ONE_LAYER: list[tuple[nn.Module, tuple[int, ...], tuple[int, ...], tuple[int, int, int], int, int]]
ONE_LAYER = [  # layer, row, its output; parameters of 1 bit, of 8 bits, real; macs; bytes
    (nn.Linear(5, 3), (5,), (3,), (0, 0, 18), 15, 72),
    (nn.Linear(5, 3), (2, 5), (2, 3), (0, 0, 18), 30, 72),
    (nn.Conv1d(4, 6, 3, groups=2), (4, 8), (6, 6), (0, 0, 42), 6 * 6 * 6, 168),
    (nn.Conv2d(3, 8, 3, 2, 1), (3, 7, 9), (8, 4, 5), (0, 0, 224), 20 * 8 * 27, 896),
    (nn.ConvTranspose2d(3, 4, 3, 2), (3, 5, 5), (4, 11, 11), (0, 0, 112), 25 * 108, 448),
    (nn.Bilinear(3, 3, 4), (3,), (4,), (0, 0, 40), 36, 160),
    (BinaryLinear(20, 6), (20,), (6,), (120, 0, 0), 120, 6 * 3),
    (BinaryLinear(20, 6, groups=2), (20,), (6,), (60, 0, 0), 60, 6 * 2),
    (BinaryConv1d(4, 6, 3, padding="causal"), (4, 9), (6, 9), (72, 0, 0), 9 * 72, 6 * 2),
    (BinaryConv2d(4, 6, (3, 1), groups=2), (4, 5, 5), (6, 3, 5), (36, 0, 0), 15 * 36, 6),
    (BinaryConv2d(3, 2, 3, padding=1), (3, 4, 4), (2, 4, 4), (54, 0, 0), 16 * 54, 2 * 4),
    (BinaryLinear(20, 6, binarizer="xnor"), (20,), (6,), (120, 0, 0), 120, 18 + 24),
    (BinaryLinear(20, 6, binarizer="xnor_learned"), (20,), (6,), (120, 0, 6), 120, 18 + 24),
    (ByteConv2d(3, 4, 3), (3, 5, 5), (4, 3, 3), (0, 108, 0), 9 * 108, 108),
    (ByteLinear(20, 6), (20,), (6,), (0, 120, 6), 120, 144),
    (nn.BatchNorm2d(4), (4, 3, 3), (4, 3, 3), (0, 0, 8), 0, 32),
    (Scale(4), (4, 3, 3), (4, 3, 3), (0, 0, 8), 0, 32),
]  # fmt: skip


class Twice(nn.Module):
    """A layer of two inputs, given the same one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        return self.layer(x, x)


@pytest.mark.parametrize("case", ONE_LAYER, ids=lambda case: str(case[0]))
def test_a_layer_is_counted_as_by_hand(case: Any) -> None:
    layer, row, output, parameters, n_macs, weight_bytes = case
    model = Twice(layer) if isinstance(layer, nn.Bilinear) else nn.Sequential(layer)
    (found,) = summary(model, row).layers
    assert found.output_shape == output
    assert (found.n_binary, found.n_byte, found.n_real) == parameters
    assert found.n_macs == n_macs
    assert found.weight_bytes == weight_bytes
    assert found.latent_bytes == 4 * sum(parameters)


def test_totals_are_those_of_a_small_net_by_hand() -> None:
    net = nn.Sequential(
        ByteConv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), Sign(), nn.MaxPool2d(2),
        BinaryConv2d(8, 16, 3), nn.BatchNorm2d(16), Sign(), nn.Flatten(),
        BinaryLinear(16 * 4, 10), Logits(10),
    )  # fmt: skip
    found = summary(net, (1, 8, 8))
    total = found.total
    assert (total.n_bit_macs, total.n_byte_macs, total.n_real_macs) == (4 * 1152 + 640, 64 * 72, 0)
    assert (total.n_binary, total.n_byte, total.n_real) == (1152 + 640, 72, 16 + 32 + 20)
    assert total.weight_bytes == 72 + 16 * 9 + 10 * 8 + 4 * (16 + 32 + 20)
    assert total.latent_bytes == found.float_bytes == 4 * (1792 + 72 + 68)
    assert found.ratio == pytest.approx(found.float_bytes / total.weight_bytes)
    assert found.binary_share == pytest.approx(5248 / (5248 + 4608))
    assert [layer.binarizer for layer in found.layers if layer.binarizer] == ["binarynet"] * 2


# --- against the Program ---------------------------------------------------------------------

RECIPES: list[tuple[str, dict[str, Any]]] = [
    ("vgg16", {}),
    ("alexnet", {"last": "8bit"}),
    ("alexnet", {"stem": "planes", "pad_value": 0}),
    ("alexnet", {"stem": "thermometer", "last": "8bit", "pad_value": 1}),
]


@pytest.mark.parametrize(("name", "recipe"), RECIPES, ids=str)
def test_work_and_weights_are_those_of_the_lowered_program(
    name: str, recipe: dict[str, Any]
) -> None:
    net = SMALL[name](**recipe)
    found, program = summary(net), lower_cnn(net)
    cost = program.cost()
    bits = [layer for layer in found.layers if layer.n_binary]
    rows = [row for row in cost.rows if row.op == "conv"]
    assert found.total.n_bit_macs == cost.bit_ops
    assert found.total.n_binary == cost.bits
    assert [layer.n_bit_macs for layer in bits] == [row.bit_ops for row in rows]
    assert [layer.n_binary for layer in bits] == [row.binary_weights for row in rows]
    packed = [op.arrays()["weights"].nbytes for op in program.ops if type(op).__name__ == "Conv"]
    assert [layer.weight_bytes for layer in bits] == packed
    eight = [row.int_ops for row in cost.rows if row.op in ("byteconv", "readout")]
    assert [layer.n_byte_macs for layer in found.layers if layer.n_byte] == eight


@pytest.mark.parametrize("block", [bi_real_block, react_block])
def test_residual_blocks_work_as_their_program_does(block: Any) -> None:
    net = nn.Sequential(
        ByteConv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), block(8, 16, 2), block(16, 16),
        nn.AdaptiveAvgPool2d((1, 1)), Sign(), nn.Flatten(), BinaryLinear(16, 4), Logits(4),
    )  # fmt: skip
    found = summary(net, (3, 8, 8)).total
    cost = lower_cnn(net, (3, 8, 8)).cost()
    assert (found.n_bit_macs, found.n_binary) == (cost.bit_ops, cost.bits)


@pytest.mark.parametrize("name", SMALL)
def test_the_float_twin_works_and_weighs_the_same_but_for_the_bits(name: str) -> None:
    plain = {"alexnet": zoo.alexnet, "vgg16": zoo.vgg16}[name]
    n_classes, size, width = 7, {"alexnet": 63, "vgg16": 32}[name], 0.0625
    real, binary = summary(plain(False, n_classes, size, width, 0)), summary(SMALL[name]())
    assert real.total.n_macs == real.total.n_real_macs == binary.total.n_macs
    assert (real.binary_share, real.ratio) == (0, 1)
    assert binary.ratio > 5
    assert real.float_bytes == real.total.weight_bytes == real.total.latent_bytes


# --- laws of any net -------------------------------------------------------------------------


class Attending(nn.Module):
    """Products that are in no layer: attention and a weight of the net itself."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(8, 8)
        self.mix = nn.Parameter(torch.zeros(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.model(x)
        return (y @ y.transpose(1, 2) @ y) @ self.mix


def shared() -> nn.Sequential:
    layer = BinaryLinear(8, 8)
    again = BinaryLinear(8, 8)
    again.latent_weight = layer.latent_weight
    return nn.Sequential(Sign(), layer, Sign(), layer, Sign(), again)


def parametrized() -> nn.Sequential:
    layer = nn.Linear(8, 4)
    parametrize.register_parametrization(layer, "weight", DoReFaWeight(2))
    return nn.Sequential(layer, nn.Linear(4, 3))


NETS: dict[str, tuple[nn.Module, Any, int]] = {
    "mlp": (BinaryMLP(6, 1, (4, 4), n_members=3), (6,), 6 * 12 + 3 * 16 + 12 + 6),
    "lstm": (nn.LSTM(3, 5, batch_first=True), (7, 3), 7 * 160),
    "gru": (nn.GRU(3, 5, batch_first=True, bidirectional=True), (7, 3), 2 * 7 * 120),
    "attention": (Attending(), (6, 8), 6 * 64 + 2 * 36 * 8 + 6 * 16),
    "transformer": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        (5, 8),
        5 * (4 * 64 + 2 * 128) + 2 * 25 * 8,
    ),
    "binary attention": (BinaryAttention(8, 2), (5, 8), 5 * 4 * 64 + 2 * 25 * 8),
    "rnn": (BinaryRNN(3, 5), (7, 3), 7 * (15 + 25)),
    "binary gru": (BinaryGRU(3, 5), (7, 3), 7 * 3 * (15 + 25)),
    "binary lstm": (nn.Sequential(BinaryLSTM(3, 5)), (7, 3), 7 * 4 * (15 + 25)),
    "embedding": (BinaryEmbedding(9, 5), torch.tensor([[1, 2], [3, 4]]), 0),
    "shared": (shared(), (8,), 3 * 64),
    "parametrized": (parametrized(), (8,), 32 + 12),
    "nothing": (nn.Sequential(nn.ReLU()), (3,), 0),
}


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_and_every_product_is_counted_once(name: str) -> None:
    model, rows, n_macs = NETS[name]
    total = summary(model, rows).total
    assert total.n_parameters == sum(p.numel() for p in model.parameters())
    assert total.latent_bytes == sum(p.nbytes for p in model.parameters())
    assert total.n_macs == n_macs


def test_products_are_counted_where_they_are_done() -> None:
    found = by_name(summary(Attending(), (6, 8)))
    assert found["model"].n_real_macs in (6 * 64, 2 * 36 * 8 + 6 * 16)
    work = [layer.n_real_macs for layer in summary(Attending(), (6, 8)).layers]
    assert work == [2 * 36 * 8 + 6 * 16, 6 * 64]
    assert by_name(summary(parametrized(), (8,)))["0"].n_real == 36


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_the_number_of_rows_does_not_matter(n_rows: int) -> None:
    for name in ("mlp", "lstm", "binary gru", "transformer"):
        model, row, _ = NETS[name]
        assert summary(model, torch.zeros(n_rows, *row)) == summary(model, row)


def test_a_mac_is_1_bit_where_weights_and_inputs_are() -> None:
    linear = nn.Sequential(BinaryLinear(8, 4))
    assert summary(linear, (8,)).total.n_real_macs == 32, "zeros are no bits"
    assert summary(linear, torch.ones(1, 8)).total.n_bit_macs == 32
    assert summary(nn.Sequential(Sign(), nn.Linear(8, 4)), (8,)).total.n_real_macs == 32
    assert summary(nn.Sequential(Sign(), nn.Flatten(), *linear), (8,)).total.n_bit_macs == 32
    assert summary(BinaryMLP(6, 1, (4,)), torch.ones(1, 6)).total.n_bit_macs == 6 * 32


@pytest.mark.parametrize("name", BINARIZERS)
def test_a_binarizer_is_told_by_its_name(name: str) -> None:
    (layer,) = summary(nn.Sequential(BinaryLinear(8, 4, binarizer=name)), (8,)).layers
    assert BINARIZERS[layer.binarizer] == BINARIZERS[name]
    odd = BINARIZERS[name].__class__(surrogate="identity", clip=0.125)
    (layer,) = summary(nn.Sequential(BinaryLinear(8, 4, binarizer=odd)), (8,)).layers
    assert layer.binarizer == "Binarizer(surrogate='identity', clip=0.125)"


@pytest.mark.parametrize(
    ("model", "bits"),
    [
        (BinaryRNN(3, 5), {"recurrent": 175}),
        (BinaryRNN(3, 5, is_input_binary=True), {"recurrent": 175, "input": 105}),
        (BinaryGRU(3, 5), {}),
        (BinaryLSTM(3, 5, is_state_binary=True), {"recurrent": 700}),
    ],
)
def test_the_two_products_of_a_recurrent_layer_are_told_apart(
    model: nn.Module, bits: dict[str, int]
) -> None:
    found = summary(model, (7, 3))
    assert {layer.name: layer.n_bit_macs for layer in found.layers if layer.n_bit_macs} == bits
    assert {layer.name for layer in found.layers} >= {"input", "recurrent"}


def test_float64_nets_weigh_what_they_do() -> None:
    assert summary(nn.Linear(4, 2).double(), (4,)).total.weight_bytes == 80


# --- the net is left as it was ---------------------------------------------------------------


def state(model: nn.Module) -> Any:
    modes = [m.training for m in model.modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return modes, hooks, torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()


@pytest.mark.parametrize("row", [(1, 8, 8), (2, 8, 8)], ids=["fits", "fails"])
def test_the_net_is_left_as_it_was(row: tuple[int, ...]) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), Sign("identity", "stochastic"),
        BinaryConv2d(4, 4, 3, binarizer="binaryconnect_stochastic"), nn.Dropout(),
    ).train()  # fmt: skip
    model[1].eval()
    before, tensors = state(model), {k: v.clone() for k, v in model.state_dict().items()}
    dice = torch.random.get_rng_state()
    try:
        summary(model, row)
    except DataError:
        assert row[0] == 2
    assert state(model) == before
    assert all(torch.equal(v, tensors[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), dice)


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "row", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 8, 8), r"layer '0' \(Conv2d\) failed with: .*channels"),
        (nn.Sequential(nn.Flatten(), nn.Sequential(BinaryLinear(9, 3))), (2, 5),
         r"rows of shape \(2, 5\): layer '1\.0' \(BinaryLinear\) failed"),
        (SMALL["vgg16"](), (3, 64, 64), r"layer 'classifier\.0' \(BinaryLinear\) failed"),
        (BinaryRNN(3, 5), (7, 4), r"layer 'model' \(BinaryRNN\) failed with: expected \(n_rows"),
        (nn.Linear(2, 2), None, r"the shape of one row is needed.* got None"),
        (nn.Linear(2, 2), (), r"the shape of one row is needed.* got \(\)"),
        (nn.Linear(2, 2), (0,), r"the shape of one row is needed.* got \(0,\)"),
        (nn.Linear(2, 2), 2, "the shape of one row is needed.* got 2"),
        (nn.Linear(2, 2), torch.zeros(0, 2), r"at least one row is needed, got .*\(0, 2\)"),
        (nn.Linear(2, 2), torch.tensor(1.0), "at least one row is needed"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_by_the_layers_name(
    model: nn.Module, row: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        summary(model, row)


# --- the table -------------------------------------------------------------------------------


def test_the_table_has_a_line_a_layer_and_fits_its_columns() -> None:
    found = summary(SMALL["alexnet"](last="8bit"))
    head, *lines = str(found).splitlines()
    body = lines[: len(found.layers)]
    assert [line.split()[0] for line in body] == [layer.name for layer in found.layers]
    assert lines[len(body)].startswith("total")
    ends = [head.index(word) + len(word) for word in ("1-bit", "8-bit", "1-bit MACs", "weights")]
    for line in [*body, lines[len(body)]]:
        assert all(line[end - 1].isdigit() and line[end : end + 2].strip() == "" for end in ends)
    for n in (found.total.n_bit_macs, found.total.weight_bytes, found.total.n_binary):
        assert f" {n:,}" in lines[len(body)]


def test_columns_of_nothing_are_left_out() -> None:
    head = str(summary(nn.Linear(3, 2), (3,))).splitlines()[0]
    assert head.split() == ["layer", "kind", "output", "real", "real", "MACs", "weights"]
    assert "nan" not in str(summary(nn.ReLU(), (3,)))


def test_the_sums_stand_below_the_table() -> None:
    found = summary(SMALL["vgg16"]())
    share, weights = str(found).splitlines()[-2:]
    assert share.startswith(f"{100 * found.binary_share:.1f}% of {found.total.n_macs:,} ")
    assert f"{found.ratio:.1f} × smaller" in weights
    assert math.isclose(found.ratio, found.float_bytes / found.total.weight_bytes)
