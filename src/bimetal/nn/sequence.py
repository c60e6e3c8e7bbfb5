"""Binary convolutions over time, and the causal residual block that is made of them.

A causal convolution is one that is padded in the past only, so what it answers for a step depends on
that step and earlier ones. With growing dilations it is the temporal convolutional network of Bai,
Kolter & Koltun 2018 (arXiv:1803.01271); the block here is its binary form, in the manner of Bi-Real
Net (arXiv:1808.00278): a real-valued shortcut around every binary convolution.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.conv import Pair, check_conv
from bimetal.nn.layers import BinaryLayer, Sign
from bimetal.nn.residual import PadValue, Repeat, Residual
from bimetal.nn.scales import norm_after

__all__ = ["BinaryConv1d", "causal", "tcn_block"]


def causal(kernel_size: int, dilation: int = 1) -> Pair:
    """Return the (left, right) padding with which a convolution sees no future and keeps the length.

    Examples
    --------
    >>> causal(3, dilation=4)
    (8, 0)
    """
    return (kernel_size - 1) * dilation, 0


class BinaryConv1d(BinaryLayer):
    """1-D convolution with weights −1 and +1, no bias (the norm that follows has one).

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel_size, stride, dilation : int
        As of `torch.nn.Conv1d`.
    padding : int, pair of int or "causal", default 0
        Steps added on both sides, or on the left and on the right; "causal" adds them on the left
        alone, as many as keep the length at a stride of 1.
    pad_value : {-1, 0, 1}, default -1
        What a step outside the sequence counts as, in every channel.
    groups : int, default 1
        Part *g* of the output channels reads part *g* of the input channels.
    binarizer : Binarizer or str, default "binarynet"
        How weights become binary: a `Binarizer`, a name in `bimetal.nn.BINARIZERS`, or a surrogate's.
    generator : torch.Generator, optional
        Source of the initial latent weights, uniform in ±`init_bound`.
    init_bound : float, default 0.1
        Small beside the clip of 1, so that early gradients can flip any weight.

    Raises
    ------
    DataError
        When a size is out of its range or `pad_value` is none of the three; in a call, when the
        input has other channels.

    Examples
    --------
    >>> layer = BinaryConv1d(3, 8, kernel_size=2, padding="causal", dilation=4)
    >>> layer(torch.ones(1, 3, 20)).shape
    torch.Size([1, 8, 20])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | Pair | Literal["causal"] = 0,
        pad_value: PadValue = -1,
        dilation: int = 1,
        groups: int = 1,
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
        init_bound: float = 0.1,
    ) -> None:
        around = _sides(padding, kernel_size, dilation)
        _check_sizes(kernel_size=kernel_size, stride=stride, dilation=dilation)
        check_conv(n_in, n_out, groups, {}, around)
        if pad_value not in (-1, 0, 1):
            raise DataError(f"pad_value must be -1, 0 or 1, got {pad_value!r}")
        shape = (n_out, n_in // groups, kernel_size)
        super().__init__(shape, n_out, binarizer, generator, init_bound)
        self.n_in, self.groups, self.pad_value = n_in, groups, int(pad_value)
        self.kernel_size, self.stride = kernel_size, stride
        self.padding, self.dilation = around, dilation

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in, n_steps) to (n_rows, n_out, new number of steps)."""
        self._require_inputs(x, self.n_in, axis=-2)
        if any(self.padding):
            x = pad(x, self.padding, value=float(self.pad_value))
        w, alpha = self._working()
        x, w = self._exact(x, w)
        sums = conv1d(x, w, None, self.stride, 0, self.dilation, self.groups)
        return self._scaled(sums, alpha)

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return (
            f"{self.n_in}, {self.n_out}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, pad_value={self.pad_value}, dilation={self.dilation}, "
            f"groups={self.groups}{self._how()}"
        )


def _sides(padding: int | Pair | Literal["causal"], kernel_size: int, dilation: int) -> Pair:
    match padding:
        case "causal":
            return causal(kernel_size, dilation)
        case int():
            return padding, padding
        case (int(left), int(right)):
            return left, right
    raise DataError(f"padding must be a number, (left, right) or 'causal', got {padding!r}")


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise DataError(f"{name} must be at least 1, got {size}")


def tcn_block(
    n_in: int,
    n_out: int,
    kernel_size: int = 3,
    dilation: int = 1,
    pad_value: PadValue = -1,
    surrogate_name: str = "approx_sign",
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """Return a residual block of two causal binary convolutions of one dilation.

    Each is sign → `BinaryConv1d` → batch norm with a real-valued shortcut around it, as Bi-Real Net
    has them. Bai et al. put one shortcut around both and weight norm, ReLU and dropout inside; where
    channels are added they use a float 1×1 convolution, this block repeats them (see `Repeat`). A
    step is answered from the 2(kernel_size − 1)·dilation steps before it, and itself.

    Parameters
    ----------
    n_in, n_out : int
        Channels; `n_out` a multiple of `n_in`.
    kernel_size : int, default 3
        Of both.
    dilation : int, default 1
        Of both; it doubles from block to block.
    pad_value, surrogate_name, generator
        As of `BinaryConv1d`.

    Raises
    ------
    DataError
        When `n_out` is no multiple of `n_in`, or a size is out of its range.

    Examples
    --------
    >>> net = nn.Sequential(tcn_block(4, 8, dilation=1), tcn_block(8, 8, dilation=2))
    >>> net(torch.randn(2, 4, 30)).shape
    torch.Size([2, 8, 30])
    """
    _check_sizes(n_in=n_in, n_out=n_out)
    if n_out % n_in:
        raise DataError(f"{n_out} output channels are no multiple of {n_in} input channels")
    ways: list[nn.Module] = []
    for n, repeats in ((n_in, n_out // n_in), (n_out, 1)):
        conv = BinaryConv1d(
            n, n_out, kernel_size, 1, "causal", pad_value, dilation,
            binarizer=surrogate_name, generator=generator,
        )  # fmt: skip
        norm = norm_after(n_out, variance=conv.latent_weight[0].numel(), is_map=False)
        branch = nn.Sequential(Sign(surrogate_name), conv, norm)
        ways.append(Residual(branch, Repeat(repeats) if repeats > 1 else None))
    return nn.Sequential(*ways)
