"""The same training in several processes, started by torch's own launcher (``torchrun``).

Every process draws the same batches and works on its share of each; losses and gradients are summed
by how many rows they speak of, and batch norms see the statistics of the whole batch, on a CPU too.
So n processes do what one does, but for the order in which floats are added. With one process every
function here does nothing. Dropout is drawn differently in each process.

::

    # torchrun --nproc-per-node 2 script.py
    with launched():
        train(model, loss, n_rows, config)
"""

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from bimetal.errors import DataError
from bimetal.nn.activations import Bytes
from bimetal.nn.norms import ShiftBatchNorm
from bimetal.nn.step_norm import StepNorm

__all__ = [
    "launched",
    "n_processes",
    "of_first",
    "rank",
    "shard",
    "share_state",
    "sum_gradients",
    "synchronized_norms",
    "total",
]


class _Joined:
    """Whether `launched` has made the group of processes, and how many of its blocks are open."""

    is_ours = False
    n_blocks = 0


def _is_on() -> bool:
    is_open = _Joined.n_blocks > 0 or not _Joined.is_ours
    return is_open and dist.is_available() and dist.is_initialized()


def n_processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if _is_on() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if _is_on() else 0


@contextmanager
def launched() -> Iterator[None]:
    """Join the processes that ``torchrun`` started, within a ``with`` block; alone, do nothing.

    It may be used again and again; outside its blocks a process trains alone. NCCL is used where
    there are GPUs, one for each process of a machine, and gloo elsewhere.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    if not dist.is_initialized():
        _join()
    _Joined.n_blocks += 1
    try:
        yield
    finally:
        _Joined.n_blocks -= 1


def _join() -> None:
    """Make the group, once: made again, it would meet what the first one left behind, and hang."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if has_gpu else "gloo")
    _Joined.is_ours = True
    atexit.register(dist.destroy_process_group)


def shard(rows: Tensor) -> tuple[Tensor, float]:
    """Return this process's rows of a batch, and what share of the batch they are.

    A batch too small to leave two rows to each is worked on by all of them, each counting in part.
    """
    n = n_processes()
    if len(rows) < 2 * n:
        return rows, 1 / n if n > 1 else 1
    ours = rows[rank() :: n] if n > 1 else rows
    return ours, len(ours) / len(rows) if n > 1 else 1


def total(value: Tensor) -> float:
    """Return the sum of a scalar over all processes."""
    if n_processes() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return float(value)


def of_first(value: float) -> float:
    """Return the value of process 0, so that all decide alike."""
    if n_processes() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held)
    return held[0]


@torch.no_grad()
def share_state(model: nn.Module) -> None:
    """Give every process the parameters and buffers of process 0."""
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, 0)


@torch.no_grad()
def sum_gradients(model: nn.Module) -> None:
    """Sum the gradients of all processes, in one message for each type of number."""
    if n_processes() == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for p in model.parameters():
        if p.requires_grad:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            by_type.setdefault(p.grad.dtype, []).append(p.grad)
    for grads in by_type.values():
        flat = torch.cat([g.flatten() for g in grads])
        dist.all_reduce(flat)
        for g, summed in zip(grads, torch.split(flat, [g.numel() for g in grads]), strict=True):
            g.copy_(summed.view_as(g))


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient, as every process's loss reads it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad)
        return grad


Norm = nn.BatchNorm1d | nn.BatchNorm2d


@contextmanager
def synchronized_norms(model: nn.Module) -> Iterator[None]:
    """Let norms, and ranges of bytes, look at all processes within a ``with`` block.

    torch's own ``SyncBatchNorm`` runs on GPUs only, and is of another class than those that lowering
    knows; here the norms stay what they are.

    Raises
    ------
    DataError
        When a norm averages over all batches (``momentum=None``), which is not supported.
    """
    for name, norm in model.named_modules():
        if isinstance(norm, Norm) and norm.momentum is None:
            raise DataError(
                f"the norm '{name}' needs a number as its momentum in several processes"
            )
    changed = []
    for module in model.modules():
        for kind, own, over_all in SYNCHRONIZED:
            if isinstance(module, kind):
                setattr(module, own, MethodType(over_all, module))
                changed.append((module, own))
    try:
        yield
    finally:
        for module, own in changed:
            delattr(module, own)


def _channel_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of each channel over all processes, and of how many values each is."""
    count = torch.full((1,), float(x.numel() // x.shape[1]), device=x.device)
    axes = [0, *range(2, x.ndim)]
    summed: Tensor = _Sum.apply(torch.cat([x.sum(axes), count]))  # type: ignore[no-untyped-call]
    n = summed[-1].detach()
    return summed[:-1] / n, n


def _normalized(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, momentum: float, eps: float
) -> Tensor:
    """Return x less its mean over its deviation, and let the running statistics follow."""
    shape = [1, -1, *[1] * (x.ndim - 2)]
    mean, n = _channel_mean(x)
    centred = x - mean.view(shape)
    variance, _ = _channel_mean(centred.square())
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * n / (n - 1), momentum)
    return centred * torch.rsqrt(variance + eps).view(shape)


def _batch_norm(norm: Norm, x: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, x)
    out = _normalized(x, norm.running_mean, norm.running_var, norm.momentum or 0.0, norm.eps)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked += 1
    if norm.affine:
        shape = [1, -1, *[1] * (x.ndim - 2)]
        out = out * norm.weight.view(shape) + norm.bias.view(shape)
    return out


def _step_norm(norm: StepNorm, x: Tensor, step: int) -> Tensor:
    if not norm.training:
        return StepNorm.forward(norm, x, step)
    at = min(step, len(norm.running_mean) - 1)
    statistics = norm.running_mean[at], norm.running_var[at]
    return _normalized(x, *statistics, norm.momentum, norm.eps) * norm.weight + norm.bias


def _shift_mean(norm: ShiftBatchNorm, x: Tensor) -> Tensor:
    return _channel_mean(x)[0]


def _ends(layer: Bytes, rows: Tensor) -> tuple[Tensor, Tensor]:
    low, high = rows.amin(1), rows.amax(1)
    dist.all_reduce(low, dist.ReduceOp.MIN)
    dist.all_reduce(high, dist.ReduceOp.MAX)
    return low, high


SYNCHRONIZED: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Norm, "forward", _batch_norm),
    (StepNorm, "forward", _step_norm),
    (ShiftBatchNorm, "_mean", _shift_mean),
    (Bytes, "_ends", _ends),
)
"""What reads statistics of a batch, the method that does, and the one that reads them of all processes."""
