"""A net with binary weights and real activations, made one that reads bytes between its layers.

BinaryConnect (Courbariaux et al. 2015, arXiv:1511.00363) keeps its activations real. Bits alone cannot
run it, but bytes can: a real value is x ≈ step · (b − z) for a byte b and the byte z that stands for 0,
so Σ w·x = step · (Σ w·b − z · Σ w), where all sums are of whole numbers. What is left, the step and the
offset, is merged with the norm that follows. Nothing is trained anew.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.activations import LARGEST, Bytes, Pixels
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.conv import BitPlanes, Thermometer
from bimetal.nn.layers import BinaryLayer, Sign
from bimetal.nn.modes import in_eval_mode
from bimetal.nn.norms import ShiftBatchNorm
from bimetal.nn.replacement import Rows
from bimetal.nn.residual import Residual
from bimetal.nn.scales import Logits, Scale, Shift, fold_norm, fold_norms
from bimetal.nn.straighten import straightened
from bimetal.nn.tracing import NOTHING

__all__ = ["with_byte_activations"]

POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.Flatten)
"""Layers that only choose among values, so bytes may be made before them."""

BITS = (Sign, BitPlanes, Thermometer)
EXACT = (*BITS, Pixels, Bytes)
"""Layers that make what a binary layer may read as it is."""

AT_ANY_NUMBERS = (*POOLS, BitPlanes, Thermometer, Pixels, Bytes, ByteConv2d, ByteLinear)
"""Layers that a net may begin with whose inputs are numbers of any kind: they make bytes of them."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, ShiftBatchNorm, Scale, Shift, Logits)


@torch.no_grad()
def with_byte_activations(model: nn.Module, x: Tensor) -> nn.Sequential:
    """Return a copy of a net in which real activations that layers with weights read are bytes.

    A `Bytes` layer, its range found from the data, is put before each binary layer that reads real
    values: behind the activation, and before a pooling; and at the beginning, where the inputs are not
    whole numbers of 0 to 255. Ordinary linear layers and convolutions become
    layers of 8 bits. Binary layers that read bits or pixels stay. The copy answers nearly as the net
    does, is in eval mode, and equals its Program bit for bit: norms are folded as by `fold_norms`, and
    behind the last layer they are `Logits`.

    Parameters
    ----------
    model : torch.nn.Module
        An `nn.Sequential`, nested or not, such as `Pixels` → `BinaryLinear` → batch norm → ReLU → …
        → `BinaryLinear` → batch norm, with `Residual` blocks or without; or any net of which
        `as_sequence` makes one. It is left as it is.
    x : torch.Tensor
        Some hundred inputs of the net, to find the ranges from.

    Raises
    ------
    DataError
        When there is no input, a layer does not work with signs times a scale, or the net has a
        forward of its own that cannot be written as a sequence.

    Examples
    --------
    >>> from bimetal.nn import BinaryLinear
    >>> net = nn.Sequential(Pixels(), BinaryLinear(4, 8), nn.BatchNorm1d(8), nn.ReLU(),
    ...                     BinaryLinear(8, 2), nn.BatchNorm1d(2))
    >>> copied = with_byte_activations(net, torch.rand(50, 4) * 255)
    >>> [type(layer).__name__ for layer in copied]
    ['Pixels', 'BinaryLinear', 'Scale', 'ReLU', 'Bytes', 'BinaryLinear', 'Logits']
    """
    if not len(x):
        raise DataError("ranges are found from inputs, got none")
    x = x if x.is_floating_point() else x.float()
    straight = straightened(model)
    made = _Copy(x, straight.names)
    with in_eval_mode(straight.row):
        made.add_all(straight.row, x)
    finished = nn.Sequential(*made.finished()).eval()
    if hasattr(model, "image_shape"):
        finished.image_shape = model.image_shape
    return finished


def _leaves(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    plain = (nn.Sequential.forward, Rows.forward)
    if not isinstance(model, nn.Sequential) or type(model).forward not in plain:
        if not isinstance(model, NOTHING):
            yield prefix or "model", model
        return
    for name, child in model._modules.items():
        if child is not None:
            yield from _leaves(child, f"{prefix}.{name}" if prefix else name)


@dataclass(frozen=True)
class _Affine:
    """``x * scale + offset``, float64, of each output."""

    scale: Tensor
    offset: Tensor

    def then(self, norm: Any) -> "_Affine":
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm = fold_norm(norm)
        elif isinstance(norm, ShiftBatchNorm):
            norm = norm.folded()
        elif isinstance(norm, Shift):
            norm = Scale.of(torch.ones_like(norm.shift), norm.shift)
        scale, offset = norm.scale.double(), norm.offset.double()
        return _Affine(self.scale * scale, self.offset * scale + offset)


@dataclass(frozen=True)
class _Whole:
    """Whole numbers b that stand for ``step * (b − zero)``; (1,), or a number for each channel."""

    zero: Tensor
    step: Tensor

    @classmethod
    def of(cls, source: nn.Module | None, is_exact: bool) -> "_Whole":
        """Return what the numbers mean that a layer made; those of a net's own `Bytes` are themselves."""
        if isinstance(source, Pixels):
            return cls(source.centre.double(), source.scale.double())
        if is_exact:
            return cls(torch.zeros(1).double(), torch.ones(1).double())
        assert isinstance(source, Bytes)
        low, step = source.low.double(), (source.high.double() - source.low.double()) / LARGEST
        return cls((-low / step).round(), step)


class _Copy:
    """The copy so far.

    Attributes
    ----------
    layers : list of torch.nn.Module
        In their order.
    pending : _Affine or None
        What the sums of the last layer with weights still wait for.
    source : torch.nn.Module or None
        What made the values here, poolings left out; None of the input of the net.
    n_before : int
        Layers up to it.
    input : torch.Tensor
        Inputs of the net.
    names : mapping of str to str
        What layers are called in the net, where it was written anew as a sequence.
    reads_bytes : bool
        Whether they are pictures, whole numbers of 0 to 255, and not numbers of any kind.
    """

    def __init__(self, x: Tensor, names: Mapping[str, str]) -> None:
        self.input, self.names = x, names
        self.reads_bytes = bool(((x == x.round()) & (x >= 0) & (x <= LARGEST)).all())
        self.layers: list[nn.Module] = []
        self.pending: _Affine | None = None
        self.source: nn.Module | None = None
        self.n_before = 0

    def add_all(self, model: nn.Module, x: Tensor, prefix: str = "") -> None:
        """Add the layers of a net, which reads x."""
        for name, layer in _leaves(model, prefix):
            if isinstance(layer, Residual):
                self._add_residual(layer, x, name)
            else:
                try:
                    self._add(layer, x)
                except DataError as error:
                    told = f"layer '{self.names.get(name, name)}' ({type(layer).__name__})"
                    raise DataError(f"{told}: {error}") from None
            x = layer(x)

    def _add_residual(self, block: Residual, x: Tensor, name: str) -> None:
        """Add a block, both of its ways copied as nets are whose inputs are bits or real numbers."""
        self._flush(Scale)
        if self.source is None and not self.reads_bytes:
            self._begin_with_bytes()
        ways = []
        for part, way in (("branch", block.branch), ("shortcut", block.shortcut)):
            copied = _Copy(x, self.names)
            copied.source = self.source if isinstance(self.source, BITS) else block
            copied.add_all(way, x, f"{name}.{part}")
            copied._flush(Scale)
            ways.append(nn.Sequential(*copied.layers) if copied.layers else nn.Identity())
        self._append(Residual(*ways))

    def _add(self, layer: nn.Module, x: Tensor) -> None:
        """Add a layer of the net, which reads x there."""
        if self.pending is not None and isinstance(layer, NORMS):
            self.pending = self.pending.then(layer)
            return
        self._flush(Scale)
        if isinstance(layer, BinaryLayer | nn.Linear | nn.Conv2d):
            self._add_weights(layer, x)
            return
        if self.source is None and not self.reads_bytes and not isinstance(layer, AT_ANY_NUMBERS):
            self._begin_with_bytes()
        for made in _averages(layer, x) or [fold_norms(layer)]:
            self._append(made)

    def _append(self, layer: nn.Module) -> None:
        self.layers.append(layer)
        if not isinstance(layer, POOLS):
            self.source, self.n_before = layer, len(self.layers)

    def _add_weights(self, layer: Any, x: Tensor) -> None:
        is_exact = isinstance(self.source, EXACT) or (self.source is None and self.reads_bytes)
        if not is_exact:
            self.source = _range_of(x)
            self.layers.insert(self.n_before, self.source)
        whole = _Whole.of(self.source, is_exact)
        if isinstance(layer, BinaryLayer):
            made, self.pending = _signs(layer, None if is_exact else whole)
        elif isinstance(self.source, BITS):
            made, self.pending = _answers_of_bits(layer)
        else:
            if isinstance(self.source, Pixels):  # layers of 8 bits read pixels as they are
                del self.layers[self.n_before - 1]
            make = _conv if isinstance(layer, nn.Conv2d) else _answers_of_bytes
            made, self.pending = make(layer, whole)
        self.layers.append(made)
        self.source, self.n_before = made, len(self.layers)

    def _begin_with_bytes(self) -> None:
        """Let the net begin with bytes, and what they stand for."""
        read = _range_of(self.input)
        whole, n = _Whole.of(read, is_exact=False), self.input.shape[1]
        step, offset = whole.step, -whole.step * whole.zero
        self.source = Scale.of(step.float().expand(n), offset.float().expand(n))
        self.layers[:0] = [read, self.source]
        self.n_before = 2

    def _last(self) -> nn.Module | None:
        return self.layers[-1] if self.layers else None

    def _flush(self, kind: type[Scale] | type[Logits]) -> None:
        if self.pending is None:
            return
        scale, offset, self.pending = self.pending.scale, self.pending.offset, None
        last = self._last()
        if isinstance(last, ByteLinear):  # it has a bias, so it can be its own norm
            last.weight.mul_(scale[:, None])
            last.bias.copy_(last.bias * scale + offset)
            return
        if kind is Scale:
            scale, offset = scale.float(), offset.float()
        self.layers.append(kind.of(scale, offset))
        self.n_before = len(self.layers)

    def finished(self) -> list[nn.Module]:
        """Return the layers; what the last sums wait for is in float64, as in a Program."""
        self._flush(Logits)
        return self.layers


def _range_of(x: Tensor) -> Bytes:
    """Return bytes for the range of x, widened to 0, and moved so that 0 is exactly one of them."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    step = (high - low) / LARGEST or 1 / LARGEST
    zero = round(-low / step)
    return Bytes(-zero * step, (LARGEST - zero) * step)


def _averages(layer: nn.Module, x: Tensor) -> list[nn.Module]:
    """Return an average pooling of maps x with the roundings of a Program; nothing of another layer.

    A Program adds in the order of `AvgPool2d`, not in that of `AdaptiveAvgPool2d`, and multiplies by
    1 / n, which for a power of two is to divide by n.
    """
    if x.ndim != 4:
        return []
    if isinstance(layer, nn.AdaptiveAvgPool2d) and _is_global(layer):
        layer = nn.AvgPool2d(tuple(x.shape[2:]))  # type: ignore[arg-type]
    if not isinstance(layer, nn.AvgPool2d) or layer.divisor_override or not layer.count_include_pad:
        return []
    size: Any = layer.kernel_size
    n = size * size if isinstance(size, int) else math.prod(size)
    if n & (n - 1) == 0:
        return [copy.deepcopy(layer)]
    sums: Any = (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, True, 1)
    return [nn.AvgPool2d(*sums), Scale(x.shape[1], 1 / n)]


def _is_global(layer: nn.AdaptiveAvgPool2d) -> bool:
    return layer.output_size in (1, (1, 1), [1, 1])


def _signs(layer: Any, whole: _Whole | None) -> tuple[nn.Module, _Affine]:
    """Return a binary layer whose weights are ±1 alone; it reads its input as it is, or `whole`."""
    if layer.uses_latent or layer.binarizer.is_shifted:
        raise DataError(
            "bytes are read by weights of ±1 times a scale; these are latent weights at work "
            "(see `real_weights`) or β ± α (AdaBin)"
        )
    made, signs = copy.deepcopy(layer), layer.binary_weight.detach()
    alpha = torch.ones(layer.n_out) if layer.alpha is None else layer.alpha.detach()
    made._parameters.pop("scale", None)
    made.binarizer, made.latent_weight = Binarizer(), nn.Parameter(signs.clone())
    if whole is None:
        return made, _Affine(alpha.double(), torch.zeros(layer.n_out).double())
    if hasattr(made, "pad_value"):
        pad = round(float(made.pad_value / whole.step + whole.zero))
        made.pad_value = min(max(pad, 0), LARGEST)
    scale = alpha.double() * whole.step
    return made, _Affine(
        scale, -scale * whole.zero * signs.reshape(layer.n_out, -1).double().sum(1)
    )


def _conv(conv: nn.Conv2d, whole: _Whole) -> tuple[nn.Module, _Affine]:
    plain, n = copy.deepcopy(conv), conv.in_channels
    plain.bias = None
    means, stds = (x.expand(n).tolist() for x in (whole.zero / LARGEST, 1 / (LARGEST * whole.step)))
    return ByteConv2d.from_conv(plain, means, stds), _bias(conv, conv.out_channels)


def _answers_of_bytes(layer: nn.Linear, whole: _Whole) -> tuple[nn.Module, _Affine]:
    made = ByteLinear(layer.in_features, layer.out_features, reads="bytes")
    step, zero = (x.repeat_interleave(made.n_in // len(x)) for x in (whole.step, whole.zero))
    made.weight.copy_(layer.weight * (step * LARGEST))
    made.bias.copy_(-(layer.weight * (step * zero)).sum(1))
    return made, _bias(layer, made.n_out)


def _answers_of_bits(layer: Any) -> tuple[nn.Module, _Affine]:
    if isinstance(layer, nn.Conv2d):
        raise DataError(
            "an ordinary convolution reads no bits; take a BinaryConv2d, or no Sign before"
        )
    made = ByteLinear(layer.in_features, layer.out_features)
    made.weight.copy_(layer.weight)
    return made, _bias(layer, made.n_out)


def _bias(layer: Any, n_out: int) -> _Affine:
    """Return the bias of an ordinary layer as what waits."""
    bias: Tensor = torch.zeros(n_out) if layer.bias is None else layer.bias.detach()
    return _Affine(torch.ones(n_out).double(), bias.double())
