"""What a net is made of, layer by layer: bits, bytes and real numbers, and the work of one row.

Larq's ``summary`` is the model. A multiply-accumulate counts as 1-bit where both of its factors are
±1, so a layer of binary weights that reads real numbers does not count as one. Bytes of weights are those
of the weights alone, packed; what a whole exported file takes is told by the Program of the net.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.amounts import amount, size
from bimetal.errors import DataError
from bimetal.nn.binarizers import BINARIZERS, Binarizer
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.inventory import kind_of
from bimetal.nn.layers import BinaryLayer
from bimetal.nn.macs import Work, work

__all__ = ["LayerSummary", "Summary", "summary"]


@dataclass(frozen=True)
class LayerSummary:
    """One layer that has parameters or multiplies.

    Attributes
    ----------
    name, kind : str
        Its name in the net, and of its class.
    output_shape : tuple of int or None
        Without the rows; None where it was not called, or returns no tensor.
    n_binary, n_byte, n_real : int
        Parameters of 1 bit, of 8 bits, and the other ones.
    n_bit_macs, n_byte_macs, n_real_macs : int
        Multiply-accumulates for one row: of ±1 by ±1, of 8-bit weights, and the other ones.
    weight_bytes : int
        Of the parameters: bits packed to whole bytes for each output, with the scales that are
        worked out of them; 8-bit weights; real ones as they are.
    latent_bytes : int
        Of the parameters in training, without gradients and what an optimizer keeps.
    binarizer : str
        How weights become binary: a name in `BINARIZERS` if it has one.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None = None
    n_binary: int = 0
    n_byte: int = 0
    n_real: int = 0
    n_bit_macs: int = 0
    n_byte_macs: int = 0
    n_real_macs: int = 0
    weight_bytes: int = 0
    latent_bytes: int = 0
    binarizer: str = ""

    @property
    def n_parameters(self) -> int:
        """Of all kinds."""
        return self.n_binary + self.n_byte + self.n_real

    @property
    def n_macs(self) -> int:
        """Of all kinds."""
        return self.n_bit_macs + self.n_byte_macs + self.n_real_macs


@dataclass(frozen=True)
class Summary:
    """What a net is made of; as a string it is a table.

    Attributes
    ----------
    layers : tuple of LayerSummary
        Those that have parameters or multiply, in the order of their names.
    """

    layers: tuple[LayerSummary, ...]

    @property
    def total(self) -> LayerSummary:
        """Sums over the layers."""
        numbers = [f.name for f in fields(LayerSummary) if f.type is int]
        sums: dict[str, Any] = {n: sum(getattr(layer, n) for layer in self.layers) for n in numbers}
        return LayerSummary("total", "", **sums)

    @property
    def binary_share(self) -> float:
        """Share of the multiply-accumulates that are 1-bit; 0 where there are none at all."""
        return self.total.n_bit_macs / max(1, self.total.n_macs)

    @property
    def float_bytes(self) -> int:
        """Of as many float32 parameters: the float twin."""
        return 4 * self.total.n_parameters

    @property
    def ratio(self) -> float:
        """How many times smaller the packed weights are than those of the float twin."""
        return self.float_bytes / max(1, self.total.weight_bytes)

    def __str__(self) -> str:
        total = self.total
        lines = _table([_cells(layer) for layer in (*self.layers, total)])
        return "\n".join(
            [
                *lines,
                "",
                f"{self.binary_share:.1%} of {amount(total.n_macs)} multiply-accumulates are 1-bit",
                f"{size(total.weight_bytes)} of weights, {size(self.float_bytes)} as float32: "
                f"{self.ratio:.1f} × smaller; {size(total.latent_bytes)} in training",
            ]
        )


def summary(model: nn.Module, rows: Sequence[int] | Tensor | None = None) -> Summary:
    """Return what a net is made of and how it works on one row.

    The net is called once, in eval mode, and left as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Any net.
    rows : sequence of int or torch.Tensor, optional
        The shape of one row, (channels, height, width) say, of which one of zeros is made; or rows:
        for a net that reads ±1 (give it ones), whole numbers, or sequences. By default
        ``model.image_shape``.

    Raises
    ------
    DataError
        When the shape is none, or the net cannot read such rows; the layer that failed is named.

    Examples
    --------
    >>> from bimetal.nn import BinaryConv2d, BinaryLinear, Sign
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), Sign(), nn.Flatten(), BinaryLinear(8 * 6 * 6, 10))
    >>> print(summary(net, (1, 8, 8)))
    layer  kind          output     1-bit  real  1-bit MACs  real MACs  weights  binarizer
    0      Conv2d        8 × 6 × 6      0    80           0      2,592      320
    3      BinaryLinear  10         2,880     0       2,880          0      360  binarynet
    total                           2,880    80       2,880      2,592      680
    <BLANKLINE>
    52.6% of 5,472 multiply-accumulates are 1-bit
    0.7 KiB of weights, 11.6 KiB as float32: 17.4 × smaller; 11.6 KiB in training
    """
    done = work(model, _rows(model, rows))
    owned = _owned(model)
    layers = [
        _layer(name, module, owned.get(name, {}), done.get(name, Work(None, 0, False)))
        for name, module in model.named_modules()
        if owned.get(name) or (name in done and done[name].n_macs)
    ]
    return Summary(tuple(layers))


def _rows(model: nn.Module, given: Sequence[int] | Tensor | None) -> Tensor:
    if isinstance(given, Tensor):
        if not given.ndim or not len(given):
            raise DataError(f"at least one row is needed, got a tensor of {tuple(given.shape)}")
        return given
    shape = getattr(model, "image_shape", None) if given is None else given
    if not isinstance(shape, Sequence) or not shape or min(shape) < 1:
        raise DataError(
            f"the shape of one row is needed, (channels, height, width) say, got {shape!r}"
        )
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(()))
    return torch.zeros((1, *shape), dtype=like.dtype, device=like.device)


def _owned(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the parameters of each module by name, those behind a parametrization as its own."""
    found: dict[str, dict[str, Tensor]] = {}
    for path, parameter in model.named_parameters():
        owner, behind, name = f".{path}".partition(".parametrizations.")
        if behind:
            name = name.partition(".original")[0]
        else:
            owner, _, name = owner.rpartition(".")
        found.setdefault(owner.removeprefix("."), {})[name] = parameter
    return found


def _layer(name: str, module: nn.Module, owned: dict[str, Tensor], done: Work) -> LayerSummary:
    is_binary, is_byte = (
        isinstance(module, BinaryLayer),
        isinstance(module, ByteConv2d | ByteLinear),
    )
    packed = "latent_weight" if is_binary else "weight" if is_byte else ""
    n_packed = owned[packed].numel() if packed in owned else 0  # 0 where it is another layer's too
    real = [p for key, p in owned.items() if key != packed]
    is_bit = is_binary and done.reads_bits
    return LayerSummary(
        name or "model",
        kind_of(module),
        done.output_shape,
        n_packed if is_binary else 0,
        n_packed if is_byte else 0,
        sum(p.numel() for p in real),
        n_bit_macs=done.n_macs if is_bit else 0,
        n_byte_macs=done.n_macs if is_byte else 0,
        n_real_macs=0 if is_bit or is_byte else done.n_macs,
        weight_bytes=_packed(module, n_packed) + sum(p.nbytes for p in real),
        latent_bytes=sum(p.nbytes for p in owned.values()),
        binarizer=_named(module.binarizer) if isinstance(module, BinaryLayer) else "",
    )


def _packed(module: nn.Module, n: int) -> int:
    """Return the bytes of n weights: bits, each output's in whole bytes, with their scales; or bytes."""
    if not n or not isinstance(module, BinaryLayer):
        return n
    n_out, *window = module.shape_by_output
    scales = 0 if module.binarizer.scale in ("none", "learned") else 4 * n_out
    return n_out * -(-math.prod(window) // 8) + scales


def _named(given: Binarizer) -> str:
    names = [name for name, known in BINARIZERS.items() if known == given]
    return names[0] if names else repr(given)


COLUMNS = ("layer", "kind", "output", "1-bit", "8-bit", "real", "1-bit MACs", "8-bit MACs",
           "real MACs", "weights", "binarizer")  # fmt: skip
LEFT = ("layer", "kind", "output", "binarizer")


def _cells(layer: LayerSummary) -> list[str]:
    shape = " × ".join(map(str, layer.output_shape or ()))
    numbers = (layer.n_binary, layer.n_byte, layer.n_real, layer.n_bit_macs, layer.n_byte_macs,
               layer.n_real_macs, layer.weight_bytes)  # fmt: skip
    return [layer.name, layer.kind, shape, *map(amount, numbers), layer.binarizer]


def _table(rows: list[list[str]]) -> list[str]:
    """Return lines with columns that fit; a column without anything in it is left out."""
    columns = [
        (head, cells)
        for head, cells in zip(COLUMNS, zip(*rows, strict=True), strict=True)
        if any(cell not in ("", "0") for cell in cells)
    ]
    shown = [_aligned(head, cells) for head, cells in columns]
    return ["  ".join(cells).rstrip() for cells in zip(*shown, strict=True)]


def _aligned(head: str, cells: Sequence[str]) -> list[str]:
    width = max(map(len, (head, *cells)))
    return [f"{cell:{'<' if head in LEFT else '>'}{width}}" for cell in (head, *cells)]
