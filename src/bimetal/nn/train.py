"""One plain training loop: seeds, early stopping, history, progress, and Ctrl-C that keeps the best.

The loop knows nothing of finance or of estimators: it draws batches, steps, clips latent weights,
asks a validation function how good the net is, and remembers the best state. It runs alike in one
process and in several (`bimetal.nn.distributed`), and goes on bit for bit from a checkpoint.
"""

import copy
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.errors import CheckpointError, DataError, TrainingError
from bimetal.nn import checkpoint as checkpoints
from bimetal.nn import distributed
from bimetal.nn.config import Epoch, History, TrainConfig
from bimetal.nn.diagnosis import first_not_finite, spoiled
from bimetal.nn.insight import Watch
from bimetal.nn.layers import binary_layers, clip_latent, kept_signs, set_progress
from bimetal.nn.optim import Split, Stepper, optimizer, schedule

__all__ = ["train"]

Loss = Callable[[Tensor], Tensor]


def train(
    model: nn.Module,
    loss: Loss,
    n_rows: int,
    config: TrainConfig,
    validate: Callable[[], float] | None = None,
    progress: Callable[[Epoch], None] | None = None,
    *,
    optimize: Callable[[nn.Module], Stepper] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> History:
    """Train a model in place and leave it in its best state.

    Parameters
    ----------
    model : torch.nn.Module
        Any model; latent weights in it are clipped after each step, as their binarizers say.
    loss : callable
        Row numbers of a batch, int64 of shape (n_batch,) → scalar loss, a mean over them.
    n_rows : int
        Training rows, at least 2.
    config : TrainConfig
        How to train.
    validate : callable, optional
        Called after each epoch with the model in eval mode; returns the validation loss. Without
        it the last state is kept and nothing stops early.
    progress : callable, optional
        Called with each finished `Epoch` (see `bimetal.nn.loggers`).
    optimize : callable, optional
        Makes an optimizer for the model, in place of ``config.optimizer``.
    checkpoint : path-like, optional
        A file that is written anew, whole or not at all, after each epoch.
    resume : bool, default False
        Go on from that file if it is there: the model comes out as if nothing had happened between.

    Returns
    -------
    History
        Its `was_interrupted` says whether Ctrl-C ended the run; the best state so far is kept.

    Raises
    ------
    DataError
        When there are fewer than 2 rows, or the model has no parameters.
    CheckpointError
        When the checkpoint belongs to another model, config, optimizer or number of rows, or is
        damaged.
    TrainingError
        When the loss is not finite; the layer where it began is named, and the best state so far is
        put back first. When no validation loss was finite.
    """
    if n_rows < 2:
        raise DataError(f"training needs at least 2 rows, got {n_rows}")
    run = _Run(model, loss, n_rows, config, validate, progress, optimize)
    path = None if checkpoint is None else Path(checkpoint)
    with ExitStack() as stack:
        if distributed.n_processes() > 1:
            distributed.share_state(model)
            stack.enter_context(distributed.synchronized_norms(model))
        gpus = range(torch.cuda.device_count())
        stack.enter_context(torch.random.fork_rng(devices=gpus))
        torch.manual_seed(config.seed + distributed.rank())
        if path is not None and resume and path.exists():
            run.restore(path, checkpoints.read(path, model, config))
        run.go(path)
    return run.history


class _Run:
    """A training under way: all that changes from epoch to epoch."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        n_rows: int,
        config: TrainConfig,
        validate: Callable[[], float] | None,
        progress: Callable[[Epoch], None] | None,
        optimize: Callable[[nn.Module], Stepper] | None,
    ) -> None:
        self.model, self.loss, self.n_rows, self.config = model, loss, n_rows, config
        self.validate, self.progress = validate, progress
        self.optimizer = (
            optimize(model)
            if optimize
            else optimizer(config.optimizer, model, config.learning_rate, config.weight_decay)
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.schedule = schedule(config.schedule)
        self.n_steps = max(1, math.ceil(n_rows / config.batch_size)) * config.max_epochs
        self.step = 0
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history, self.best_loss = History(), math.inf
        self.best = copy.deepcopy(model.state_dict())
        self.watch = Watch(model) if config.watches_layers else None
        kind = next(model.parameters()).device.type
        self.autocast = torch.autocast(
            kind, getattr(torch, config.precision), enabled=config.precision != "float32"
        )
        self.scaler = torch.amp.GradScaler(kind, enabled=config.precision == "float16")

    def go(self, path: Path | None) -> None:
        """Run the epochs that are left; whatever ends them, the model is left in its best state."""
        first = len(self.history.epochs) + 1
        try:
            for number in range(first, self.config.max_epochs + 1):
                if self._is_out_of_patience(number - 1):
                    break
                self._epoch(number)
                if path is not None and distributed.rank() == 0:
                    checkpoints.write(path, self.model, self.config, self.state())
            self._require_validation()
        except KeyboardInterrupt:
            self.history.was_interrupted = True
        finally:
            self.model.load_state_dict(self.best)
            self.model.eval()

    def _require_validation(self) -> None:
        """Refuse to end as if nothing had been learned: no epoch can be the best by NaN alone."""
        if self.validate is not None and self.history.best_epoch == 0:
            raise TrainingError(
                f"the validation loss was not finite in any of {len(self.history.epochs)} epochs (the last: "
                f"{self.history.epochs[-1].valid_loss}), so none of them is the best; the state before "
                "the training was put back. Is there a validation row, and is each of them finite?"
            )

    def _is_out_of_patience(self, number: int) -> bool:
        patience = self.config.patience
        return patience is not None and number - self.history.best_epoch >= patience

    def _epoch(self, number: int) -> None:
        signs = _signs(self.model)
        if self.watch:
            self.watch.begin()
        mean = self._batches_done()
        if name := spoiled(self.model):
            raise TrainingError(
                f"'{name}' was not finite after epoch {number}, though the loss was: a sign makes ±1 of "
                "NaN as well. Lower learning_rate, or look for inputs that are not finite; the best "
                "state so far was put back"
            )
        set_progress(self.model, number / self.config.max_epochs)
        valid = self._validated()
        layers = self.watch.end() if self.watch else {}
        self.history.remarks = self.watch.remarks() if self.watch else ()
        epoch = Epoch(number, mean, valid, _flip_ratio(signs, _signs(self.model)), layers)
        self.history.epochs.append(epoch)
        if valid is None or valid < self.best_loss:
            self.best_loss = math.inf if valid is None else valid
            self.best, self.history.best_epoch = copy.deepcopy(self.model.state_dict()), number
        if self.progress and distributed.rank() == 0:
            self.progress(epoch)

    def _batches_done(self) -> float:
        self.model.train()
        total, n = 0.0, 0
        for rows in self._batches():
            total, n = total + self._stepped(rows, n) * len(rows), n + len(rows)
        return total / max(n, 1)

    def _batches(self) -> Iterator[Tensor]:
        order = torch.randperm(self.n_rows, generator=self.generator)
        for start in range(0, self.n_rows, self.config.batch_size):
            rows = order[start : start + self.config.batch_size]
            if len(rows) > 1:  # a batch norm needs two rows to have a variance
                yield rows

    def _stepped(self, rows: Tensor, n_before: int) -> float:
        """Do one step, and return its loss."""
        self._set_rate()
        ours, share = distributed.shard(rows)
        with self.autocast:
            value = self.loss(ours)
        mean = distributed.total(value.detach() * share)
        if not math.isfinite(mean):
            self._not_finite(mean, ours, n_before)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value * share if share != 1 else value).backward()  # type: ignore[no-untyped-call]
        distributed.sum_gradients(self.model)
        self._step_scaled()
        clip_latent(self.model)
        return mean

    def _step_scaled(self) -> None:
        if not self.scaler.is_enabled():
            self.optimizer.step()
            return
        parts = (
            self.optimizer.optimizers if isinstance(self.optimizer, Split) else (self.optimizer,)
        )
        for one in parts:
            self.scaler.step(one)
        self.scaler.update()

    def _set_rate(self) -> None:
        factor = self.schedule(self.step / self.n_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.step += 1

    def _not_finite(self, value: float, rows: Tensor, n_before: int) -> None:
        where = first_not_finite(self.model, lambda: self.loss(rows))
        raise TrainingError(
            f"the loss became {value} after {n_before} rows of epoch "
            f"{len(self.history.epochs) + 1}; {where}. Lower learning_rate, or look for huge targets "
            "or weights; the best state so far was put back"
        )

    @torch.no_grad()
    def _validated(self) -> float | None:
        if self.validate is None:
            return None
        self.model.eval()
        with kept_signs(self.model):
            value = self.validate()
        return distributed.of_first(value)

    def state(self) -> dict[str, Any]:
        """Return all that a later process needs to go on."""
        return {
            "model": self.model.state_dict(),
            "best": self.best,
            "best_loss": self.best_loss,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "n_rows": self.n_rows,
            "batches": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "random_of_gpus": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "epochs": [checkpoints.as_plain(epoch) for epoch in self.history.epochs],
            "best_epoch": self.history.best_epoch,
        }

    def restore(self, path: Path, state: dict[str, Any]) -> None:
        """Go on where another process was."""
        if (n := state.get("n_rows", self.n_rows)) != self.n_rows:
            raise CheckpointError(
                f"'{path}' belongs to a training on {n} rows, and here are {self.n_rows}. Go on with what it "
                "was begun with, or name another file"
            )
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"'{path}' has the state of another optimizer than {type(self.optimizer).__name__} ({error}). "
                "Go on with what it was begun with, or name another file"
            ) from None
        self.model.load_state_dict(state["model"])
        self.scaler.load_state_dict(state["scaler"])
        self.best, self.best_loss = state["best"], state["best_loss"]
        self.step = state["step"]
        self.generator.set_state(state["batches"])
        torch.set_rng_state(state["random"])
        if state["random_of_gpus"]:
            torch.cuda.set_rng_state_all(state["random_of_gpus"])
        self.history.epochs = [checkpoints.as_epoch(epoch) for epoch in state["epochs"]]
        self.history.best_epoch = state["best_epoch"]
        set_progress(self.model, len(self.history.epochs) / self.config.max_epochs)


def _signs(model: nn.Module) -> list[Tensor]:
    return [layer.is_plus() for layer in binary_layers(model).values()]


def _flip_ratio(before: list[Tensor], after: list[Tensor]) -> float:
    flips = sum(int((a != b).sum()) for a, b in zip(before, after, strict=True))
    return flips / max(1, sum(b.numel() for b in before))
