"""Signs and scales that adapt to their input: AdaBin's, ReActNet's and XNOR-Net's.

A plain sign cuts at 0 and makes ±1. Here the cut is learned (`rsign`), or the two values as well
(`AdaSign`), or what was lost in magnitude is measured and multiplied back (`InputScale`).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.conv import BinaryConv2d, Pair, check_conv, pair
from bimetal.nn.layers import Sign
from bimetal.nn.residual import PadValue
from bimetal.nn.scales import Shift, per_channel

__all__ = ["AdaSign", "InputScale", "XnorConv2d", "rsign"]


def rsign(n: int, surrogate_name: str = "approx_sign") -> nn.Sequential:
    """Return ReActNet's RSign: the sign of x plus a learned shift of its channel (arXiv:2003.03488).

    Parameters
    ----------
    n : int
        Channels.
    surrogate_name : str, default "approx_sign"
        A name in `bimetal.nn.SURROGATES`.

    Examples
    --------
    >>> rsign(2)(torch.tensor([[-0.5, 0.5]])).tolist()
    [[-1.0, 1.0]]
    """
    return nn.Sequential(Shift(n), Sign(surrogate_name))


class AdaSign(nn.Module):
    """The two values β − α and β + α, learned: α sign((x − β) / α) + β (AdaBin, arXiv:2208.08084).

    With u = (x − β) / α and s' the surrogate, the gradients are those of the formula:
    ∂y/∂x = s'(u), ∂y/∂α = sign(u) − u s'(u), ∂y/∂β = 1 − s'(u).

    It is the formula of the paper. Its public code returns α(sign(u) + β), whose middle is αβ, so
    that the cut no longer lies between the two values as soon as α is not 1. Only |α| matters, and
    x = β gives β + |α|. The values are not ±1, so the layer lowers to no bits by itself.

    Parameters
    ----------
    n : int, default 1
        Channels, each with an α and a β; 1 is a pair for the whole layer, as published.
    surrogate_name : str, default "approx_sign"
        A name in `bimetal.nn.SURROGATES`.

    Raises
    ------
    DataError
        When there is no channel.

    Examples
    --------
    >>> sign = AdaSign()
    >>> sign.alpha.data.fill_(0.5), sign.beta.data.fill_(2.0)
    (tensor([0.5000]), tensor([2.]))
    >>> sign(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[1.5, 2.5, 2.5]]
    """

    def __init__(self, n: int = 1, surrogate_name: str = "approx_sign") -> None:
        super().__init__()
        if n < 1:
            raise DataError(f"channels must be at least 1, got {n}")
        self.alpha = nn.Parameter(torch.ones(n))
        self.beta = nn.Parameter(torch.zeros(n))
        self.sign = Sign(surrogate_name)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to the same shape."""
        alpha = per_channel(self.alpha.abs().clamp_min(1e-12), x)
        beta = per_channel(self.beta, x)
        signs: Tensor = self.sign((x - beta) / alpha)
        return alpha * signs + beta


class InputScale(nn.Module):
    """XNOR-Net's K: the mean size of the input under each place of a kernel.

    A is the mean of |x| over the channels, and K is A filtered by a box that sums to 1 (Rastegari et
    al. 2016, arXiv:1603.05279, section 3.2). Pixels outside the map are 0. The gradient flows through
    K; the paper says nothing of it, and the authors' code has no K.

    Parameters
    ----------
    kernel_size, stride, padding, dilation : int or pair of int
        Those of the convolution whose output is scaled.
    groups : int, default 1
        Parts of the channels with a K of their own.

    Raises
    ------
    DataError
        When a size is out of its range.

    Examples
    --------
    >>> InputScale(2)(torch.tensor([[[[1.0, -2.0], [3.0, -4.0]], [[0.0, 0.0], [0.0, 0.0]]]]))
    tensor([[[[1.2500]]]])
    """

    box: Tensor

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)
        self.padding, self.dilation, self.groups = pair(padding), pair(dilation), groups
        positive = {"kernel_size": self.kernel_size, "stride": self.stride}
        check_conv(groups, groups, groups, positive | {"dilation": self.dilation}, self.padding)
        down, right = self.kernel_size
        box = torch.full((groups, 1, down, right), 1 / (down * right))
        self.register_buffer("box", box, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, height, width) to (n_rows, groups, new height, new width)."""
        size = torch.unflatten(x.abs(), 1, (self.groups, -1)).mean(2)
        return conv2d(size, self.box, None, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return (
            f"{self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, groups={self.groups}"
        )


class XnorConv2d(nn.Module):
    """XNOR-Net's whole convolution, (sign(x) ⊛ sign(w)) · K · α (arXiv:1603.05279, section 3.2).

    α is the binarizer's, K the one of `InputScale`. K is real and differs from pixel to pixel, so the
    layer does not lower; where it has to, leave K out (a `Sign` and a `BinaryConv2d`), as the
    authors' own code does.

    Parameters
    ----------
    n_in, n_out, kernel_size, stride, padding, pad_value, dilation, groups, generator
        As of `BinaryConv2d`.
    surrogate_name : str, default "clipped"
        Of the sign of the input.
    binarizer : Binarizer or str, default "xnor"
        Of the weights.

    Raises
    ------
    DataError
        When a size is out of its range.

    Examples
    --------
    >>> XnorConv2d(3, 8, 3, padding=1)(torch.randn(1, 3, 5, 5)).shape
    torch.Size([1, 8, 5, 5])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        pad_value: PadValue = -1,
        dilation: int | Pair = 1,
        groups: int = 1,
        surrogate_name: str = "clipped",
        binarizer: Binarizer | str = "xnor",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.sign = Sign(surrogate_name)
        self.conv = BinaryConv2d(
            n_in,
            n_out,
            kernel_size,
            stride,
            padding,
            pad_value,
            dilation,
            groups,
            binarizer,
            generator,
        )
        self.input_scale = InputScale(kernel_size, stride, padding, dilation, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in, height, width) to (n_rows, n_out, new height, new width)."""
        sums: Tensor = self.conv(self.sign(x))
        scale: Tensor = self.input_scale(x)
        by_group = torch.unflatten(sums, 1, (self.conv.groups, -1))
        return (by_group * scale.unsqueeze(2)).flatten(1, 2)
