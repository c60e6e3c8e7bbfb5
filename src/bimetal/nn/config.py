"""How to train, and what came of it: plain data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bimetal.errors import DataError
from bimetal.nn.insight import LayerInsight
from bimetal.nn.optim import OPTIMIZERS, SCHEDULES

__all__ = ["Epoch", "History", "Precision", "TrainConfig"]

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    max_epochs : int
        At least 1.
    batch_size : int
        Rows a step, at least 2; the last, smaller batch of an epoch is used if it has two rows or more.
        With several processes it is the sum over them.
    learning_rate : float
        The peak; `schedule` says what becomes of it.
    weight_decay : float
        Of real-valued parameters only.
    patience : int or None
        Epochs without a better validation loss before stopping; None never stops early.
    seed : int
        Of the batches (and of dropout).
    optimizer : str
        A name in `OPTIMIZERS`.
    schedule : str
        A name in `SCHEDULES`.
    precision : {"float32", "bfloat16", "float16"}
        Of the products in the forward pass (torch's autocast); parameters stay float32.
    watches_layers : bool
        Whether each epoch tells how every binary layer fares (`Epoch.layers`).

    Raises
    ------
    DataError
        When a number is out of its range, or a name is unknown.
    """

    max_epochs: int = 40
    batch_size: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    patience: int | None = 8
    seed: int = 0
    optimizer: str = "adamw"
    schedule: str = "cosine"
    precision: Precision = "float32"
    watches_layers: bool = False

    def __post_init__(self) -> None:
        least = {"max_epochs": 1, "batch_size": 2} | (
            {} if self.patience is None else {"patience": 1}
        )
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise DataError(f"{name} must be at least {low}, got {getattr(self, name)!r}")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} must be 0 or more, got {getattr(self, name)!r}")
        for name, known in (
            ("optimizer", sorted(OPTIMIZERS)),
            ("schedule", sorted(SCHEDULES)),
            ("precision", list(PRECISIONS)),
        ):
            if getattr(self, name) not in known:
                raise DataError(f"{name} must be one of {known}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Epoch:
    """What one epoch did.

    Attributes
    ----------
    number : int
        From 1.
    train_loss, valid_loss : float
        Means over rows; the second is None without a validation.
    flip_ratio : float
        Share of binary weights that changed sign.
    layers : mapping of str to LayerInsight
        How each binary layer fares, where `TrainConfig.watches_layers` asks for it.
    """

    number: int
    train_loss: float
    valid_loss: float | None
    flip_ratio: float
    layers: Mapping[str, LayerInsight] = field(default_factory=dict, repr=False)


@dataclass
class History:
    """A run: its epochs, the best of them, whether the user stopped it, and what looks wrong.

    Remarks are sentences about binary layers, where `TrainConfig.watches_layers` asks for them.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    was_interrupted: bool = False
    remarks: tuple[str, ...] = ()
