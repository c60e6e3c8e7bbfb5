"""Losses: the hinge of the first binary nets, and distillation of answers and of features.

Each takes outputs and targets of a batch and returns a scalar, the mean over the batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bimetal.errors import DataError

__all__ = ["attention_map", "distillation", "feature_distillation", "squared_hinge"]


def squared_hinge(outputs: Tensor, y: Tensor) -> Tensor:
    """Return mean max(0, 1 − t·o)², t = +1 for the class and −1 for the others (BinaryConnect).

    Parameters
    ----------
    outputs : torch.Tensor
        (n_rows, n_classes).
    y : torch.Tensor
        int64 (n_rows,), classes from 0.

    Examples
    --------
    >>> squared_hinge(torch.tensor([[2.0, -0.5]]), torch.tensor([0])).item()
    0.125
    """
    targets = torch.full_like(outputs, -1.0)
    targets[torch.arange(len(y), device=y.device), y] = 1.0
    return (1 - targets * outputs).clamp_min(0).square().mean()


def distillation(
    outputs: Tensor,
    teacher: Tensor,
    y: Tensor | None = None,
    temperature: float = 1.0,
    weight: float = 1.0,
) -> Tensor:
    """Return the cross-entropy to a teacher's softened probabilities, mixed with that to labels.

    weight · T² · KL(softmax(teacher / T) ‖ softmax(outputs / T)) + (1 − weight) · cross-entropy
    (Hinton, Vinyals & Dean 2015, arXiv:1503.02531). ReActNet takes T = 1 and weight = 1.

    Parameters
    ----------
    outputs, teacher : torch.Tensor
        Logits (n_rows, n_classes); no gradient flows into the teacher's.
    y : torch.Tensor, optional
        int64 (n_rows,); needed where `weight` is below 1.
    temperature : float, default 1.0
        T, above 0.
    weight : float, default 1.0
        Of the teacher, from 0 to 1.

    Raises
    ------
    DataError
        When a number is out of its range, shapes differ, or labels are needed and missing.

    Examples
    --------
    >>> z = torch.tensor([[1.0, 2.0]])
    >>> round(distillation(z, z, temperature=4.0).item(), 6)
    0.0
    """
    if not (temperature > 0 and 0 <= weight <= 1):
        raise DataError(
            f"temperature must be above 0 and weight from 0 to 1, got {temperature}, {weight}"
        )
    if outputs.shape != teacher.shape:
        raise DataError(
            f"student and teacher answer in different shapes: {tuple(outputs.shape)} and "
            f"{tuple(teacher.shape)}"
        )
    if y is None and weight < 1:
        raise DataError("labels y are needed where weight is below 1")
    soft = functional.kl_div(
        functional.log_softmax(outputs / temperature, 1),
        functional.log_softmax(teacher.detach() / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    total = weight * temperature**2 * soft
    return total if y is None else total + (1 - weight) * functional.cross_entropy(outputs, y)


def attention_map(features: Tensor) -> Tensor:
    """Return where a map is active: Σ over channels of x², a row of norm 1 for each picture.

    Parameters
    ----------
    features : torch.Tensor
        (n_rows, n_channels, ...).
    """
    energy = features.square().sum(1).flatten(1)
    return functional.normalize(energy, dim=1)


def feature_distillation(students: Sequence[Tensor], teachers: Sequence[Tensor]) -> Tensor:
    """Return the distance of the attention maps of two nets, summed over the pairs of layers.

    Real-to-Binary (Martinez et al. 2020, arXiv:2003.11535) matches them stage by stage; channels may
    differ, sizes of maps may not.

    Raises
    ------
    DataError
        When there are not as many features of one net as of the other, or sizes of maps differ.

    Examples
    --------
    >>> x = torch.rand(2, 3, 4, 4)
    >>> feature_distillation([x], [2 * x]).item() < 1e-6
    True
    """
    if len(students) != len(teachers) or not students:
        raise DataError(
            f"one teacher's feature for each of the student's expected, got {len(students)} and "
            f"{len(teachers)}"
        )
    total = torch.zeros((), device=students[0].device)
    for i, (ours, theirs) in enumerate(zip(students, teachers, strict=True)):
        if ours.shape[0] != theirs.shape[0] or ours.shape[2:] != theirs.shape[2:]:
            raise DataError(
                f"pair {i}: maps of {tuple(ours.shape)} and {tuple(theirs.shape)} cannot be matched"
            )
        total = total + (attention_map(ours) - attention_map(theirs.detach())).norm(dim=1).mean()
    return total
