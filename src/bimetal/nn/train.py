"""One plain training loop: seeds, early stopping, history, progress, and Ctrl-C that keeps the best.

The loop knows nothing of finance or of estimators: it draws batches, steps, clips latent weights,
asks a validation function how good the net is, and remembers the best state.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bimetal.errors import DataError, TrainingError
from bimetal.nn.layers import clip_latent, latent_weights
from bimetal.nn.optim import adamw

__all__ = ["Epoch", "History", "TrainConfig", "train"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes
    ----------
    max_epochs : int
        At least 1.
    batch_size : int
        Rows a step, at least 2; the last, smaller batch of an epoch is used if it has two rows or more.
    learning_rate : float
        Peak of a cosine that ends at 2 % of it.
    weight_decay : float
        Of real-valued parameters only.
    patience : int or None
        Epochs without a better validation loss before stopping; None never stops early.
    seed : int
        Of the batches (and of dropout).

    Raises
    ------
    DataError
        When a number is out of its range.
    """

    max_epochs: int = 40
    batch_size: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    patience: int | None = 8
    seed: int = 0

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


@dataclass(frozen=True)
class Epoch:
    """What one epoch did: losses, and the share of binary weights that changed sign."""

    number: int
    train_loss: float
    valid_loss: float | None
    flip_ratio: float


@dataclass
class History:
    """Epochs of a run, the best of them, and whether the user stopped it."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    was_interrupted: bool = False


def train(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    n_rows: int,
    config: TrainConfig,
    validate: Callable[[], float] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> History:
    """Train a model in place and leave it in its best state.

    Parameters
    ----------
    model : torch.nn.Module
        Any model; latent weights in it are clipped to ±1 after each step.
    loss : callable
        Row numbers of a batch, int64 of shape (n_batch,) → scalar loss.
    n_rows : int
        Training rows, at least 2.
    config : TrainConfig
        How to train.
    validate : callable, optional
        Called after each epoch with the model in eval mode; returns the validation loss. Without
        it the last state is kept and nothing stops early.
    progress : callable, optional
        Called with each finished `Epoch`.

    Returns
    -------
    History
        Its `was_interrupted` says whether Ctrl-C ended the run; the best state so far is kept.

    Raises
    ------
    DataError
        When there are fewer than 2 rows.
    TrainingError
        When the loss is not finite; the best state so far is put back first.
    """
    if n_rows < 2:
        raise DataError(f"training needs at least 2 rows, got {n_rows}")
    generator = torch.Generator().manual_seed(config.seed)
    steps = max(1, math.ceil(n_rows / config.batch_size)) * config.max_epochs
    optimizer = adamw(model, config.learning_rate, config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _cosine(s / steps))
    history, best, best_loss = History(), copy.deepcopy(model.state_dict()), math.inf
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            for number in range(1, config.max_epochs + 1):
                signs = _signs(model)
                mean = _one_epoch(
                    model, loss, _batches(n_rows, config.batch_size, generator), optimizer, schedule
                )
                valid = _validated(model, validate)
                epoch = Epoch(number, mean, valid, _flip_ratio(signs, _signs(model)))
                history.epochs.append(epoch)
                if valid is None or valid < best_loss:
                    best_loss = math.inf if valid is None else valid
                    best, history.best_epoch = copy.deepcopy(model.state_dict()), number
                if progress:
                    progress(epoch)
                if config.patience is not None and number - history.best_epoch >= config.patience:
                    break
    except KeyboardInterrupt:
        history.was_interrupted = True
    finally:
        model.load_state_dict(best)
        model.eval()
    return history


def _cosine(done: float) -> float:
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _batches(n_rows: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(n_rows, generator=generator)
    for start in range(0, n_rows, size):
        rows = order[start : start + size]
        if len(rows) > 1:  # a batch norm needs two rows to have a variance
            yield rows


def _one_epoch(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    batches: Iterator[Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    model.train()
    total, n = 0.0, 0
    for rows in batches:
        value = loss(rows)
        if not torch.isfinite(value):
            raise TrainingError(
                f"the loss became {value.item()} after {n} rows of an epoch; "
                "lower learning_rate, or look for huge targets or weights"
            )
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        clip_latent(model)
        total, n = total + value.item() * len(rows), n + len(rows)
    return total / max(n, 1)


@torch.no_grad()
def _validated(model: nn.Module, validate: Callable[[], float] | None) -> float | None:
    if validate is None:
        return None
    model.eval()
    return validate()


def _signs(model: nn.Module) -> list[Tensor]:
    return [(w.detach() >= 0).clone() for w in latent_weights(model)]


def _flip_ratio(before: list[Tensor], after: list[Tensor]) -> float:
    flips = sum(int((a != b).sum()) for a, b in zip(before, after, strict=True))
    return flips / max(1, sum(b.numel() for b in before))
