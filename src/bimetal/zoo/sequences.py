"""Nets on time series: causal convolutions whose gaps double from block to block.

A temporal convolutional network (Bai, Kolter & Koltun 2018, arXiv:1803.01271) answers at its last step,
from that step and those before it. In the binary one each convolution reads signs, and a real-valued
shortcut carries on what the signs lose (Bi-Real Net, arXiv:1808.00278).
"""

from torch import nn

from bimetal.nn import Binarizer, Residual, Thermometer
from bimetal.nn.activations import Bytes
from bimetal.nn.take import Last
from bimetal.zoo.base import Net, check_sizes, seeded
from bimetal.zoo.kits import Bits, Floats, Kit, PadValue

__all__ = ["binary_tcn", "n_steps_seen"]


def n_steps_seen(n_blocks: int, kernel_size: int) -> int:
    """Return how many steps, itself among them, a step of `binary_tcn` is answered from.

    Examples
    --------
    >>> n_steps_seen(n_blocks=4, kernel_size=3)
    63
    """
    return 1 + (kernel_size - 1) * (1 + 2 * ((1 << n_blocks) - 1))


def binary_tcn(
    n_classes: int = 2,
    n_channels: int = 1,
    length: int = 64,
    width: int = 64,
    *,
    n_blocks: int = 4,
    kernel_size: int = 3,
    n_levels: int = 8,
    binary: bool = True,
    binarizer: str | Binarizer = "binarynet",
    surrogate_name: str = "approx_sign",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return a binary temporal convolutional network, for series of real numbers.

    Numbers → bytes (a range for each channel, learned from the data) → `n_levels` thermometer bits →
    binary convolution → blocks of two binary convolutions with shortcuts → the last step → 8-bit layer.

    Parameters
    ----------
    n_classes, n_channels, length : int
        Answers, numbers of each step, and steps. Steps before the first count as `pad_value`, so a
        shorter series than `n_steps_seen` is no error.
    width : int, default 64
        Channels of each convolution.
    n_blocks : int, default 4
        Block *i* from 0 reaches back in strides of 2**i steps.
    kernel_size : int, default 3
        Of each convolution.
    n_levels : int, default 8
        Of the thermometer.
    binary : bool, default True
        Which of the twins; the float one reads the numbers themselves, through a norm.
    binarizer, surrogate_name, pad_value
        Of the binary twin: of weights, of activations, and of steps before the first.
    seed : int, optional
        Of the weights; by default torch's own generator goes on.

    Raises
    ------
    DataError
        When an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> net = binary_tcn(n_classes=3, n_channels=2, length=20, width=8, seed=0)
    >>> net.eval()(torch.randn(5, 2, 20)).shape
    torch.Size([5, 3])
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    check_sizes(n_classes, n_channels, length, width, n_blocks, kernel_size)
    with seeded(seed):
        start, n_in = _start(binary, n_channels, n_levels)
        conv = kit.conv1d(n_in, width, kernel_size)
        layers = [*start, *conv, kit.norm(conv[-1])]
        layers += [_block(kit, width, kernel_size, 2**i) for i in range(n_blocks)]
        return Net([*layers, Last()], kit.head(width, n_classes), (n_channels, length))


def _start(binary: bool, n_channels: int, n_levels: int) -> tuple[list[nn.Module], int]:
    if not binary:
        return [nn.BatchNorm1d(n_channels, affine=False)], n_channels
    return [Bytes(n=n_channels, momentum=0.1), Thermometer(n_levels)], n_channels * n_levels


def _block(kit: Kit, n: int, kernel_size: int, dilation: int) -> nn.Module:
    """Return two convolutions, each with a shortcut around it."""
    convs = [kit.conv1d(n, n, kernel_size, dilation) for _ in range(2)]
    branches = (nn.Sequential(kit.act(), *conv, kit.norm(conv[-1])) for conv in convs)
    return nn.Sequential(*(Residual(branch) for branch in branches))
