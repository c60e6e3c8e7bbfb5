"""Binary tables: rows of ±1, their means, and what has no row."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag

from bimetal.errors import DataError
from bimetal.nn import BINARIZERS, BinaryEmbedding, clip_latent, latent_weights, real_weights


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(*shape: int, below: int = 7) -> Tensor:
    return torch.randint(0, below, shape, generator=seeded())


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
def test_a_table_answers_with_the_signs_of_torchs(
    shape: tuple[int, ...], kind: torch.dtype
) -> None:
    table, asked = BinaryEmbedding(7, 5), numbers(*shape)
    signs = torch.where(table.latent_weight >= 0, 1.0, -1.0)
    assert torch.equal(table(asked.to(kind)), embedding(asked, signs))


def test_a_mean_is_torchs_bag() -> None:
    table, asked = BinaryEmbedding(7, 5, answer="mean"), numbers(4, 6)
    signs = torch.where(table.latent_weight >= 0, 1.0, -1.0)
    torch.testing.assert_close(table(asked), embedding_bag(asked, signs, mode="mean"))


@given(order=st.permutations(range(6)))
def test_the_order_of_numbers_does_not_matter_to_a_mean(order: list[int]) -> None:
    table, asked = BinaryEmbedding(7, 5, answer="mean"), numbers(2, 6)
    torch.testing.assert_close(table(asked[:, order]), table(asked))


def test_what_is_absent_is_nothing() -> None:
    rows = BinaryEmbedding(7, 5, absent=3, generator=seeded())
    assert (rows(torch.tensor([3])) == 0).all()
    assert (rows(torch.tensor([2])) != 0).all()
    means = BinaryEmbedding(7, 5, "mean", absent=3, generator=seeded())
    torch.testing.assert_close(means(torch.tensor([[1, 3, 2, 3]])), means(torch.tensor([[2, 1]])))
    assert (means(torch.tensor([[3, 3]])) == 0).all()


def test_a_scale_belongs_to_a_row() -> None:
    table = BinaryEmbedding(7, 5, binarizer="bi_real", generator=seeded())
    w = table.latent_weight
    expected = torch.where(w >= 0, 1.0, -1.0) * w.abs().mean(1, keepdim=True)
    torch.testing.assert_close(table(torch.arange(7)), expected)


@pytest.mark.parametrize("name", BINARIZERS)
def test_every_binarizer_makes_rows_that_learn(name: str) -> None:
    table = BinaryEmbedding(7, 5, binarizer=name, generator=seeded())
    torch.manual_seed(0)
    arriving = torch.randn(3, 5, generator=seeded(1))
    table(torch.tensor([1, 4, 1])).backward(arriving)
    moved = table.latent_weight.grad.abs().sum(1) > 0
    assert moved[[1, 4]].all()
    assert not moved[[0, 2, 3, 5, 6]].any()


def test_gradients_of_a_number_asked_twice_add_up() -> None:
    table = BinaryEmbedding(4, 3)
    arriving = torch.randn(3, 3, generator=seeded())
    table(torch.tensor([2, 0, 2])).backward(arriving)
    assert table.latent_weight.grad is not None
    torch.testing.assert_close(table.latent_weight.grad[2], arriving[0] + arriving[2])


def test_a_table_is_a_binary_layer_like_the_others() -> None:
    table = BinaryEmbedding(4, 3)
    table.latent_weight.data.fill_(-2.0)
    clip_latent(table)
    assert latent_weights(table)[0].tolist() == [[-1.0] * 3] * 4
    with real_weights(table):
        table.latent_weight.data.fill_(0.25)
        assert table(torch.tensor([0])).tolist() == [[0.25] * 3]


def test_a_table_names_its_sizes() -> None:
    assert repr(BinaryEmbedding(4, 3, absent=0)) == "BinaryEmbedding(4, 3, answer='rows', absent=0)"


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: BinaryEmbedding(0, 3), "a table needs rows and features, got 0 and 3"),
    (lambda: BinaryEmbedding(4, 3, answer="sum"), "answer must be 'rows' or 'mean', got 'sum'"),  # type: ignore[arg-type]
    (lambda: BinaryEmbedding(4, 3, absent=4), "absent must be a row, 0 to 3, got 4"),
    (lambda: BinaryEmbedding(4, 3)(torch.tensor([4])), "rows 0 to 3, but was asked for 4 to 4"),
    (lambda: BinaryEmbedding(4, 3)(torch.tensor([1, -1])), "asked for -1 to 1"),
    (lambda: BinaryEmbedding(4, 3)(torch.tensor([1.0])), "by int32 or int64 numbers, got torch.fl"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS)
def test_what_does_not_fit_is_said(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()
