"""Float layers of the same sizes and names as binary ones, where torch.nn has none: for `float_twin`."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bimetal.errors import DataError
from bimetal.nn.bytes import ByteConv2d
from bimetal.nn.embedding import BinaryEmbedding
from bimetal.nn.lut import LutLinear
from bimetal.nn.lut_connections import best_places
from bimetal.nn.lut_function import monomials
from bimetal.nn.sequence import BinaryConv1d

__all__ = ["GroupedLinear", "PixelConv2d", "Polynomials", "SidedConv1d", "StepLinear", "Table"]


class GroupedLinear(nn.Module):
    """Independent linear layers side by side, without a bias: the float form of `BinaryLinear`.

    Parameters
    ----------
    n_in, n_out : int
        Sizes of the whole input and output.
    groups : int
        Parts: part *g* of the output reads part *g* of the input. It divides both sizes.

    Raises
    ------
    DataError
        When the sizes do not divide into the groups.

    Examples
    --------
    >>> GroupedLinear(4, 6, groups=2)(torch.zeros(3, 4)).shape
    torch.Size([3, 6])
    """

    def __init__(self, n_in: int, n_out: int, groups: int) -> None:
        super().__init__()
        if min(n_in, n_out, groups) < 1 or n_in % groups or n_out % groups:
            raise DataError(f"{n_in} inputs and {n_out} outputs do not divide into {groups} groups")
        self.n_in, self.n_out, self.groups = n_in, n_out, groups
        bound = (n_in // groups) ** -0.5
        weight = torch.empty(groups, n_out // groups, n_in // groups).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) to (n_rows, n_out)."""
        parts = x.reshape(len(x), self.groups, -1).transpose(0, 1)
        return torch.bmm(parts, self.weight.transpose(1, 2)).transpose(0, 1).flatten(1)

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_in}, {self.n_out}, groups={self.groups}"


class PixelConv2d(nn.Conv2d):
    """A convolution of (x / 255 − mean) / std, without a bias: the float form of `ByteConv2d`.

    Parameters
    ----------
    byte_conv : ByteConv2d
        Whose sizes, weights, mean and std it has. Its edge is the mean itself, not the nearest byte.

    Examples
    --------
    >>> layer = ByteConv2d(1, 2, 3, mean=(0.5,), std=(0.25,))
    >>> x = torch.arange(25.0).view(1, 1, 5, 5)
    >>> torch.allclose(PixelConv2d(layer)(x), layer(x), atol=0.02)
    True
    """

    mean: Tensor
    std: Tensor

    def __init__(self, byte_conv: ByteConv2d) -> None:
        b = byte_conv
        super().__init__(
            b.n_in, b.n_out, b.kernel_size, b.stride, b.padding, b.dilation, b.groups, bias=False,
            device="meta",
        )  # fmt: skip
        self.weight = nn.Parameter(b.weight.detach().clone(), b.weight.requires_grad)
        self.register_buffer("mean", b.mean.clone())
        self.register_buffer("std", b.std.clone())

    def forward(self, input: Tensor) -> Tensor:
        """Map (n_rows, n_in, height, width) of 0 to 255 to (n_rows, n_out, new height, new width)."""
        mean, std = (numbers.view(-1, 1, 1) for numbers in (self.mean, self.std))
        return super().forward((input / 255 - mean) / std)


class SidedConv1d(nn.Conv1d):
    """A convolution over time padded with zeros, on the left unlike on the right, without a bias.

    Parameters
    ----------
    binary : BinaryConv1d
        Whose sizes and weights it has.

    Examples
    --------
    >>> SidedConv1d(BinaryConv1d(3, 8, 2, padding="causal", dilation=4))(torch.ones(1, 3, 20)).shape
    torch.Size([1, 8, 20])
    """

    def __init__(self, binary: BinaryConv1d) -> None:
        b = binary
        super().__init__(
            b.n_in, b.n_out, b.kernel_size, b.stride, 0, b.dilation, b.groups, bias=False,
            device="meta",
        )  # fmt: skip
        self.weight = nn.Parameter(b.latent_weight.detach().clone(), b.latent_weight.requires_grad)
        self.sides = b.padding

    def forward(self, input: Tensor) -> Tensor:
        """Map (n_rows, n_in, n_steps) to (n_rows, n_out, new number of steps)."""
        return super().forward(pad(input, self.sides))


class StepLinear(nn.Linear):
    """A linear layer without a bias that a recurrent layer reads as it reads a binary one.

    Examples
    --------
    >>> StepLinear(3, 2, bias=False)._working()[0].shape
    torch.Size([1, 2, 3])
    """

    def _working(self) -> tuple[Tensor, None]:
        return self.weight[None], None


class Table(nn.Embedding):
    """Rows for whole numbers, or their mean: the float form of `BinaryEmbedding`.

    Parameters
    ----------
    binary : BinaryEmbedding
        Whose sizes, weights and manners it has.

    Examples
    --------
    >>> Table(BinaryEmbedding(10, 4, answer="mean", absent=0))(torch.tensor([[3, 0]])).shape
    torch.Size([1, 4])
    """

    def __init__(self, binary: BinaryEmbedding) -> None:
        super().__init__(binary.n_categories, binary.n_features, device="meta")
        latent = binary.latent_weight
        self.weight = nn.Parameter(latent.detach().clone(), latent.requires_grad)
        self.answer, self.absent = binary.answer, binary.absent

    def forward(self, input: Tensor) -> Tensor:
        """Map whole numbers (...) to rows (..., n_features), or (..., n) to (..., n_features)."""
        rows = super().forward(input)
        is_there = torch.ones_like(input) if self.absent is None else input != self.absent
        counts = is_there.to(rows.dtype).unsqueeze(-1)
        rows = rows * counts
        return rows if self.answer == "rows" else rows.sum(-2) / counts.sum(-2).clamp_min(1)


class Polynomials(nn.Module):
    """Polynomials of a few real inputs each, a norm and a soft sign: the float form of `LutLinear`.

    On inputs of ±1 the polynomials have the values, and the slopes, that they have there.

    Parameters
    ----------
    layer : LutLinear
        Whose coefficients, connections and norm are taken.
    sign : torch.nn.Module
        What stands for its sign.

    Examples
    --------
    >>> Polynomials(LutLinear(8, 3), nn.Hardtanh())(torch.zeros(2, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(self, layer: LutLinear, sign: nn.Module) -> None:
        super().__init__()
        self.coefficient, self.norm, self.sign = layer.coefficient, layer.norm, sign
        self.members = monomials(layer.fan_in, layer.degree)
        if "score" in layer._parameters:
            self.score = layer.score
        else:
            self.register_buffer("fixed_places", layer.places)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) to (n_rows, n_out)."""
        read = self._read(x)
        products = torch.stack([read[:, :, list(m)].prod(dim=2) for m in self.members], dim=2)
        return self.sign(self.norm((products * self.coefficient).sum(dim=2)))  # type: ignore[no-any-return]

    def _read(self, x: Tensor) -> Tensor:
        """Return the inputs of each neuron, (n_rows, n_out, fan_in), with the slope of a soft choice."""
        score = self._parameters.get("score")
        if score is None:
            return x[:, self.get_buffer("fixed_places")]
        soft = torch.einsum("bi,oki->bok", x.detach(), torch.softmax(score, dim=-1))
        return x[:, best_places(score)] + soft - soft.detach()
