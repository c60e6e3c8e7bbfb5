"""What the layers of a net are made of: floats or bits. A layout is written once, for either kit.

Both twins read pictures of 0 to 255. The binary one keeps its two ends in 8 bits, unless its paper
does not, and everything between them is ±1.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from bimetal.nn import (
    Binarizer,
    BinaryConv2d,
    BinaryLayer,
    BinaryLinear,
    ByteConv2d,
    ByteLinear,
    Sign,
)
from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.conv import Pair
from bimetal.nn.scales import norm_after
from bimetal.nn.sequence import BinaryConv1d, causal
from bimetal.zoo.layouts import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["Bits", "Floats", "Kit", "PadValue", "pixel_statistics"]

PadValue = Literal[-1, 0, 1]
FOLLOWS = 0.1  # share of the last batch in the ranges of 8-bit activations


def pixel_statistics(n: int) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and deviation of pixels in units of 255: ImageNet's of colours, MNIST's of grey.

    Examples
    --------
    >>> pixel_statistics(1)
    ((0.1307,), (0.3081,))
    """
    if n == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    return ((0.1307,), (0.3081,)) if n == 1 else ((0.5,) * n, (0.25,) * n)


class Kit(ABC):
    """Makes layers. Sizes are as of `torch.nn.Conv2d`; no layer but the last has a bias."""

    @abstractmethod
    def first(
        self, n_in: int, n_out: int, kernel: int | Pair, stride: int = 1, padding: int = 0
    ) -> list[nn.Module]:
        """Return a convolution of pixels of 0 to 255."""

    @abstractmethod
    def conv(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> nn.Module:
        """Return a convolution of what `act` makes."""

    @abstractmethod
    def conv1d(self, n_in: int, n_out: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
        """Return a causal convolution over time of what `act` makes."""

    @abstractmethod
    def linear(self, n_in: int, n_out: int) -> nn.Module:
        """Return a fully connected layer on what `act` makes."""

    @abstractmethod
    def act(self) -> nn.Module:
        """Return the activation."""

    @abstractmethod
    def last(self, n_in: int, n_out: int) -> nn.Module:
        """Return the layer of the answers, on what `act` makes."""

    @abstractmethod
    def real_conv(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> list[nn.Module]:
        """Return a convolution of real numbers, and its norm."""

    @abstractmethod
    def head(self, n_in: int, n_out: int) -> list[nn.Module]:
        """Return the layers from a row of real numbers to the answers."""

    @abstractmethod
    def norm(self, layer: nn.Module, n_pooled: int = 1) -> nn.Module:
        """Return a batch norm of what a layer makes; `n_pooled` signs of it are pooled after it."""


@dataclass(frozen=True)
class Floats(Kit):
    """The kit of float32 twins: torch's own layers and ReLU."""

    def first(
        self, n_in: int, n_out: int, kernel: int | Pair, stride: int = 1, padding: int = 0
    ) -> list[nn.Module]:
        """Normalize the pixels, then an ordinary convolution."""
        conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=False)
        return [Pixels(*pixel_statistics(n_in)), conv]

    def conv(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> nn.Module:
        """Return an ordinary convolution."""
        return nn.Conv2d(n_in, n_out, kernel, stride, padding, groups=groups, bias=False)

    def conv1d(self, n_in: int, n_out: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
        """Return a padding in the past, and an ordinary convolution."""
        conv = nn.Conv1d(n_in, n_out, kernel, dilation=dilation, bias=False)
        return [nn.ConstantPad1d(causal(kernel, dilation), 0.0), conv]

    def linear(self, n_in: int, n_out: int) -> nn.Module:
        """Return an ordinary linear layer."""
        return nn.Linear(n_in, n_out, bias=False)

    def act(self) -> nn.Module:
        """Return a ReLU."""
        return nn.ReLU()

    def last(self, n_in: int, n_out: int) -> nn.Module:
        """Return an ordinary linear layer with a bias."""
        return nn.Linear(n_in, n_out)

    def real_conv(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> list[nn.Module]:
        """Return an ordinary convolution and a norm."""
        conv = self.conv(n_in, n_out, kernel, stride, padding, groups)
        return [conv, self.norm(conv)]

    def head(self, n_in: int, n_out: int) -> list[nn.Module]:
        """Return an ordinary linear layer with a bias."""
        return [self.last(n_in, n_out)]

    def norm(self, layer: nn.Module, n_pooled: int = 1) -> nn.Module:
        """Return torch's norm as it is."""
        if isinstance(layer, nn.Linear):
            return nn.BatchNorm1d(layer.out_features)
        if isinstance(layer, nn.Conv1d):
            return nn.BatchNorm1d(layer.out_channels)
        assert isinstance(layer, nn.Conv2d)
        return nn.BatchNorm2d(layer.out_channels)


@dataclass(frozen=True)
class Bits(Kit):
    """The kit of binary twins.

    Attributes
    ----------
    binarizer : str or Binarizer
        Of the weights, see `bimetal.nn.BINARIZERS`.
    surrogate_name : str
        Of the activations, see `bimetal.nn.SURROGATES`.
    pad_value : {-1, 0, 1}
        What the edge of a binary convolution counts as.
    """

    binarizer: str | Binarizer = "binarynet"
    surrogate_name: str = "clipped"
    pad_value: PadValue = -1

    def first(
        self, n_in: int, n_out: int, kernel: int | Pair, stride: int = 1, padding: int = 0
    ) -> list[nn.Module]:
        """Return an 8-bit convolution, which normalizes the pixels itself."""
        mean, std = pixel_statistics(n_in)
        return [ByteConv2d(n_in, n_out, kernel, stride, padding, mean=mean, std=std)]

    def conv(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> nn.Module:
        """Return a binary convolution."""
        return BinaryConv2d(
            n_in, n_out, kernel, stride, padding, self.pad_value, groups=groups,
            binarizer=self.binarizer,
        )  # fmt: skip

    def conv1d(self, n_in: int, n_out: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
        """Return a binary convolution."""
        return [
            BinaryConv1d(
                n_in, n_out, kernel, padding="causal", pad_value=self.pad_value, dilation=dilation,
                binarizer=self.binarizer,
            )
        ]  # fmt: skip

    def linear(self, n_in: int, n_out: int) -> nn.Module:
        """Return a binary linear layer."""
        return BinaryLinear(n_in, n_out, binarizer=self.binarizer)

    def act(self) -> nn.Module:
        """Return a sign."""
        return Sign(self.surrogate_name)

    def last(self, n_in: int, n_out: int) -> nn.Module:
        """Return an 8-bit linear layer on bits."""
        return ByteLinear(n_in, n_out)

    def real_conv(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> list[nn.Module]:
        """Return an 8-bit convolution of 8-bit inputs, and a norm; the edge is the least input."""
        conv = ByteConv2d(n_in, n_out, kernel, stride, padding, groups=groups)
        return [Bytes(n=n_in, momentum=FOLLOWS), conv, self.norm(conv)]

    def head(self, n_in: int, n_out: int) -> list[nn.Module]:
        """Return an 8-bit linear layer on 8-bit inputs."""
        return [Bytes(n=n_in, momentum=FOLLOWS), ByteLinear(n_in, n_out, reads="bytes")]

    def norm(self, layer: nn.Module, n_pooled: int = 1) -> nn.Module:
        """Return a norm with the statistics of sums of random bits, or of normalized pixels."""
        if isinstance(layer, ByteConv2d):  # weights uniform in ±1 / sqrt(n): a third of a pixel's
            return norm_after(layer.n_out, 1 / 3, n_pooled)
        assert isinstance(layer, BinaryLayer)
        variance = layer.latent_weight.numel() / layer.n_out
        if not layer.latent_weight.is_meta and (alpha := layer.alpha) is not None:
            variance *= float(alpha.detach().square().mean())
        return norm_after(layer.n_out, variance, n_pooled, isinstance(layer, BinaryConv2d))
