"""Each family by its laws: what must stay equal stays equal, and what must become smaller does."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import (
    Branching,
    ClassStyle,
    calibrated,
    digits,
    disturbed,
    mlp,
    plain_cnn,
    sequence_net,
    series,
    tumours,
)  # fmt: skip
from safetensors.numpy import load_file
from torch import nn

from bimetal import reference
from bimetal.compress import CompressConfig, CompressData, Lesson, binarization, pruning, twin
from bimetal.compress.binarization import lowered
from bimetal.compress.compact import OppositePairs, opposite, separated
from bimetal.compress.data import Part, Reads
from bimetal.compress.deploy import as_codes, as_deflated, as_floats, as_program
from bimetal.compress.distillation import narrower
from bimetal.compress.grid import Grid, on_grid
from bimetal.compress.lesson import answers
from bimetal.compress.low_rank import factorized, factors_of, rank_of
from bimetal.compress.pruning import masked, unmasked, weights_pruned
from bimetal.compress.quantization import in_bytes, with_binary_weights
from bimetal.compress.runtimes import as_float, exported, onnx_runtime
from bimetal.compress.storage import coded_arrays, packed
from bimetal.compress.twin import binary_twin, quantile_cuts
from bimetal.errors import DataError
from bimetal.nn import BinaryConv2d, BinaryLayer, BinaryLinear, ByteConv2d, ByteLinear
from bimetal.runtime import Engine

X = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def lesson(model: nn.Module, data: CompressData | None = None) -> Lesson:
    return Lesson(model.eval(), data or digits(), CompressConfig(epochs=1, is_quick=True))


# ---- pruning ----------------------------------------------------------------------------------------


def test_pruning_nothing_changes_nothing() -> None:
    model = disturbed(ClassStyle())
    assert torch.equal(unmasked(masked(model, 0.0))(X), model(X))


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_as_many_weights_are_zero_as_were_asked_for_and_they_are_the_smallest(
    sparsity: float,
) -> None:
    model = plain_cnn()
    before = torch.cat([m.weight.flatten() for m in model if hasattr(m, "weight")]).detach().abs()
    done = unmasked(masked(model, sparsity))
    after = torch.cat([m.weight.flatten() for m in done if hasattr(m, "weight")])
    assert int((after == 0).sum()) == round(sparsity * len(after))
    assert before[after == 0].max() <= before[after != 0].min()
    assert not any(name.endswith(("_orig", "_mask")) for name in done.state_dict())


def test_masks_hold_through_training_and_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "SPARSITIES", (0.5, 0.9))
    task = Lesson(plain_cnn().eval(), digits(100), CompressConfig(epochs=1))
    sparse = [c.model for c in weights_pruned(task)]
    zeros = [[(p == 0) for p in m.parameters() if p.ndim > 1] for m in sparse]
    shares = [sum(int(z.sum()) for z in of) for of in zeros]
    assert shares == sorted(shares) and shares[0] > 0
    for fewer, more in itertools.pairwise(zeros):
        assert all(bool((b | ~a).all()) for a, b in zip(fewer, more, strict=True))


def test_a_model_without_weights_cannot_be_pruned() -> None:
    with pytest.raises(DataError, match="no linear or convolutional layer"):
        masked(nn.Sequential(nn.ReLU()), 0.5)


def test_the_deflated_file_shrinks_with_every_share_of_zeros(tmp_path: Path) -> None:
    model, data = mlp(64, 10), tumours()
    sizes = []
    for sparsity in (0.0, 0.5, 0.8, 0.95):
        path = tmp_path / f"{sparsity}"
        found = as_deflated(unmasked(masked(model, sparsity)), path, data)
        sizes.append(found.path.stat().st_size)
        assert found.raw_bytes == as_floats(model, path, data).path.stat().st_size - 0 or sparsity
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 4


# ---- low rank ---------------------------------------------------------------------------------------

CONVS = (
    nn.Conv1d(3, 8, 3, stride=2, padding=2, dilation=2),
    nn.Conv2d(3, 8, 3, padding=1),
    nn.Conv2d(4, 5, (5, 3), stride=(2, 1), padding=(1, 2), bias=False),
    nn.Conv2d(2, 6, 3, dilation=(1, 2), padding_mode="circular", padding=1),
    nn.Conv2d(6, 4, 1),
)


@pytest.mark.parametrize("layer", CONVS)
def test_a_convolution_of_full_rank_is_the_convolution(layer: nn.Conv1d | nn.Conv2d) -> None:
    x = torch.randn(2, layer.in_channels, *([9, 10] if isinstance(layer, nn.Conv2d) else [11]))
    torch.testing.assert_close(factors_of(layer, 1.0)(x), layer(x), rtol=1e-4, atol=1e-5)


def test_a_model_of_full_rank_is_the_model() -> None:
    model = disturbed(ClassStyle())
    whole = factorized(model, 1.0, only_smaller=False)
    torch.testing.assert_close(whole(X), model(X), rtol=1e-4, atol=1e-5)


def test_less_energy_means_less_rank_and_more_error() -> None:
    layer, x = nn.Linear(32, 24), torch.randn(64, 32)
    found = [factors_of(layer, share) for share in (0.3, 0.6, 0.9, 1.0)]
    ranks = [len(two[0].weight) for two in found]
    errors = [(two(x) - layer(x)).square().sum().item() for two in found]
    assert ranks == sorted(ranks) and ranks[-1] == 24
    assert errors == sorted(errors, reverse=True)


@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=9), st.floats(0.01, 1))
def test_the_rank_keeps_its_share_and_one_less_would_not(values: list[float], share: float) -> None:
    s = torch.tensor(sorted(values, reverse=True)).double()
    rank, energy = rank_of(s, share), s.square().cumsum(0)
    assert 1 <= rank <= len(s)
    if share < 1 and energy[-1] > 0:
        assert energy[rank - 1] >= share * energy[-1]
        assert rank == 1 or energy[rank - 2] < share * energy[-1]


@pytest.mark.parametrize(
    ("share", "why"), [(0.0, "above 0"), (1.5, "up to 1"), (0.999, "no layer")]
)
def test_a_share_out_of_range_or_in_vain_is_refused(share: float, why: str) -> None:
    with pytest.raises(DataError, match=why):
        factorized(nn.Sequential(nn.Linear(4, 4)), share)


# ---- compact filters, students ----------------------------------------------------------------------


def test_convolutions_of_sequences_are_made_compact_too() -> None:
    model, x = sequence_net(), X[:, 0]
    for make in (separated, opposite):
        assert make(model)(x).shape == (4, 10)


def test_half_of_the_filters_are_the_other_half_negated() -> None:
    layer = OppositePairs(nn.Conv2d(2, 6, 3, stride=2, padding=1))
    y = layer(torch.randn(2, 2, 7, 7)) - layer.bias.view(-1, 1, 1)
    assert y.shape == (2, 6, 4, 4) and torch.equal(y[:, :3], -y[:, 3:])


@pytest.mark.parametrize("make", [separated, opposite, lambda m: narrower(m, 0.5)])
def test_compact_nets_and_students_answer_in_the_same_shape_with_fewer_numbers(
    make: Callable[[nn.Module], nn.Module],
) -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1),
                          nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10))  # fmt: skip
    small = make(model)
    assert small(X).shape == model(X).shape
    n = [sum(p.numel() for p in m.parameters()) for m in (small, model)]
    assert n[0] < n[1]


def test_a_student_has_weights_of_its_own_that_the_seed_decides() -> None:
    model = plain_cnn()
    a, b, c = narrower(model, 0.5, 1), narrower(model, 0.5, 1), narrower(model, 0.5, 2)
    assert torch.equal(a[0].weight, b[0].weight) and not torch.equal(a[0].weight, c[0].weight)
    assert not torch.isin(a[0].weight, model[0].weight).any()


def test_a_method_for_convolutions_says_that_there_are_none() -> None:
    for make in (separated, opposite):
        with pytest.raises(DataError, match="no convolution"):
            make(mlp(64, 10))


# ---- few bits ---------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_packed_codes_can_be_unpacked(n_bits: int, values: list[int]) -> None:
    codes = np.array(values, np.uint8) & (2**n_bits - 1)
    found = packed(codes, n_bits)
    assert len(found) == -(-len(codes) * n_bits // 8)
    bits = np.unpackbits(found, bitorder="little")[: len(codes) * n_bits].reshape(-1, n_bits)
    assert (bits @ (1 << np.arange(n_bits)) == codes).all()


@pytest.mark.parametrize("n_bits", [2, 3, 4, 8])
def test_codes_and_scales_of_the_file_are_the_weights(tmp_path: Path, n_bits: int) -> None:
    model, data = on_grid(mlp(30, 2), n_bits), tumours()
    arrays = load_file(as_codes(model, tmp_path / "net", data).path)
    n, grid = 16 * 30, model[0].parametrizations["weight"][0]
    assert isinstance(grid, Grid)
    bits = np.unpackbits(arrays["0.codes"], bitorder="little")[: n * n_bits].reshape(n, n_bits)
    codes = (bits @ (1 << np.arange(n_bits))).reshape(16, 30)
    levels = 2 * codes / (2**n_bits - 1) - 1
    weight = levels * arrays["0.scale"][:, None]
    np.testing.assert_allclose(weight, model[0].weight.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_more_bits_are_closer_and_larger(tmp_path: Path) -> None:
    model, data = mlp(30, 2), tumours()
    x = data.train.x[:50]
    errors, sizes = [], []
    for n_bits in (2, 4, 8):
        coded = on_grid(Lesson(model, data).copy(), n_bits)
        errors.append((coded(x) - model(x)).square().mean().item())
        sizes.append(as_codes(coded, tmp_path / "net", data).path.stat().st_size)
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


@pytest.mark.parametrize("n_bits", [1, 9])
def test_a_grid_has_2_to_8_bits(n_bits: int) -> None:
    with pytest.raises(DataError, match="2 to 8 bits"):
        on_grid(mlp(30, 2), n_bits)


def test_weights_of_few_levels_as_floats_answer_alike() -> None:
    for make, x in ((ClassStyle, X), (sequence_net, X[:, 0])):
        for model in (on_grid(make(), 2), with_binary_weights(make())):
            disturbed(model)
            plain = as_float(model)
            torch.testing.assert_close(plain(x), model(x), rtol=1e-4, atol=1e-4)
            assert not any(isinstance(m, BinaryLayer) for m in plain.modules())


@pytest.mark.parametrize("layer", [BinaryLinear(8, 4, groups=2), BinaryConv2d(1, 2, 3, padding=1)])
def test_a_binary_layer_that_torch_has_no_like_of_stays_as_it_is(layer: nn.Module) -> None:
    x = torch.randn(3, 8) if isinstance(layer, BinaryLinear) else X
    model = nn.Sequential(layer)
    assert torch.equal(as_float(model)(x), model(x))


def test_8_bit_layers_are_stored_as_bytes() -> None:
    arrays = coded_arrays(nn.Sequential(ByteConv2d(1, 4, 3), nn.Flatten(), ByteLinear(16, 2)))
    assert {str(arrays[f"{i}.whole"].dtype) for i in (0, 2)} == {"int8"}
    assert not any(name.endswith("weight") for name in arrays)


def test_onnx_runtime_answers_as_torch_does() -> None:
    model = disturbed(ClassStyle())
    found = onnx_runtime(exported(model, X[:1]))(X.numpy())()
    np.testing.assert_allclose(found, model(X).detach().numpy(), rtol=1e-4, atol=1e-5)


# ---- binary nets ------------------------------------------------------------------------------------


def pooled_cnn() -> nn.Sequential:
    """Averages over 2×2 and 4×4 pixels, norms of the user's own, and no bias."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.LeakyReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(), nn.Linear(8, 10),
    )  # fmt: skip


def flat_mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *mlp(64, 10))


TWINS = (
    (plain_cnn, digits, 1), (plain_cnn, digits, 2), (ClassStyle, digits, 1), (pooled_cnn, digits, 1),
    (flat_mlp, digits, 1), (sequence_net, series, 1), (sequence_net, series, 2), (lambda: mlp(30, 2), tumours, 1), (lambda: mlp(30, 2), tumours, 2),
)  # fmt: skip


@pytest.mark.parametrize(("make", "data_of", "width"), TWINS)
@pytest.mark.parametrize("how", ["binarynet", "bi_real", "xnor"])
def test_the_engine_answers_as_the_twin_does_in_torch_to_the_last_bit(
    make: Callable[[], nn.Module], data_of: Callable[[], CompressData], width: int, how: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    data = data_of()
    reads: Reads = "floats" if data.picture_shape is None else "bytes"
    net = calibrated(binary_twin(make(), data, how, width), data.read(data.train.x, reads))
    found = as_program(lambda model: lowered(model, data), net, tmp_path / "net", data)
    ours = answers(net, data, data.test.x, reads).numpy()
    rows = found.prepare(data.test.x)
    (start,) = found.starts.values()
    np.testing.assert_array_equal(start(rows)(), ours)
    np.testing.assert_array_equal(reference.run(lowered(net, data), rows[:5]), ours[:5])
    assert len(np.unique(ours, axis=0)) > 5


@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_binary_weights_with_byte_activations_answer_nearly_as_with_real_ones(shift: float) -> None:
    data = digits()
    if shift:  # real numbers around 0 in place of bytes
        parts = (Part(x.float() / 51 - shift, y) for x, y in (data.train, data.valid, data.test))
        data = CompressData(*parts)
    net = with_binary_weights(plain_cnn()).eval()
    real = answers(net, data, data.test.x)
    found = answers(in_bytes(net, data), data, data.test.x, "bytes")
    assert float((real - found).abs().max() / real.abs().max()) < 0.05


def test_only_pictures_and_rows_of_layers_have_byte_activations() -> None:
    for model, data in (
        (mlp(30, 2), tumours()),
        (sequence_net(), series()),
        (Branching(), digits()),
    ):
        with pytest.raises(DataError, match=r"pictures here|no straight row"):
            in_bytes(with_binary_weights(model), data)


def test_a_twin_begins_with_the_signs_of_the_users_weights() -> None:
    model = plain_cnn()
    net = binary_twin(model, digits(), "binarynet")
    (conv,) = [m for m in net.modules() if isinstance(m, BinaryConv2d)]
    assert torch.equal(conv.binary_weight, torch.where(model[3].weight >= 0, 1.0, -1.0))


def test_float_pictures_are_bytes_to_the_twin() -> None:
    data = digits()
    parts = (Part(x.float() / 51 - 2.5, y) for x, y in (data.train, data.valid, data.test))
    floats = CompressData(*parts)
    net = calibrated(binary_twin(plain_cnn(), floats, "binarynet"), floats.bytes(floats.train.x))
    scaled = floats.bytes(floats.test.x)
    assert scaled.min() == 0 and scaled.max() == 255 and torch.equal(scaled, scaled.round())
    rows = scaled.permute(0, 2, 3, 1).flatten(1).numpy()
    ours = answers(net, floats, floats.test.x, "bytes").numpy()
    np.testing.assert_array_equal(Engine(lowered(net, floats)).run(rows), ours)


def test_cuts_are_values_that_occur_and_split_the_rows() -> None:
    x = torch.tensor([[0.1, 7.0], [0.2, 7.0], [0.7, 7.0], [0.7, 7.0]])
    cuts = quantile_cuts(x, 8)
    assert cuts.column.tolist() == [0, 0] and torch.equal(cuts.value, torch.tensor([0.2, 0.7]))
    assert cuts(x)[:, 0].tolist() == [-1, 1, 1, 1]
    with pytest.raises(DataError, match="constant"):
        quantile_cuts(x[:, 1:])


HOPELESS = (
    (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "two layers with weights"),
    (nn.Sequential(nn.MaxPool2d(2), *plain_cnn()[:3], *flat_mlp()), "begins with Conv2d"),
    (nn.Sequential(nn.Conv2d(1, 4, 3), nn.LocalResponseNorm(2), *flat_mlp()), "LocalResponseNorm"),
    (Branching(), "branches"),
)


@pytest.mark.parametrize(("model", "why"), HOPELESS)
def test_what_has_no_twin_is_told(model: nn.Module, why: str) -> None:
    with pytest.raises(DataError, match=why):
        binary_twin(model, digits(), "binarynet")


def test_a_net_with_branches_becomes_binary_inside_and_runs_in_torch(tmp_path: Path) -> None:
    (candidate,) = binarization.binary_nets(lesson(Branching()))
    assert "branches" in candidate.note and candidate.reads == "floats"
    found = candidate.deploy(candidate.model, tmp_path / "net", digits())
    assert {n for n in load_file(found.path) if n.endswith(".bits")}
    assert list(found.starts) == ["PyTorch"]


def test_the_levels_of_a_twin_are_bytes() -> None:
    assert twin.N_LEVELS <= 254
