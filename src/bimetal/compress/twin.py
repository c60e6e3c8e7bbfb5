"""The binary twin of the user's model: the same row of layers, in the order that suits bits.

What a rule on single layers cannot do is done here: activations and biases are dropped (the norm before
each sign has a bias), norms stand right after the sums, pools after norms, so that bits are pooled;
the first layer reads bytes with 8-bit weights, or the bits of thresholds, and the last one has 8-bit
weights. The layers in between are made binary by `bimetal.nn.binarize_`.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bimetal.compress.data import CompressData
from bimetal.compress.graph import NORMS, straight
from bimetal.errors import DataError
from bimetal.nn import ByteConv2d, ByteLinear, Sign, Thermometer
from bimetal.nn.convert import binarize_
from bimetal.nn.policy import Policy, policy
from bimetal.nn.scales import norm_after
from bimetal.nn.tracing import ACTIVATIONS, NOTHING

__all__ = ["Cuts", "binary_twin", "quantile_cuts"]

N_LEVELS = 8
N_CUTS = 16
WEIGHTED = (nn.Conv2d, nn.Linear)
AVERAGES = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Cuts(nn.Module):
    """Features → ±1: whether each reaches its cut-points (a thermometer of every column).

    Parameters
    ----------
    column, value : torch.Tensor
        Of each bit: int64 and float32, (n_bits,).

    Examples
    --------
    >>> Cuts(torch.tensor([0, 1]), torch.tensor([30.0, 1.5]))(torch.tensor([[42.0, 1.0]]))
    tensor([[ 1., -1.]])
    """

    column: Tensor
    value: Tensor

    def __init__(self, column: Tensor, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("column", column)
        self.register_buffer("value", value)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_features) to (n_rows, n_bits) of ±1."""
        return (x[:, self.column] >= self.value).to(x.dtype) * 2 - 1


def quantile_cuts(x: Tensor, n_cuts: int = N_CUTS) -> Cuts:
    """Return cut-points between rows, at even shares of them; a constant feature has none.

    Parameters
    ----------
    x : torch.Tensor
        float32 (n_rows, n_features).
    n_cuts : int, default 16
        For each feature, at most.

    Raises
    ------
    DataError
        When all features are constant.

    Examples
    --------
    >>> quantile_cuts(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), n_cuts=3).value
    tensor([2., 3., 4.])
    """
    columns, values = list[int](), list[np.float32]()
    places = np.linspace(0, 1, n_cuts + 2)[1:-1]
    for j, feature in enumerate(x.numpy().T):
        # an element of the column, not a number between two: it is float32 on both sides
        cuts = np.unique(np.quantile(feature, places, method="higher"))
        kept = cuts[cuts > feature.min()]
        columns += [j] * len(kept)
        values += list(kept)
    if not columns:
        raise DataError("all features are constant, there is nothing to learn from")
    return Cuts(torch.tensor(columns), torch.tensor(np.array(values, np.float32)))


def binary_twin(
    model: nn.Module, data: CompressData, how: Policy | str, width: int = 1, seed: int = 0
) -> nn.Sequential:
    """Return a binary net of the layers of a model, untrained but for the signs of its weights.

    It reads bytes where rows are pictures (or sequences, which become pictures of one line), else
    floats.

    Parameters
    ----------
    model : torch.nn.Module
        A straight row of layers, convolutions and linear ones; it is left as it is.
    data : CompressData
        The rows it is for.
    how : Policy or str
        Binarizer, surrogate and padding, see `bimetal.nn.Policy`.
    width : int, default 1
        Factor of the inner channels; above 1, all weights are new.
    seed : int, default 0
        Of new weights.

    Raises
    ------
    DataError
        When the model branches, or a layer has no binary counterpart.

    Examples
    --------
    >>> data = CompressData.split(torch.randn(100, 4), torch.arange(100) % 3)
    >>> net = binary_twin(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), data, "binarynet")
    >>> [type(layer).__name__ for layer in net]
    ['Cuts', 'Rows', 'BatchNorm1d', 'Sign', 'ByteLinear']
    """
    rule = policy(how)
    surrogate = rule.activations or "clipped"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        steps = _widened([_on_pictures(layer) for _, layer in straight(model)], width)
        net = nn.Sequential(*_arranged(steps, data, surrogate))
        if any(isinstance(m, WEIGHTED) for m in net):
            # thresholds give ±1 already, so the first layer reads its input as it is
            inner = replace(
                rule, activations=surrogate, keep=(), real_input=("first",), norm="none"
            )
            binarize_(net, inner)
    return net


def _arranged(steps: Sequence[nn.Module], data: CompressData, surrogate: str) -> list[nn.Module]:
    """Return the layers in the order of a binary net; those in the middle are still real."""
    before, segments = _segments(steps)
    if len(segments) < 2 or not isinstance(segments[-1][0], nn.Linear):
        raise DataError("a binary twin needs two layers with weights at least, the last one linear")
    entrance, first = _entrance(before, segments[0][0], data)
    made = [*entrance]
    for i, (layer, after) in enumerate(segments[:-1]):
        new = first if i == 0 else _without_bias(layer)
        n_averaged = max((k + 1 for k, m in enumerate(after) if not _keeps_bits(m)), default=0)
        norm = _norm(layer, after[n_averaged:])
        made += [new, *after[:n_averaged], norm, *after[n_averaged:]]
    last: Any = segments[-1][0]
    return [*made, Sign(surrogate), ByteLinear(last.in_features, last.out_features)]


Segment = tuple[Any, list[nn.Module]]


def _segments(steps: Sequence[nn.Module]) -> tuple[list[nn.Module], list[Segment]]:
    """Cut a row of layers at those with weights: what stands before the first, and after each."""
    before: list[nn.Module] = []
    segments: list[Segment] = []
    for step in steps:
        if isinstance(step, WEIGHTED):
            segments.append((step, []))
        elif isinstance(step, (*AVERAGES, nn.MaxPool2d, nn.Flatten)):
            (segments[-1][1] if segments else before).append(step)
        elif not isinstance(step, (*ACTIVATIONS, *NORMS, *NOTHING, nn.PReLU)):
            raise DataError(f"{type(step).__name__} has no counterpart in a binary twin")
    return before, segments


def _on_pictures(step: Any) -> nn.Module:
    """Return a copy of a layer, one on sequences as one on pictures of one line."""
    match step:
        case nn.Conv1d():
            return _conv_of_one_line(step)
        case nn.MaxPool1d():
            sizes = (step.kernel_size, step.stride, step.padding, step.dilation)
            kernel, stride, padding, dilation = map(_one, sizes)
            return nn.MaxPool2d((1, kernel), (1, stride), (0, padding), (1, dilation))
        case nn.AvgPool1d():
            kernel, stride, padding = map(_one, (step.kernel_size, step.stride, step.padding))
            return nn.AvgPool2d((1, kernel), (1, stride), (0, padding))
        case nn.AdaptiveAvgPool1d():
            return nn.AdaptiveAvgPool2d((1, _one(step.output_size)))
    return copy.deepcopy(step)  # type: ignore[no-any-return]


def _conv_of_one_line(conv: Any) -> nn.Module:
    if isinstance(conv.padding, str):
        raise DataError(f"padding '{conv.padding}' of a Conv1d should be given in numbers")
    made = nn.Conv2d(
        conv.in_channels, conv.out_channels, (1, *conv.kernel_size), (1, *conv.stride),
        (0, *conv.padding), (1, *conv.dilation), conv.groups, padding_mode=conv.padding_mode,
    )  # fmt: skip
    made.weight = nn.Parameter(conv.weight.detach().unsqueeze(2).clone())
    return made


def _one(size: Any) -> int:
    return int(size if isinstance(size, int) else size[0])


def _keeps_bits(step: nn.Module) -> bool:
    return not isinstance(step, AVERAGES)


def _entrance(
    before: list[nn.Module], layer: Any, data: CompressData
) -> tuple[list[nn.Module], nn.Module]:
    """Return what makes bits of a row, and the first layer with weights."""
    if isinstance(layer, nn.Conv2d) and data.picture_shape and not before:
        low, high = data.span
        mean = min(1.0, max(0.0, -low / (high - low)))
        sizes = [mean] * layer.in_channels, [1 / (high - low)] * layer.in_channels
        return [], ByteConv2d.from_conv(_without_bias(layer), *sizes)
    if isinstance(layer, nn.Linear) and data.picture_shape and _flattens(before):
        wide = nn.Linear(N_LEVELS * layer.in_features, layer.out_features, bias=False)
        return [Thermometer(N_LEVELS), *before], wide
    if isinstance(layer, nn.Linear) and len(data.sample_shape) == 1 and not before:
        cuts = quantile_cuts(data.floats(data.train.x))
        return [cuts], nn.Linear(len(cuts.value), layer.out_features, bias=False)
    raise DataError(
        "a binary twin begins with a convolution of pictures, pictures flattened for a linear layer, or "
        f"a linear layer of features; this model begins with {type(layer).__name__} on rows of shape "
        f"{data.sample_shape}{' after ' + type(before[0]).__name__ if before else ''}"
    )


def _flattens(before: list[nn.Module]) -> bool:
    return [type(m) for m in before] == [nn.Flatten]


def _norm(layer: Any, after: Sequence[nn.Module]) -> nn.Module:
    """Return a norm for the sums of a layer, and for the max pooling after it."""
    weight = layer.weight
    n_pooled = math.prod(_window(m) for m in after if isinstance(m, nn.MaxPool2d))
    return norm_after(len(weight), weight[0].numel(), n_pooled, isinstance(layer, nn.Conv2d))


def _window(pool: nn.MaxPool2d) -> int:
    size: Any = pool.kernel_size
    return int(size * size) if isinstance(size, int) else math.prod(size)


def _without_bias(layer: Any) -> Any:
    bare = copy.deepcopy(layer)
    bare.bias = None
    return bare


def _widened(steps: Sequence[Any], factor: int) -> list[nn.Module]:
    """Return the layers with `factor` times the inner channels and new weights, or as they are at 1."""
    if factor == 1:
        return list(steps)
    weighted = [step for step in steps if isinstance(step, WEIGHTED)]
    made: list[nn.Module] = []
    for step in steps:
        n_in = 1 if step is weighted[0] else factor
        n_out = 1 if step is weighted[-1] else factor
        match step:
            case nn.Linear():
                step = nn.Linear(n_in * step.in_features, n_out * step.out_features)
            case nn.Conv2d():
                step = _wider(step, n_in, n_out)
        made.append(step)
    return made


def _wider(conv: Any, n_in: int, n_out: int) -> nn.Module:
    groups = 1 if conv.groups == 1 else n_in * conv.groups
    return nn.Conv2d(
        n_in * conv.in_channels, n_out * conv.out_channels, conv.kernel_size, conv.stride,
        conv.padding, conv.dilation, groups, padding_mode=conv.padding_mode,
    )  # fmt: skip
