"""A learner that follows gradients: a net, an optimizer, and what a method adds to either.

What methods differ in is plugged in: the body (`nets.row_net` or the published `nets.batch_net`), the
optimizer, a `Guard` that adds to the gradients (elastic weight consolidation, synaptic
intelligence), a memory of rows that are shown again. Without any of them it is the plain net that forgets.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bimetal.continual.learners.learner import Learner, Setting
from bimetal.continual.learners.nets import deployed, task_norms
from bimetal.continual.sequence import Task
from bimetal.errors import TrainingError
from bimetal.lower import lower_cnn
from bimetal.nn import latent_weights
from bimetal.nn.metaplastic import Metaplastic, attenuation
from bimetal.program import Program

__all__ = ["GradientLearner", "Guard", "tensor_bytes"]


class Guard:
    """What protects weights, if anything does: all of it does nothing here."""

    def before_step(self) -> None:
        """Look at the gradients of the loss, and add those of a penalty, before the optimizer's step."""

    def after_step(self) -> None:
        """Look at what the step has done."""

    def end_task(self, task: Task) -> None:
        """Be told that a task has ended."""
        del task

    def state_bytes(self) -> int:
        """Return the bytes that are kept."""
        return 0


class GradientLearner(Learner):
    """A net that learns by steps of gradient descent.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    net : torch.nn.Module
        Maps float (n_rows, n_in) to scores (n_rows, n_classes); with `TaskNorms` inside it is told tasks.
    make_optimizer : callable
        Net → optimizer.
    guard : Guard, optional
        What protects weights.
    resets_optimizer : bool, default False
        Whether the optimizer starts anew with each task (it must be told, then), as published.
    """

    def __init__(
        self,
        setting: Setting,
        net: nn.Sequential,
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        guard: Guard | None = None,
        *,
        resets_optimizer: bool = False,
    ) -> None:
        self.setting, self.net = setting, net
        self._make_optimizer, self.optimizer = make_optimizer, make_optimizer(net)
        self.guard = guard or Guard()
        self._resets_optimizer = resets_optimizer

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Learn from a few rows: one step of the optimizer.

        Raises
        ------
        TrainingError
            When the loss is not finite.
        """
        self.net.train()
        loss = cross_entropy(self.net(x.float()), y)
        if not bool(loss.isfinite()):
            raise TrainingError(
                f"the loss is {loss.item()}; lower the learning rate or the strength of the method"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.guard.before_step()
        self.optimizer.step()
        self.guard.after_step()

    def begin_task(self, number: int) -> None:
        """Take a norm for the task, if norms are kept for each, and a new optimizer, if published so."""
        for norms in task_norms(self.net):
            norms.begin(number)
        if number and (self._resets_optimizer or task_norms(self.net)):
            self.optimizer = self._make_optimizer(self.net)

    def end_task(self, task: Task) -> None:
        """Pass it on to the guard."""
        self.guard.end_task(task)

    @torch.no_grad()
    def scores(self, x: Tensor, task: int | None = None) -> Tensor:
        """Return the net's answers; with norms of each task, by those of `task`."""
        norms = task_norms(self.net)
        current = [norm.current for norm in norms]
        was_training = self.net.training
        self.net.eval()
        try:
            for norm in norms:
                norm.current = norm.current if task is None else min(task, len(norm.norms) - 1)
            parts = [self.net(part.float()) for part in torch.split(x, 2000)]
        finally:
            self.net.train(was_training)
            for norm, number in zip(norms, current, strict=True):
                norm.current = number
        return torch.cat(parts)

    def state_bytes(self) -> int:
        """Return bytes of parameters, buffers, the optimizer's state and the guard's."""
        own = sum(tensor_bytes(t) for t in (*self.net.parameters(), *self.net.buffers()))
        kept: Any = self.optimizer.state.values()
        moments = sum(tensor_bytes(v) for state in kept for v in state.values())
        return own + moments + self.guard.state_bytes()

    def programs(self) -> list[Program]:
        """Return the Program, or one for each task where norms are kept for each."""
        norms = task_norms(self.net)
        n = len(norms[0].norms) if norms else 1
        shape = (self.setting.n_in, 1, 1)
        return [lower_cnn(deployed(self.net, task).eval(), shape) for task in range(n)]

    def insight(self) -> dict[str, float]:
        """Return the share of weights whose shrinking steps are attenuated tenfold or more."""
        if not isinstance(self.optimizer, Metaplastic):
            return {}
        n_frozen = n = 0
        ids = {id(w) for w in latent_weights(self.net)}
        for group in self.optimizer.param_groups:
            for w in group["params"]:
                if id(w) in ids and group["m"]:
                    f = attenuation(w, group["m"], relative=group["relative"], kind=group["kind"])
                    n_frozen, n = n_frozen + int((f < 0.1).sum()), n + f.numel()
        return {"frozen": n_frozen / n} if n else {}


def tensor_bytes(value: Any) -> int:
    """Return the bytes of a tensor; of anything else 0."""
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
