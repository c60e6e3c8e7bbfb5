"""Layouts made into nets: a float32 one, and a binary twin of the same sizes.

The float twin has torchvision's order and names of layers, so that its weights can be loaded. In
the binary twin each convolution is followed by a norm, a sign and, where there is one, the pooling,
so that bits are pooled (by OR) and the norm and the sign become one threshold a channel.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Logits,
    Sign,
    Thermometer,
)
from bimetal.nn.scales import norm_after
from bimetal.zoo.base import Net
from bimetal.zoo.layouts import IMAGENET_MEAN, IMAGENET_STD, Layout, Stage

__all__ = ["Last", "PictureNet", "Recipe", "Stem", "binary_net", "float_net"]

Stem = Literal["int8", "planes", "thermometer"]
Last = Literal["1bit", "8bit"]
N_COLOURS = 3


class PictureNet(Net):
    """A net on pictures: features, a pooling that changes nothing, a flattening, a classifier.

    Attributes
    ----------
    image_shape : tuple of int
        Channels, height and width of its pictures.
    """

    image_shape: tuple[int, int, int]

    def __init__(
        self, features: nn.Sequential, pooled: nn.Module, classifier: nn.Sequential, image_size: int
    ) -> None:
        between = {"avgpool": pooled, "flatten": nn.Flatten()}
        super().__init__(features, classifier, (N_COLOURS, image_size, image_size), between)


@dataclass(frozen=True)
class Recipe:
    """What a binary twin leaves open.

    Attributes
    ----------
    stem : {"int8", "planes", "thermometer"}
        How bytes become bits: an 8-bit first convolution, or binary ones on bit planes or on
        thermometer codes.
    last : {"1bit", "8bit"}
        Weights of the last layer.
    pad_value : {-1, 0, 1}
        What the edge of a binary convolution counts as.
    n_levels : int
        Of the thermometer, for each colour.
    surrogate_name : str
        Of all signs.

    Raises
    ------
    DataError
        When a name is unknown.
    """

    stem: Stem = "int8"
    last: Last = "1bit"
    pad_value: Literal[-1, 0, 1] = -1
    n_levels: int = 8
    surrogate_name: str = "clipped"

    def __post_init__(self) -> None:
        for name, known in (
            ("stem", ("int8", "planes", "thermometer")),
            ("last", ("1bit", "8bit")),
        ):
            if getattr(self, name) not in known:
                raise DataError(f"{name} must be one of {known}, got {getattr(self, name)!r}")


def float_net(layout: Layout, n_classes: int, image_size: int) -> PictureNet:
    """Return the float32 net of a layout."""
    features: list[nn.Module] = []
    n_in = N_COLOURS
    for s in layout.stages:
        features += [nn.Conv2d(n_in, s.n_out, s.kernel, s.stride, s.padding), nn.ReLU()]
        features += _pool(s)
        n_in = s.n_out
    size = layout.last_size(image_size)
    classifier: list[nn.Module] = []
    width = n_in * size * size
    for n in layout.dense:
        dense: list[nn.Module] = [nn.Linear(width, n), nn.ReLU()]
        drop = nn.Dropout()
        classifier += [drop, *dense] if layout.drops_first else [*dense, drop]
        width = n
    classifier.append(nn.Linear(width, n_classes))
    pooled = nn.AdaptiveAvgPool2d((size, size))
    return PictureNet(nn.Sequential(*features), pooled, nn.Sequential(*classifier), image_size)


def binary_net(layout: Layout, n_classes: int, image_size: int, recipe: Recipe) -> PictureNet:
    """Return the binary twin of a layout."""
    first, *others = layout.stages
    features = [*_stem(first, recipe), *_sign_and_pool(first, recipe)]
    n_in = first.n_out
    for s in others:
        conv = _conv(n_in, s, recipe)
        features += [conv, _norm(conv.latent_weight, s), *_sign_and_pool(s, recipe)]
        n_in = s.n_out
    size = layout.last_size(image_size)
    classifier = _classifier(layout, n_in * size * size, n_classes, recipe)
    return PictureNet(
        nn.Sequential(*features), nn.Identity(), nn.Sequential(*classifier), image_size
    )


def _stem(stage: Stage, recipe: Recipe) -> list[nn.Module]:
    """Return the layers from a picture of 0 to 255 up to the first norm."""
    if recipe.stem == "int8":
        sizes = (stage.kernel, stage.stride, stage.padding)
        byte_conv = ByteConv2d(N_COLOURS, stage.n_out, *sizes, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        # weights uniform in ±1 / sqrt(n) on normalized pixels: a third of the variance of a pixel
        return [byte_conv, norm_after(stage.n_out, 1 / 3, _n_pooled(stage))]
    planes = BitPlanes() if recipe.stem == "planes" else Thermometer(recipe.n_levels)
    conv = _conv(N_COLOURS * len(planes.levels), stage, recipe)
    return [planes, conv, _norm(conv.latent_weight, stage)]


def _conv(n_in: int, s: Stage, recipe: Recipe) -> BinaryConv2d:
    return BinaryConv2d(
        n_in, s.n_out, s.kernel, s.stride, s.padding, recipe.pad_value,
        binarizer=recipe.surrogate_name,
    )  # fmt: skip


def _norm(weight: Tensor, stage: Stage) -> nn.Module:
    return norm_after(len(weight), weight[0].numel(), _n_pooled(stage))


def _n_pooled(stage: Stage) -> int:
    return 1 if stage.pool is None else stage.pool[0] ** 2


def _sign_and_pool(stage: Stage, recipe: Recipe) -> list[nn.Module]:
    return [Sign(recipe.surrogate_name), *_pool(stage)]


def _pool(stage: Stage) -> list[nn.Module]:
    return [] if stage.pool is None else [nn.MaxPool2d(*stage.pool)]


def _classifier(layout: Layout, n_in: int, n_classes: int, recipe: Recipe) -> list[nn.Module]:
    layers: list[nn.Module] = []
    name = recipe.surrogate_name
    for n in layout.dense:
        layers += [BinaryLinear(n_in, n, binarizer=name), norm_after(n, n_in, is_map=False)]
        layers.append(Sign(name))
        n_in = n
    if recipe.last == "8bit":
        return [*layers, ByteLinear(n_in, n_classes)]
    last = BinaryLinear(n_in, n_classes, binarizer=name)
    return [*layers, last, Logits(n_classes, scale=n_in**-0.5)]
