"""A net whose every hidden neuron is one look-up table of an FPGA: few inputs, learned connections.

In the manner of LogicNets (Umuroglu et al. 2020, arXiv:2004.03021) and DWN (Bacellar et al. 2024,
arXiv:2410.11112): thermometer bits → layers of tables → votes for each class. See `bimetal.nn.LutLinear`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from bimetal.nn import BinaryLinear, LutLinear, TensorNorm, Thermometer
from bimetal.nn.activations import Pixels
from bimetal.zoo.base import Net, check_sizes, seeded
from bimetal.zoo.kits import Floats

__all__ = ["lut_mlp"]


def lut_mlp(
    hidden: Sequence[int] = (2000, 1000),
    n_classes: int = 10,
    image_size: int = 28,
    in_channels: int = 1,
    *,
    votes: int = 50,
    fan_in: int = 6,
    degree: int | None = None,
    connections: Literal["learned", "random"] = "learned",
    binary: bool = True,
    n_levels: int = 3,
    surrogate_name: str = "clipped",
    seed: int | None = None,
) -> Net:
    """Return an MLP of look-up tables, whose classes count votes.

    Thermometer → [LUT layer] × (n + 1) → binary layer, each class on votes of its own → `TensorNorm`.

    Parameters
    ----------
    hidden : sequence of int
        Neurons of each hidden layer.
    n_classes, image_size, in_channels : int
        Answers, height and width of the pictures, and their channels.
    votes : int, default 50
        Neurons of the last LUT layer that vote for or against one class.
    fan_in, degree, connections, surrogate_name
        Of the neurons, see `bimetal.nn.LutLinear`.
    binary : bool, default True
        Which of the twins; the float one has the same sizes but is dense, with ReLU, and reads pixels.
    n_levels : int, default 3
        Thermometer bits a pixel.
    seed : int, optional
        Of the weights; by default torch's own generator goes on.

    Raises
    ------
    DataError
        When an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> net = lut_mlp(hidden=(60,), votes=4, seed=0)
    >>> net.eval()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    shape = (in_channels, image_size, image_size)
    check_sizes(*shape, *hidden, n_classes, votes)
    n_last = n_classes * votes
    with seeded(seed):
        start, n_in = _start(binary, shape, n_levels)
        layers: list[nn.Module] = []
        for n, n_next in pairwise((n_in, *hidden, n_last)):
            if binary:
                layers.append(
                    LutLinear(n, n_next, fan_in, degree, connections, "batch", surrogate_name)
                )
            else:
                layers += [linear := Floats().linear(n, n_next), Floats().norm(linear), nn.ReLU()]
        last = (
            BinaryLinear(n_last, n_classes, n_classes) if binary else nn.Linear(n_last, n_classes)
        )
        return Net([*start, *layers], [last, _norm(n_classes, votes)], shape)


def _start(binary: bool, shape: tuple[int, int, int], n_levels: int) -> tuple[list[nn.Module], int]:
    n_pixels = shape[0] * shape[1] * shape[2]
    if binary:
        return [Thermometer(n_levels), nn.Flatten()], n_pixels * n_levels
    return [Pixels(0.5, 0.5), nn.Flatten()], n_pixels


def _norm(n_classes: int, votes: int) -> TensorNorm:
    """Return the norm with the variance of sums of random votes."""
    norm = TensorNorm(n_classes)
    norm.running_var.fill_(votes)
    return norm
