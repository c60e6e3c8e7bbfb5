"""Compact and transferred convolution filters: fewer numbers that stand for as many filters.

*Compact*: a k×k convolution of all channels becomes a k×k one of each channel by itself and a 1×1 one
across channels (MobileNet, Howard et al. 2017, arXiv:1704.04861). *Transferred*: filters come in pairs
of opposite sign, so that half of them need not be stored nor computed (CReLU, Shang et al. 2016,
arXiv:1603.05201, who saw trained filters pair up by themselves). Both are trained from the start and
learn from the user's model as well as from labels.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.compress.deploy import as_floats
from bimetal.compress.graph import put
from bimetal.compress.lesson import Lesson
from bimetal.compress.result import Candidate
from bimetal.errors import DataError
from bimetal.nn.scales import per_channel

__all__ = ["OppositePairs", "opposite", "opposite_pairs", "separable", "separated"]

FAMILY = "compact filters"


class OppositePairs(nn.Module):
    """A convolution whose second half of filters is the first half, negated.

    Parameters
    ----------
    conv : torch.nn.Conv1d or torch.nn.Conv2d
        The convolution in whose place it stands; with an even number of output channels.

    Examples
    --------
    >>> layer = OppositePairs(nn.Conv2d(1, 4, 3, bias=False))
    >>> y = layer(torch.randn(1, 1, 5, 5))
    >>> torch.equal(y[:, :2], -y[:, 2:])
    True
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.conv = _like(conv, conv.in_channels, conv.out_channels // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(conv.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in, ...) to (n_rows, n_out, ...)."""
        half = self.conv(x)
        return torch.cat([half, -half], 1) + per_channel(self.bias, half)


def separable(lesson: Lesson) -> Iterator[Candidate]:
    """Replace convolutions by depthwise and pointwise ones, and distil."""
    note = "k×k convolutions become depthwise k×k and 1×1 ones; new ones, distilled"
    yield _distilled(lesson, "separable convolutions", note, separated)


def opposite_pairs(lesson: Lesson) -> Iterator[Candidate]:
    """Replace convolutions by ones with filters in pairs of opposite sign, and distil."""
    note = "half of the filters are the other half, negated; new ones, distilled"
    yield _distilled(lesson, "filters in opposite pairs", note, opposite)


def separated(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose convolutions are separable, with new weights.

    Convolutions of one channel, of one pixel and of groups are left as they are.

    Raises
    ------
    DataError
        When there is no convolution to replace.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1))
    >>> sum(p.numel() for p in net.parameters()), sum(p.numel() for p in separated(net).parameters())
    (1168, 232)
    """

    def replace(conv: Any) -> nn.Module | None:
        if conv.in_channels == 1 or max(conv.kernel_size) == 1:
            return None
        n = conv.in_channels
        depthwise = _like(conv, n, n, bias=False, groups=n)
        norm = nn.BatchNorm2d(n) if isinstance(conv, nn.Conv2d) else nn.BatchNorm1d(n)
        pointwise = type(conv)(n, conv.out_channels, 1)
        return nn.Sequential(depthwise, norm, nn.ReLU(), pointwise)

    return _replaced(model, replace, "of several channels and pixels")


def opposite(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose convolutions are `OppositePairs`, with new weights.

    Raises
    ------
    DataError
        When no convolution has an even number of output channels.

    Examples
    --------
    >>> sum(p.numel() for p in opposite(nn.Sequential(nn.Conv2d(8, 16, 3))).parameters())
    592
    """
    return _replaced(
        model,
        lambda conv: None if conv.out_channels % 2 else OppositePairs(conv),
        "of even channels",
    )


def _distilled(
    lesson: Lesson, name: str, note: str, make: Callable[[nn.Module], nn.Module]
) -> Candidate:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.config.seed)
        model = make(lesson.model)
    seconds = lesson.fit(model, name, is_distilled=True)
    return Candidate(name, FAMILY, note, model, as_floats, seconds)


def _replaced(
    model: nn.Module, replace: Callable[[Any], nn.Module | None], which: str
) -> nn.Module:
    changed, n_changed = copy.deepcopy(model), 0
    for name, layer in list(model.named_modules()):
        if not name or type(layer) not in (nn.Conv1d, nn.Conv2d) or layer.groups != 1:
            continue
        made = replace(layer)
        if made is not None:
            put(changed, name, made)
            n_changed += 1
    if not n_changed:
        raise DataError(f"the model has no convolution {which} to replace")
    return changed


def _like(conv: Any, n_in: int, n_out: int, *, bias: bool, groups: int = 1) -> nn.Module:
    made: nn.Module = type(conv)(
        n_in, n_out, conv.kernel_size, conv.stride, conv.padding, conv.dilation, groups, bias,
        conv.padding_mode,
    )  # fmt: skip
    return made
