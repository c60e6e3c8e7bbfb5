"""Low-rank factorisation: a layer replaced by two thinner ones, from its singular values.

A linear layer W ≈ (U √S)(√S Vᵀ) becomes two; a convolution of sequences one of fewer channels and a
mixing of them. A k×k convolution becomes a column of k×1 and a row of
1×k (Jaderberg et al. 2014, arXiv:1405.3866; in closed form by the singular values of the weights laid
out as (n_in · k) × (n_out · k): Tai et al. 2016, arXiv:1511.06067). The rank keeps a share of the
energy, the sum of squared singular values.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.compress.deploy import as_floats
from bimetal.compress.graph import put
from bimetal.compress.lesson import Lesson
from bimetal.compress.result import Candidate
from bimetal.errors import DataError

__all__ = ["factorized", "factors_of", "low_rank", "rank_of"]

FAMILY = "low rank"
SHARES = (0.9, 0.75, 0.5)


def low_rank(lesson: Lesson) -> Iterator[Candidate]:
    """Factorize every layer that becomes smaller by it, then fine-tune."""
    for share in lesson.levels(SHARES):
        name = f"low rank, {share:.0%} energy"
        model = factorized(lesson.model, share)
        seconds = lesson.tune(model, name)
        note = f"layers split in two by their singular values, {share:.0%} of the energy kept; fine-tuned"
        yield Candidate(name, FAMILY, note, model, as_floats, seconds)


def factorized(model: nn.Module, share: float, *, only_smaller: bool = True) -> nn.Module:
    """Return a copy of a model whose layers are factorized.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    share : float
        Of the energy, above 0 and up to 1; at 1 the copy answers as the model does, but for rounding.
    only_smaller : bool, default True
        Leave layers as they are that would not become smaller.

    Raises
    ------
    DataError
        When the share is out of its range, or no layer changes.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(64, 64))
    >>> [tuple(p.shape) for p in factorized(net, 0.2).parameters() if p.ndim == 2][0][1]
    64
    """
    if not 0 < share <= 1:
        raise DataError(f"the share of the energy is above 0 and up to 1, got {share}")
    thin, n_changed = copy.deepcopy(model), 0
    for name, layer in list(model.named_modules()):
        if not name or not _can_be_split(layer):
            continue
        made = factors_of(layer, share)
        if not only_smaller or _n_weights(made) < _n_weights(layer):
            put(thin, name, made)
            n_changed += 1
    if not n_changed:
        raise DataError(f"no layer becomes smaller when {share:.0%} of its energy is kept")
    return thin


def rank_of(singular: Tensor, share: float) -> int:
    """Return the least rank that keeps a share of the energy, at least 1.

    Examples
    --------
    >>> rank_of(torch.tensor([3.0, 2.0, 1.0]), 0.9)
    2
    """
    energy = singular.double().square().cumsum(0)
    if share >= 1 or energy[-1] == 0:
        return len(singular)
    return int((energy < share * energy[-1]).sum()) + 1


@torch.no_grad()
def factors_of(layer: Any, share: float) -> nn.Sequential:
    """Return two layers in place of a `torch.nn.Linear`, `torch.nn.Conv1d` or `torch.nn.Conv2d`.

    Examples
    --------
    >>> factors_of(nn.Conv2d(3, 8, 5, padding=2), 1.0)
    Sequential(
      (0): Conv2d(3, 15, kernel_size=(5, 1), stride=(1, 1), padding=(2, 0), bias=False)
      (1): Conv2d(15, 8, kernel_size=(1, 5), stride=(1, 1), padding=(0, 2))
    )
    """
    if isinstance(layer, nn.Linear):
        left, right = _split(layer.weight, share)
        first: Any = nn.Linear(layer.in_features, len(right), bias=False)
        second: Any = nn.Linear(len(right), layer.out_features, bias=layer.bias is not None)
    elif isinstance(layer, nn.Conv1d):
        left, right = _split(layer.weight.flatten(1), share)
        left, right = left[:, :, None], right.view(-1, *layer.weight.shape[1:])
        first, second = _few_and_mixed(layer, len(right))
    else:
        n_out, n_in, down, across = layer.weight.shape
        laid = layer.weight.permute(0, 3, 1, 2).reshape(n_out * across, n_in * down)
        left, right = _split(laid, share)
        left = left.view(n_out, across, -1).permute(0, 2, 1)[:, :, None]
        right = right.view(-1, n_in, down, 1)
        first, second = _column_and_row(layer, len(right))
    first.weight.copy_(right)
    second.weight.copy_(left)
    if layer.bias is not None:
        second.bias.copy_(layer.bias)
    return nn.Sequential(first, second)


def _split(matrix: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return left (n, rank) and right (rank, m), each with the roots of the singular values."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    rank = rank_of(s, share)
    root = s[:rank].sqrt()
    return (u[:, :rank] * root).float(), (root[:, None] * v[:rank]).float()


def _few_and_mixed(conv: Any, rank: int) -> tuple[nn.Conv1d, nn.Conv1d]:
    first = nn.Conv1d(
        conv.in_channels, rank, conv.kernel_size, conv.stride, conv.padding, conv.dilation,
        bias=False, padding_mode=conv.padding_mode,
    )  # fmt: skip
    return first, nn.Conv1d(rank, conv.out_channels, 1, bias=conv.bias is not None)


def _column_and_row(conv: nn.Conv2d, rank: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    (down, across), stride, dilation = conv.kernel_size, conv.stride, conv.dilation
    padding: Any = conv.padding
    first = nn.Conv2d(
        conv.in_channels, rank, (down, 1), (stride[0], 1), (padding[0], 0), (dilation[0], 1),
        bias=False, padding_mode=conv.padding_mode,
    )  # fmt: skip
    second = nn.Conv2d(
        rank, conv.out_channels, (1, across), (1, stride[1]), (0, padding[1]), (1, dilation[1]),
        bias=conv.bias is not None, padding_mode=conv.padding_mode,
    )  # fmt: skip
    return first, second


def _can_be_split(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1 and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def _n_weights(layer: nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters())
