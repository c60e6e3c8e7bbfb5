"""What every method of compression is given: the user's model, the data, and one way to train.

The training is the same for all of them (optimizer, batches, schedule, the choice of the best epoch by
validation rows), so that the table compares methods and not luck with settings.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bimetal.compress.data import CompressData, Part, Reads
from bimetal.errors import DataError
from bimetal.nn import TrainConfig, kept_signs, train
from bimetal.nn.losses import distillation

__all__ = ["CompressConfig", "Lesson", "answers"]

N_AT_ONCE = 1024
TEMPERATURE, TEACHER_WEIGHT = 1.0, 0.7  # ReActNet's temperature; 2 and 4 did worse on MNIST
Level = TypeVar("Level")


@dataclass(frozen=True)
class CompressConfig:
    """How to compress.

    Attributes
    ----------
    epochs : int
        Of a model trained from the start: students, compact nets, binary nets, and the baseline if
        it comes without weights. At least 1.
    batch_size : int
        Rows a step, at least 2.
    learning_rate : float
        Of a model trained from the start, above 0. Fine-tuning goes at a quarter of it, and binary
        nets at twice: their latent weights have to cross zero before anything changes.
    seed : int
        Of batches and of new weights.
    is_quick : bool
        One setting of each method in place of several.

    Raises
    ------
    DataError
        When a number is out of its range.
    """

    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 5e-3
    seed: int = 0
    is_quick: bool = False

    def __post_init__(self) -> None:
        self.training(self.epochs, self.learning_rate)
        if not self.learning_rate > 0:
            raise DataError(f"learning_rate must be above 0, got {self.learning_rate!r}")

    @property
    def fine_tune_epochs(self) -> int:
        """Epochs of a model that begins with the user's weights: a third."""
        return math.ceil(self.epochs / 3)

    def training(self, epochs: int, learning_rate: float) -> TrainConfig:
        """Return what `bimetal.nn.train` is told."""
        return TrainConfig(
            max_epochs=epochs, batch_size=self.batch_size, learning_rate=learning_rate,
            weight_decay=1e-4, patience=None, seed=self.seed,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Lesson:
    """The task of a method.

    Attributes
    ----------
    model : torch.nn.Module
        The baseline in eval mode; methods work on copies.
    data : CompressData
        The rows.
    config : CompressConfig
        How to train.
    say : callable
        Takes a line on what is being done.
    """

    model: nn.Module
    data: CompressData
    config: CompressConfig = field(default_factory=CompressConfig)
    say: Callable[[str], None] = lambda text: None

    def copy(self) -> nn.Module:
        """Return a copy of the baseline."""
        return copy.deepcopy(self.model)

    def levels(self, given: Sequence[Level]) -> Sequence[Level]:
        """Return the settings to try: all, or the middle one where it is to be quick."""
        middle = len(given) // 2
        return given[middle : middle + 1] if self.config.is_quick else given

    @cached_property
    def teaching(self) -> Tensor:
        """The baseline's logits on the training rows."""
        return answers(self.model, self.data, self.data.train.x)

    def tune(self, model: nn.Module, name: str) -> float:
        """Fine-tune a model that began with the user's weights; return the seconds it took."""
        rate = self.config.learning_rate / 4
        return self.fit(model, name, self.config.fine_tune_epochs, learning_rate=rate)

    def fit(
        self,
        model: nn.Module,
        name: str,
        epochs: int | None = None,
        *,
        learning_rate: float | None = None,
        is_distilled: bool = False,
        reads: Reads = "floats",
    ) -> float:
        """Train a model in place; return the seconds it took.

        Parameters
        ----------
        model : torch.nn.Module
            Left in eval mode, in the state that did best on the validation rows: by their error rate
            and, where that is the same, by their loss.
        name : str
            What progress calls it.
        epochs, learning_rate : int and float, optional
            By default those of the config.
        is_distilled : bool, default False
            Whether it learns from the baseline's logits as well as from labels.
        reads : {"floats", "bytes"}
            How the model reads rows.

        Raises
        ------
        KeyboardInterrupt
            When the user stopped it.
        TrainingError
            When the loss is not finite.
        """
        epochs = epochs or self.config.epochs
        config = self.config.training(epochs, learning_rate or self.config.learning_rate)
        data, (x, y) = self.data, self.data.train
        teaching = self.teaching if is_distilled else None

        def loss(rows: Tensor) -> Tensor:
            logits: Tensor = model(data.read(x[rows], reads))
            if teaching is None:
                return functional.cross_entropy(logits, y[rows])
            return distillation(logits, teaching[rows], y[rows], TEMPERATURE, TEACHER_WEIGHT)

        start = time.perf_counter()
        history = train(
            model, loss, len(y), config, lambda: _failing(model, data, data.valid, reads),
            lambda epoch: self.say(f"{name}: epoch {epoch.number} of {epochs}"),
        )  # fmt: skip
        if history.was_interrupted:
            raise KeyboardInterrupt
        return time.perf_counter() - start


@torch.no_grad()
def answers(model: nn.Module, data: CompressData, x: Tensor, reads: Reads = "floats") -> Tensor:
    """Return the logits (n_rows, n_classes) of a model in eval mode."""
    model.eval()
    with kept_signs(model):
        return torch.cat([model(data.read(part, reads)) for part in torch.split(x, N_AT_ONCE)])


def _failing(model: nn.Module, data: CompressData, part: Part, reads: Reads) -> float:
    logits = answers(model, data, part.x, reads)
    wrong = float((logits.argmax(1) != part.y).double().mean())
    return wrong + 1e-3 * min(100.0, float(functional.cross_entropy(logits, part.y)))
