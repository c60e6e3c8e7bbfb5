"""The members part: small binary nets side by side, trained in torch, distilled when a teacher is there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bimetal.bits import n_bytes as packed_bytes
from bimetal.estimators.parts import Part
from bimetal.estimators.tasks import Floats, Task, mean_loss
from bimetal.lower import lower_mlp
from bimetal.nn import BinaryMLP, Epoch, History, TrainConfig, train

__all__ = ["MembersConfig", "fit_members", "member_scores", "members_bytes", "members_part"]


@dataclass(frozen=True)
class MembersConfig:
    """Shape and training of the members; see `bimetal.nn.BinaryMLP` and `bimetal.nn.TrainConfig`."""

    hidden: Sequence[int]
    n_members: int
    surrogate: str
    dropout: float
    max_epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    seed: int


def fit_members(
    bits: NDArray[np.bool_],
    targets: Floats,
    weight: Floats,
    task: Task,
    config: MembersConfig,
    valid: tuple[NDArray[np.bool_], Floats, Floats] | None = None,
    n_epochs: int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[BinaryMLP, History]:
    """Train members on bits and (soft) targets; with `valid` (bits, targets, weight) stop early."""
    generator = torch.Generator().manual_seed(config.seed)
    net = BinaryMLP(
        bits.shape[1],
        task.n_outputs,
        config.hidden,
        config.n_members,
        config.surrogate,
        config.dropout,
        generator,
    )
    with torch.no_grad():
        net.linear.bias.copy_(torch.from_numpy(_prior(task, targets, weight)).float())
    x, y = _as_signs(bits), torch.from_numpy(np.asarray(targets, np.float32))
    w = torch.from_numpy(np.asarray(weight / weight.mean(), np.float32))

    def loss(rows: Tensor) -> Tensor:
        return (_row_loss(task, net(x[rows]), y[rows]) * w[rows]).mean()

    def validate() -> float:
        assert valid is not None
        return mean_loss(task, member_scores(net, valid[0]), valid[1], valid[2])

    settings = TrainConfig(
        max_epochs=n_epochs or config.max_epochs,
        batch_size=min(config.batch_size, max(16, len(bits) // 8)),
        learning_rate=config.learning_rate,
        patience=config.patience if valid is not None else None,
        seed=config.seed,
    )
    return net, train(
        net, loss, len(bits), settings, validate if valid is not None else None, progress
    )


def _prior(task: Task, targets: Floats, weight: Floats) -> Floats:
    mean = np.average(targets, axis=0, weights=weight)
    if task.kind == "regression":
        return mean
    mean = np.clip(mean, 1e-4, 1 - 1e-4)
    return np.log(mean) - (np.log1p(-mean) if task.kind == "binary" else 0.0)


def _row_loss(task: Task, scores: Tensor, targets: Tensor) -> Tensor:
    """Loss of each row, the mean over members of their own losses: (n_rows, n_members, C) → (n_rows,)."""
    wide = targets[:, None].expand_as(scores)
    match task.kind:
        case "binary":
            each = functional.binary_cross_entropy_with_logits(scores, wide, reduction="none")
        case "multiclass":
            each = -wide * functional.log_softmax(scores, dim=2)
        case "regression":
            each = 0.5 * (scores - wide) ** 2
    return each.sum(dim=2).mean(dim=1)


@torch.no_grad()
def member_scores(net: BinaryMLP, bits: NDArray[np.bool_]) -> Floats:
    """Mean scores over members, float64 (n_rows, n_outputs)."""
    net.eval()
    chunks = [net(_as_signs(bits[i : i + 8192])).mean(dim=1) for i in range(0, len(bits), 8192)]
    return torch.cat(chunks).double().numpy()


def members_part(net: BinaryMLP) -> Part:
    """Lower the members to bit operations."""
    lowered = lower_mlp(net)
    return Part("members", lowered.ops, lowered.linear, lowered.readout, lowered.bias)


def members_bytes(config: MembersConfig, n_bits: int, n_outputs: int) -> int:
    """Bytes that the lowered members take in a Program, readout included."""
    total, n_in = 0, n_bits
    for width in config.hidden:
        total += config.n_members * width * (packed_bytes(n_in) + 4)
        n_in = width
    return total + 2 * n_outputs * config.n_members * config.hidden[-1]


def _as_signs(bits: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(bits.astype(np.float32) * 2 - 1)
