"""Binary nets made to be small and fast on devices: ReActNet-A, in the manner of a MobileNet.

Depthwise convolutions have too few terms for a sum of ±1 to tell much, so the binary relatives of
MobileNet use full 3×3 and 1×1 convolutions, and pay for them with bits.
"""

from torch import nn

from bimetal.nn import Binarizer, Residual, RPReLU, Shift
from bimetal.zoo.base import Net, check_sizes, scaled, seeded
from bimetal.zoo.kits import Bits, Floats, Kit, PadValue
from bimetal.zoo.residual import (
    PictureStem,
    averaged_head,
    check_divides,
    check_names,
    way_around,
)

__all__ = ["reactnet"]

REACTNET_A = (64, *(128,) * 2, *(256,) * 2, *(512,) * 6, *(1024,) * 2)
FIRST = 32


def reactnet(
    n_classes: int = 1000,
    image_size: int = 224,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    binary: bool = True,
    stem: PictureStem = "imagenet",
    binarizer: str | Binarizer = "bi_real",
    surrogate_name: str = "approx_sign",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return ReActNet-A: 69.4 % on ImageNet after distillation (Liu et al. 2020, arXiv:2003.03488).

    A 3×3 convolution in 8 bits, then thirteen blocks of a binary 3×3 and a binary 1×1 convolution,
    each after a sign with a learned shift, with a shortcut around it and an RPReLU behind it.

    Parameters
    ----------
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures, and their channels. The size is a multiple of 32,
        or of 16 where the stem is "cifar".
    width : float, default 1.0
        Factor of all channels, for small nets.
    binary : bool, default True
        Which of the twins; the float one has ReLU in place of each sign.
    stem : {"imagenet", "cifar"}
        Whether the first convolution has a stride of 2, or, for small pictures, of 1.
    binarizer, surrogate_name, pad_value
        Of the binary twin: of weights, of activations, and of the edge (published: 0).
    seed : int, optional
        Of the weights; by default torch's own generator goes on.

    Raises
    ------
    DataError
        When an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> net = reactnet(10, 32, width=0.125, stem="cifar", seed=0)
    >>> net.eval()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    check_sizes(n_classes, in_channels, image_size)
    check_names(stem)
    check_divides(image_size, 32 if stem == "imagenet" else 16)
    n = first = scaled(FIRST, width)
    with seeded(seed):
        start = kit.first(in_channels, n, 3, stride=2 if stem == "imagenet" else 1, padding=1)
        layers = [*start, kit.norm(start[-1])]
        for channels in REACTNET_A:
            n_out = first * channels // FIRST
            stride = 2 if n_out > n > first else 1
            layers.append(_react_block(kit, n, n_out, stride))
            n = n_out
        shape = (in_channels, image_size, image_size)
        return Net(layers, averaged_head(kit, n, n_classes), shape)


def _react_block(kit: Kit, n_in: int, n_out: int, stride: int) -> nn.Module:
    """Return 3×3, which may stride, and 1×1, which may widen.

    The paper widens by two 1×1 convolutions side by side, which is one of twice as many outputs.
    """
    parts: list[nn.Module] = []
    spatial, pointwise = kit.conv(n_in, n_in, 3, stride, 1), kit.conv(n_in, n_out, 1)
    ways = way_around(kit, n_in, n_in, stride), way_around(kit, n_in, n_out)
    for n, conv, way in ((n_in, spatial, ways[0]), (n_out, pointwise, ways[1])):
        branch = nn.Sequential(Shift(n_in), kit.act(), conv, kit.norm(conv))
        parts += [Residual(branch, way), RPReLU(n)]
    return nn.Sequential(*parts)
