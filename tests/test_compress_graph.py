"""Tracing the user's model: which channels can go, and that they go without a trace."""

import copy
from collections.abc import Callable

import pytest
import torch
from nets import Branching, ClassStyle, disturbed, mlp, plain_cnn, sequence_net
from torch import Tensor, nn
from torch.nn import functional

from bimetal.compress.graph import chains, put, straight, without_channels
from bimetal.compress.pruning import kept_channels
from bimetal.errors import DataError


def named(model: nn.Module) -> set[tuple[str, str]]:
    return {(chain.producer, chain.consumer) for chain in chains(model)}


def test_chains_of_a_class_with_functions_are_those_of_its_layers() -> None:
    assert named(ClassStyle()) == {("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2")}
    assert chains(ClassStyle())[0].between == ("bn1",)


def test_only_the_inner_channels_of_a_shortcut_can_go() -> None:
    assert named(Branching()) == {("inner", "outer")}


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.shared(self.shared(self.first(x))))


class FixedView(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(144, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).view(-1, 144))


class ByValue(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("model", [Twice(), FixedView(), nn.Sequential(nn.Linear(4, 2))])
def test_a_layer_in_two_places_or_before_a_fixed_size_keeps_its_channels(model: nn.Module) -> None:
    assert chains(model) == ()
    with pytest.raises(DataError, match="no layer has channels that can be taken out"):
        kept_channels(model, 0.5)


def test_a_model_that_goes_by_values_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="cannot be traced"):
        chains(ByValue())


def depthwise() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.PReLU(6), nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip


MAKERS: tuple[Callable[[], nn.Module], ...] = (
    plain_cnn, ClassStyle, Branching, depthwise, sequence_net, lambda: mlp(64, 10)
)  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.99])
def test_a_channel_taken_out_is_a_channel_that_nobody_reads(
    make: Callable[[], nn.Module], share: float
) -> None:
    torch.manual_seed(1)
    model = disturbed(make())
    kept = kept_channels(model, share)
    first = next(m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear))
    x = torch.randn(3, *{nn.Conv2d: (1, 8, 8), nn.Conv1d: (8, 8), nn.Linear: (64,)}[type(first)])
    masked = copy.deepcopy(model)
    for chain in chains(model):
        weight = masked.get_submodule(chain.consumer).get_parameter("weight")
        width = weight.shape[1] // chain.n_channels
        gone = [c for c in range(chain.n_channels) if c not in kept[chain.producer].tolist()]
        for c in gone:
            weight.data[:, c * width : (c + 1) * width] = 0
    small = without_channels(model, kept)
    torch.testing.assert_close(small(x), masked(x), rtol=1e-4, atol=1e-5)
    n = [sum(p.numel() for p in m.parameters()) for m in (small, model)]
    assert n[0] < n[1]


def test_nothing_changes_when_no_channel_goes() -> None:
    model, x = disturbed(ClassStyle()), torch.randn(2, 1, 8, 8)
    assert torch.equal(without_channels(model, kept_channels(model, 0.0))(x), model(x))


def test_channels_with_the_largest_norms_are_kept() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].weight.data = torch.tensor([[1.0, 0], [9, 9], [0, 2], [-5, 5]])
    assert kept_channels(model, 0.5)["0"].tolist() == [1, 3]


def test_a_straight_model_written_anew_answers_alike() -> None:
    model, x = disturbed(ClassStyle()), torch.randn(2, 1, 8, 8)
    anew = nn.Sequential(*(layer for _, layer in straight(model))).eval()
    assert torch.equal(anew(x), model(x))


def test_a_flatten_of_all_axes_is_not_taken_for_one_of_rows() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.flatten(x)

    (_, layer), *_ = straight(Flat())
    assert isinstance(layer, nn.Flatten) and layer.start_dim == 0


@pytest.mark.parametrize(("model", "why"), [(Branching(), "branches"), (FixedView(), "no layer")])
def test_branches_and_unknown_steps_are_refused(model: nn.Module, why: str) -> None:
    with pytest.raises(DataError, match=why):
        straight(model)


def test_one_layer_in_two_places_is_still_one_row() -> None:
    assert len(straight(Twice())) == 4


def test_computed_sizes_are_refused() -> None:
    class Computed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.max_pool2d(x, x.size(2))

    with pytest.raises(DataError, match="computed"):
        straight(Computed())


def test_a_layer_is_put_at_any_depth() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
    put(model, "0.0", nn.ReLU())
    assert isinstance(model[0][0], nn.ReLU)
