"""Residual nets whose every binary convolution has a real-valued way around it.

* `bi_real18`: Bi-Real Net, Liu et al. 2018 (arXiv:1808.00278), sign → convolution → norm → + shortcut.
* `react18`: the ResNet of ReActNet, Liu et al. 2020 (arXiv:2003.03488), which also learns where each
  sign flips and where the PReLU after each block bends.

Both have sixteen 3×3 convolutions in four stages, the first of all in 8 bits. The float twin has ReLU
in place of each sign.
"""

from collections.abc import Callable
from typing import Literal

from torch import nn

from bimetal.errors import DataError
from bimetal.nn import Binarizer, Repeat, Residual, RPReLU, Shift
from bimetal.zoo.base import Net, check_sizes, scaled, seeded
from bimetal.zoo.kits import Bits, Floats, Kit, PadValue

__all__ = [
    "PictureStem",
    "Shortcut",
    "averaged_head",
    "bi_real18",
    "check_divides",
    "check_names",
    "react18",
    "way_around",
]

PictureStem = Literal["imagenet", "cifar"]
Shortcut = Literal["conv", "repeat"]
Block = Callable[[Kit, int, int, int, Shortcut], nn.Module]
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block
N_BLOCKS = 4


def bi_real18(
    n_classes: int = 1000,
    image_size: int = 224,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    binary: bool = True,
    stem: PictureStem = "imagenet",
    shortcut: Shortcut = "repeat",
    binarizer: str | Binarizer = "bi_real",
    surrogate_name: str = "approx_sign",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return Bi-Real Net 18: 56.4 % on ImageNet (arXiv:1808.00278).

    Parameters
    ----------
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures, and their channels. The size is a multiple of 32,
        or of 8 where the stem is "cifar".
    width : float, default 1.0
        Factor of all channels, for small nets.
    binary : bool, default True
        Which of the twins; the float one has ReLU in place of each sign.
    stem : {"imagenet", "cifar"}
        A 7×7 convolution of stride 2 and a max pooling, or a 3×3 convolution for small pictures.
    shortcut : {"repeat", "conv"}
        How a shortcut widens after its average pooling: by repeating its channels, which needs no
        weights, or by a 1×1 convolution and a norm as published, its weights and inputs in 8 bits.
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
    >>> bi_real18(10, 16, width=0.0625, stem="cifar", seed=0).image_shape
    (3, 16, 16)
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    shape = (in_channels, image_size, image_size)
    return _resnet(_bi_real_block, kit, n_classes, shape, width, stem, shortcut, seed)


def react18(
    n_classes: int = 1000,
    image_size: int = 224,
    in_channels: int = 3,
    width: float = 1.0,
    *,
    binary: bool = True,
    stem: PictureStem = "imagenet",
    shortcut: Shortcut = "repeat",
    binarizer: str | Binarizer = "bi_real",
    surrogate_name: str = "approx_sign",
    pad_value: PadValue = -1,
    seed: int | None = None,
) -> Net:
    """Return ReActNet's ResNet-18: 65.9 % on ImageNet after distillation (arXiv:2003.03488).

    Parameters and errors are those of `bi_real18`.

    Examples
    --------
    >>> react18(10, 16, width=0.0625, stem="cifar", seed=0).image_shape
    (3, 16, 16)
    """
    kit: Kit = Bits(binarizer, surrogate_name, pad_value) if binary else Floats()
    shape = (in_channels, image_size, image_size)
    return _resnet(_react_block, kit, n_classes, shape, width, stem, shortcut, seed)


def _resnet(
    block: Block,
    kit: Kit,
    n_classes: int,
    shape: tuple[int, int, int],
    width: float,
    stem: PictureStem,
    shortcut: Shortcut,
    seed: int | None,
) -> Net:
    check_sizes(n_classes, *shape)
    check_names(stem, shortcut)
    smaller = 32 if stem == "imagenet" else 8
    check_divides(shape[1], smaller)
    base = scaled(STAGES[0][0], width)
    with seeded(seed):
        layers, n = _stem(kit, shape[0], base, stem), base
        for channels, first_stride in STAGES:
            for i in range(N_BLOCKS):
                n_out = (
                    base * channels // STAGES[0][0]
                )  # doubled from stage to stage, whatever the width
                layers.append(block(kit, n, n_out, 1 if i else first_stride, shortcut))
                n = n_out
        return Net(layers, averaged_head(kit, n, n_classes, shape[1] // smaller), shape)


def check_names(stem: str, shortcut: str = "repeat") -> None:
    """Raise `DataError` unless a net has a stem and a shortcut of these names."""
    for name, given, known in (
        ("stem", stem, ("imagenet", "cifar")),
        ("shortcut", shortcut, ("repeat", "conv")),
    ):
        if given not in known:
            raise DataError(f"{name} must be one of {known}, got {given!r}")


def check_divides(image_size: int, n: int) -> None:
    """Raise `DataError` unless a picture can be halved as often as a net does."""
    if image_size % n:
        raise DataError(
            f"image_size must be a multiple of {n}, so that every shortcut halves its map evenly, "
            f"got {image_size}"
        )


def _stem(kit: Kit, n_in: int, n_out: int, stem: PictureStem) -> list[nn.Module]:
    """Return convolution → norm, and a pooling where pictures are large."""
    if stem == "cifar":
        conv = kit.first(n_in, n_out, 3, padding=1)
        return [*conv, kit.norm(conv[-1])]
    conv = kit.first(n_in, n_out, 7, stride=2, padding=3)
    return [*conv, kit.norm(conv[-1]), nn.MaxPool2d(3, 2, 1)]


def way_around(
    kit: Kit, n_in: int, n_out: int, stride: int = 1, shortcut: Shortcut = "repeat"
) -> nn.Module:
    """Return what carries the real values past a convolution: nothing, a pooling, and a widening."""
    pool = [nn.AvgPool2d(stride)] if stride > 1 else []
    if n_in == n_out:
        return nn.Sequential(*pool)
    if shortcut == "repeat":
        return nn.Sequential(*pool, Repeat(n_out // n_in))
    return nn.Sequential(*pool, *kit.real_conv(n_in, n_out, 1))


def averaged_head(kit: Kit, n_in: int, n_classes: int, size: int) -> list[nn.Module]:
    """Return the mean of each channel over a map of this height and width, and the answers."""
    return [nn.AvgPool2d(size), nn.Flatten(), *kit.head(n_in, n_classes)]


def _bi_real_block(kit: Kit, n_in: int, n_out: int, stride: int, shortcut: Shortcut) -> nn.Module:
    conv = kit.conv(n_in, n_out, 3, stride, 1)
    branch = nn.Sequential(kit.act(), conv, kit.norm(conv))
    return Residual(branch, way_around(kit, n_in, n_out, stride, shortcut))


def _react_block(kit: Kit, n_in: int, n_out: int, stride: int, shortcut: Shortcut) -> nn.Module:
    conv = kit.conv(n_in, n_out, 3, stride, 1)
    branch = nn.Sequential(Shift(n_in), kit.act(), conv, kit.norm(conv))
    around = way_around(kit, n_in, n_out, stride, shortcut)
    return nn.Sequential(Residual(branch, around), RPReLU(n_out))
