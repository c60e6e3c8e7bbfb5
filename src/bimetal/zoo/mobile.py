"""Binary nets made to be small and fast on devices: ReActNet-A, and one in the manner of QuickNet.

Depthwise convolutions have too few terms for a sum of ±1 to tell much, so the binary relatives of
MobileNet use full 3×3 and 1×1 convolutions, and pay for them with bits.
"""

from collections.abc import Sequence

from torch import nn

from bimetal.errors import DataError
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

__all__ = ["quicknet", "reactnet"]

QUICKNET = (64, 128, 256, 512)
WIDE = Binarizer(surrogate="clipped_wide", clip=1.25)
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
    >>> reactnet(10, 16, width=0.0625, stem="cifar", seed=0).image_shape
    (3, 16, 16)
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    check_sizes(n_classes, in_channels, image_size)
    check_names(stem)
    smaller = 32 if stem == "imagenet" else 16
    check_divides(image_size, smaller)
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
        return Net(layers, averaged_head(kit, n, n_classes, image_size // smaller), shape)


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


def quicknet(
    n_classes: int = 1000,
    image_size: int = 224,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    sections: Sequence[int] = (4, 4, 4, 4),
    binary: bool = True,
    stem: PictureStem = "imagenet",
    binarizer: str | Binarizer = WIDE,
    surrogate_name: str = "clipped_wide",
    pad_value: PadValue = 1,
    seed: int | None = None,
) -> Net:
    """Return a net in the manner of QuickNet: 63.3 % on ImageNet in larq-zoo (arXiv:2011.09398).

    A first 3×3 convolution of a quarter of the channels, a depthwise 3×3 and a 1×1 one, all in 8 bits;
    then sections of binary 3×3 convolutions, each with a shortcut around it (sign → convolution → ReLU
    → norm), and between sections a transition: ReLU → max pooling → 1×1 convolution in 8 bits → norm.
    It differs from larq-zoo's in that these convolutions have 8-bit weights and inputs, where theirs are
    float, and in the transition, where a fixed blur follows their pooling of stride 1.

    Parameters
    ----------
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures, and their channels. The size is a multiple of 32,
        or of 8 where the stem is "cifar".
    width : float, default 1.0
        Factor of all channels, for small nets.
    sections : sequence of int
        Binary convolutions of each section; QuickNetLarge has (6, 8, 12, 6).
    binary : bool, default True
        Which of the twins; the float one has ReLU in place of each sign.
    stem : {"imagenet", "cifar"}
        Whether the first convolutions have strides of 2, or, for small pictures, of 1.
    binarizer, surrogate_name, pad_value
        Of the binary twin: of weights, of activations, and of the edge.
    seed : int, optional
        Of the weights; by default torch's own generator goes on.

    Raises
    ------
    DataError
        When an argument is out of its range.

    Examples
    --------
    >>> quicknet(10, 16, width=0.125, sections=(1, 1, 1, 1), stem="cifar", seed=0).image_shape
    (3, 16, 16)
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    check_sizes(n_classes, in_channels, image_size, *sections)
    check_names(stem)
    if len(sections) != len(QUICKNET):
        raise DataError(f"QuickNet has {len(QUICKNET)} sections, got {len(sections)}: {sections}")
    smaller = 32 if stem == "imagenet" else 8
    check_divides(image_size, smaller)
    channels = [scaled(n, width) for n in QUICKNET]
    with seeded(seed):
        layers = _quick_stem(kit, in_channels, channels[0], 2 if stem == "imagenet" else 1)
        for i, (n, n_blocks) in enumerate(zip(channels, sections, strict=True)):
            layers += _transition(kit, channels[i - 1], n) if i else []
            layers += [_quick_block(kit, n) for _ in range(n_blocks)]
        head = averaged_head(kit, channels[-1], n_classes, image_size // smaller)
        return Net([*layers, nn.ReLU()], head, (in_channels, image_size, image_size))


def _quick_stem(kit: Kit, n_in: int, n_out: int, stride: int) -> list[nn.Module]:
    few = max(1, n_out // 4)
    first = kit.first(n_in, few, 3, stride, 1)
    depthwise = kit.real_conv(few, few, 3, stride, 1, groups=few)
    return [*first, kit.norm(first[-1]), nn.ReLU(), *depthwise, *kit.real_conv(few, n_out, 1)]


def _transition(kit: Kit, n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.ReLU(), nn.MaxPool2d(2), *kit.real_conv(n_in, n_out, 1)]


def _quick_block(kit: Kit, n: int) -> nn.Module:
    conv = kit.conv(n, n, 3, padding=1)
    return Residual(nn.Sequential(kit.act(), conv, nn.ReLU(), kit.norm(conv)))
