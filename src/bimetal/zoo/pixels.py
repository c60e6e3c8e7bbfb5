"""Pixels of 0 to 255 made real numbers: the first layer of float twins."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bimetal.nn.conv import as_bytes
from bimetal.nn.scales import per_channel

__all__ = ["Pixels"]


class Pixels(nn.Module):
    """``(x / 255 − mean) / std``, a mean and a deviation for each channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, height, width) of 0 to 255 to the same shape."""
        return (as_bytes(x) / 255 - per_channel(self.mean, x)) / per_channel(self.std, x)
