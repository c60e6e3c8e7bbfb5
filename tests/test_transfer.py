"""Weights handed from one net to another: all of them, or an error that names the rest."""

import pytest
import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import transfer


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def cnn(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(8, 3, bias=False), nn.BatchNorm1d(3),
        )  # fmt: skip


def test_a_transfer_between_equal_nets_copies_everything() -> None:
    a, b = cnn(0), cnn(1)
    done = transfer(a, b)
    assert same(state(a), state(b))
    assert done.n_values == sum(t.numel() for t in a.state_dict().values())
    assert done.left_behind == done.as_before == ()


def test_a_transfer_names_all_that_would_be_lost_and_changes_nothing() -> None:
    source = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 2), "c": nn.Linear(2, 2)})
    target = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 4), "d": nn.Linear(2, 2)})
    before = state(target)
    with pytest.raises(DataError) as caught:
        transfer(source, target)
    for words in (
        "14 of 26 numbers of the source would be lost, and 22 of the target would keep",
        "b.weight (2, 3) of the source does not fit b.weight (4, 3)",
        "c.weight (2, 2) of the source has no partner",
        "d.bias (2,) of the target gets nothing",
        "Nothing was changed",
    ):
        assert words in str(caught.value)
    assert same(state(target), before)


def test_what_is_allowed_to_have_no_partner_has_none_and_is_told() -> None:
    source, target = cnn(0), nn.Sequential(*list(cnn(1))[:-2], nn.Linear(8, 5))
    head = target[-1].weight.detach().clone()
    with pytest.raises(
        DataError, match=r"6\.weight \(3, 8\) of the source does not fit 6\.weight \(5, 8\)"
    ):
        transfer(source, target, allow=("7.*",))
    done = transfer(source, target, allow=("6.*", "7.*"))
    assert torch.equal(target[-1].weight, head)
    assert torch.equal(target[3].weight, source[3].weight)
    assert done.as_before == ("6.weight", "6.bias")
    assert set(done.left_behind) >= {"6.weight", "7.weight", "7.running_mean"}
    assert "6.bias: as before" in str(done)


def test_a_state_of_a_file_is_as_good_as_a_net() -> None:
    a, b = cnn(0), cnn(1)
    transfer(a.state_dict(), b)
    assert same(state(a), state(b))


def test_numbers_of_another_kind_do_not_fit() -> None:
    net = nn.Linear(2, 2, bias=False)
    with pytest.raises(DataError, match=r"weight \(2, 2\) of the source does not fit weight"):
        transfer({"weight": torch.ones(2, 2, dtype=torch.int64)}, net)


def test_names_to_allow_are_a_sequence() -> None:
    with pytest.raises(DataError, match="allow must be a sequence of names, got"):
        transfer(cnn(), cnn(), allow="*")


def test_a_name_that_both_nets_have_is_preferred_to_its_renaming() -> None:
    class Both(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((2,), value))
            self.latent_weight = nn.Parameter(torch.full((2,), 10 * value))

    a, b = Both(1.0), Both(2.0)
    transfer(a, b)
    assert same(state(a), state(b))
