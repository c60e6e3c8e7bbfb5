"""Training a classifier on arrays in one call: batches, loss, validation, and distillation if wanted."""

import os
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bimetal.errors import DataError, NotFiniteError
from bimetal.nn.config import Epoch, History, TrainConfig
from bimetal.nn.layers import kept_signs
from bimetal.nn.losses import distillation, squared_hinge
from bimetal.nn.modes import in_eval_mode
from bimetal.nn.optim import Stepper
from bimetal.nn.train import train

__all__ = ["LOSSES", "Augment", "accuracy", "fit_classifier", "predict"]

LossName = Literal["cross_entropy", "squared_hinge"]
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "squared_hinge": squared_hinge,
}
"""Losses of outputs (n_rows, n_classes) and classes (n_rows,), by name."""

Augment = Callable[[Tensor], Tensor]
Labelled = tuple[Tensor, Tensor]


def fit_classifier(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    loss: LossName = "cross_entropy",
    valid: Labelled | None = None,
    augment: Augment | None = None,
    teacher: nn.Module | None = None,
    temperature: float = 1.0,
    teacher_weight: float = 0.9,
    progress: Callable[[Epoch], None] | None = None,
    optimize: Callable[[nn.Module], Stepper] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> History:
    """Train a classifier in place and leave it in its best state.

    Parameters
    ----------
    model : torch.nn.Module
        Maps rows of `x`, on its device and in its parameters' type, to (n_rows, n_classes).
    x : torch.Tensor or numpy.ndarray
        (n_rows, ...), of any type of number; a batch at a time is turned into the model's.
    y : torch.Tensor or numpy.ndarray
        Whole numbers (n_rows,), classes from 0.
    config : TrainConfig
        How to train.
    loss : {"cross_entropy", "squared_hinge"}
        What is made small; see `LOSSES`.
    valid : tuple of torch.Tensor, optional
        Rows and classes whose error rate chooses the best epoch; without it the last one is kept.
    augment : callable, optional
        Float rows → float rows of the same shape, applied to each training batch.
    teacher : torch.nn.Module, optional
        Its answers to the same (augmented) rows are learned as well, see `distillation`.
    temperature, teacher_weight : float
        Of the distillation.
    progress, optimize, checkpoint, resume
        As of `train`.

    Raises
    ------
    DataError
        When rows hold NaN or infinity (`NotFiniteError`), rows and classes differ in number or there
        are none, a class is negative or has no output,
        the loss is unknown, or the model has no parameters.

    Examples
    --------
    >>> x = torch.randn(64, 2)
    >>> y = (x[:, 0] > 0).long()
    >>> net = nn.Linear(2, 2)
    >>> history = fit_classifier(net, x, y, TrainConfig(20, 16, learning_rate=0.1))
    >>> accuracy(net, x, y) > 0.8
    True
    """
    if loss not in LOSSES:
        raise DataError(f"loss must be one of {sorted(LOSSES)}, got {loss!r}")
    if not 0 <= teacher_weight <= 1:
        raise DataError(f"teacher_weight must be from 0 to 1, got {teacher_weight!r}")
    x, y = _checked(x, y)
    valid = _checked(*valid) if valid else None
    place = _place(model)
    y = y.to(place["device"])
    n_classes = 1 + max(int(labels.max()) for labels in (y, *(valid[1:] if valid else ())))

    def of_batch(rows: Tensor) -> Tensor:
        batch = x[rows].to(**place)
        batch = augment(batch) if augment else batch
        outputs, classes = model(batch), y[rows.to(y.device)]
        if outputs.ndim != 2 or outputs.shape[1] < n_classes:
            raise DataError(
                f"outputs of shape (n_rows, {n_classes}) or more expected, one for each class; the model "
                f"makes {tuple(outputs.shape)}"
            )
        value = LOSSES[loss](outputs, classes)
        if teacher is None:
            return value
        with torch.no_grad():
            wanted = teacher(batch)
        soft = distillation(outputs, wanted, temperature=temperature)
        return teacher_weight * soft + (1 - teacher_weight) * value

    if teacher is not None:
        teacher.eval()
    validate = (lambda: 1 - accuracy(model, *valid)) if valid else None
    return train(
        model, of_batch, len(y), config, validate, progress,
        optimize=optimize, checkpoint=checkpoint, resume=resume,
    )  # fmt: skip


def _place(model: nn.Module) -> dict[str, Any]:
    """Return the device and the type of number of what a model reads: those of its parameters."""
    floats = (p for p in model.parameters() if p.is_floating_point())
    first = next(floats, torch.empty(0, dtype=torch.float32))
    return {"device": first.device, "dtype": first.dtype}


def _checked(x: Any, y: Any) -> Labelled:
    """Return rows and classes as tensors, the classes as int64."""
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    if not len(x):
        raise DataError("no rows were given")
    if x.is_floating_point() and not torch.isfinite(x).all():
        rows = torch.nonzero(~torch.isfinite(x.flatten(1)).all(1)).flatten()
        raise NotFiniteError(
            f"{len(rows)} of {len(x)} rows hold NaN or infinity (the first is row {int(rows[0])}); a sign "
            "would make −1 or +1 of them without a word. Fill them, or leave these rows out"
        )
    if y.ndim != 1 or len(x) != len(y) or y.is_floating_point():
        raise DataError(
            f"one class, a whole number, for each of {len(x)} rows expected, got {y.dtype} of shape "
            f"{tuple(y.shape)}"
        )
    y = y.long()
    if int(y.min()) < 0:
        raise DataError(f"classes are counted from 0, got {int(y.min())}")
    return x, y


@torch.no_grad()
def predict(model: nn.Module, x: Tensor, batch_size: int = 1000) -> Tensor:
    """Return the outputs of a model in eval mode, (n_rows, ...), on the CPU.

    Parameters
    ----------
    model : torch.nn.Module
        Left in the mode that it was in.
    x : torch.Tensor or numpy.ndarray
        (n_rows, ...), of any type of number.
    batch_size : int, default 1000
        Rows at a time.
    """
    place, x = _place(model), torch.as_tensor(x)
    with in_eval_mode(model), kept_signs(model):
        parts = [model(part.to(**place)).cpu() for part in torch.split(x, batch_size)]
    return torch.cat(parts)


def accuracy(model: nn.Module, x: Tensor, y: Tensor, batch_size: int = 1000) -> float:
    """Return the share of rows whose largest output is that of their class."""
    x, y = _checked(x, y)
    return float((predict(model, x, batch_size).argmax(1) == y.cpu()).double().mean())
