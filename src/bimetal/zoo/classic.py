"""AlexNet and VGG-16, in torchvision's layouts, so that their float weights can be loaded."""

from dataclasses import fields
from typing import Any

from bimetal.errors import DataError
from bimetal.zoo.base import seeded
from bimetal.zoo.layouts import ALEXNET, VGG16, Layout
from bimetal.zoo.nets import PictureNet, Recipe, binary_net, float_net

__all__ = ["alexnet", "vgg16"]


def alexnet(
    binary: bool = False,
    n_classes: int = 1000,
    image_size: int = 224,
    width: float = 1.0,
    seed: int | None = None,
    **recipe: Any,
) -> PictureNet:
    """Return AlexNet with random weights: 61,100,840 float parameters, or as many bits.

    The float net has torchvision's layers and names, and reads normalized pictures. The binary one
    reads pictures of 0 to 255 and normalizes them in its first layer; its statistics of norms fit
    random bits, so that its neurons are alive before any training (see also `calibrate`).

    Parameters
    ----------
    binary : bool, default False
        Which of the twins.
    n_classes : int, default 1000
        Outputs.
    image_size : int, default 224
        Height and width of the pictures, at least 63.
    width : float, default 1.0
        Factor of all channels and neurons, for small nets.
    seed : int, optional
        Of the weights; by default torch's own generator goes on.
    **recipe
        Of the binary twin, see `Recipe`: `stem`, `last`, `pad_value`, `n_levels`, `surrogate_name`.

    Raises
    ------
    DataError
        When an argument is out of its range, or the float net is given a part of the recipe.

    Examples
    --------
    >>> import torch
    >>> net = alexnet(binary=True, image_size=63, width=0.0625, last="8bit", seed=0)
    >>> net.eval()(torch.zeros(1, 3, 63, 63)).shape
    torch.Size([1, 1000])
    """
    return _build(ALEXNET, binary, n_classes, image_size, width, seed, recipe)


def vgg16(
    binary: bool = False,
    n_classes: int = 1000,
    image_size: int = 224,
    width: float = 1.0,
    seed: int | None = None,
    **recipe: Any,
) -> PictureNet:
    """Return VGG-16 with random weights: 138,357,544 float parameters, or as many bits.

    Parameters and errors are those of `alexnet`; `image_size` is at least 32.

    Examples
    --------
    >>> import torch
    >>> net = vgg16(image_size=32, width=0.0625)
    >>> net.eval()(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 1000])
    """
    return _build(VGG16, binary, n_classes, image_size, width, seed, recipe)


def _build(
    layout: Layout,
    binary: bool,
    n_classes: int,
    image_size: int,
    width: float,
    seed: int | None,
    recipe: dict[str, Any],
) -> PictureNet:
    if n_classes < 1:
        raise DataError(f"n_classes must be at least 1, got {n_classes}")
    sized = layout.scaled(width)
    sized.last_size(image_size)
    given = _recipe(layout, binary, recipe)
    with seeded(seed):
        if given is None:
            return float_net(sized, n_classes, image_size)
        return binary_net(sized, n_classes, image_size, given)


def _recipe(layout: Layout, binary: bool, given: dict[str, Any]) -> Recipe | None:
    known = {f.name for f in fields(Recipe)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise DataError(f"{layout.name} has no option {unknown}; it has {sorted(known)}")
    if given and not binary:
        raise DataError(f"{sorted(given)} are options of the binary net: pass binary=True")
    return Recipe(**given) if binary else None
