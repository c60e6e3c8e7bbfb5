"""Small nets and data for the tests of compression."""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn
from torch.nn import functional

from bimetal.compress import CompressData


class ClassStyle(nn.Module):
    """A net as people write it: a class, functions, a view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        x = functional.dropout(functional.relu(self.fc1(x)), 0.2, self.training)
        return self.fc2(x)


class Branching(nn.Module):
    """A shortcut around two convolutions, of which the first one's channels are inner."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 6, 3, padding=1)
        self.outer = nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = functional.relu(x + self.outer(functional.relu(self.inner(x))))
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def plain_cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10),
    )  # fmt: skip


def sequence_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(8, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(6, 8, 3, padding=2, dilation=2), nn.ReLU(), nn.AvgPool1d(2),
        nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 10),
    )  # fmt: skip


def mlp(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, n_out)
    )


def digits(n: int = 360) -> CompressData:
    """Real handwritten digits, 8×8, as bytes."""
    found = load_digits()
    pictures = (found.images[:n] * 15).astype(np.uint8)
    return CompressData.split(pictures, found.target[:n], name="digits")


def series(n: int = 360) -> CompressData:
    """The same digits as sequences of eight steps, each of eight real numbers."""
    found = load_digits()
    return CompressData.split(found.images[:n] / 8 - 1, found.target[:n], name="series")


def tumours() -> CompressData:
    """Real features of two classes, standardized."""
    found = load_breast_cancer()
    x = (found.data - found.data.mean(0)) / found.data.std(0)
    return CompressData.split(x, found.target, name="tumours")


@torch.no_grad()
def calibrated(model: nn.Module, x: Tensor) -> nn.Module:
    """Give norms the statistics of some rows; eval mode."""
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]:
        norm.momentum = 1.0
    model.train()(x)
    return model.eval()


@torch.no_grad()
def disturbed(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give norms statistics and numbers of their own, so that they are no identities; eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]:
        for tensor in (norm.running_mean, norm.bias):
            assert tensor is not None
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        for tensor in (norm.running_var, norm.weight):
            assert tensor is not None
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()
