"""Losses against their formulas, and their bounds."""

import pytest
import torch
from torch.nn import functional

from bimetal.errors import DataError
from bimetal.nn import distillation, feature_distillation, squared_hinge
from bimetal.nn.losses import attention_map

G = torch.Generator().manual_seed(0)
Z, T = torch.randn(6, 4, generator=G), torch.randn(6, 4, generator=G)
Y = torch.randint(0, 4, (6,), generator=G)


def test_the_squared_hinge_is_the_mean_over_rows_and_classes() -> None:
    total = 0.0
    for row, y in zip(Z, Y, strict=True):
        for c, z in enumerate(row):
            total += max(0.0, 1 - (1 if c == y else -1) * z.item()) ** 2
    assert squared_hinge(Z, Y).item() == pytest.approx(total / Z.numel(), rel=1e-6)


def test_the_squared_hinge_is_zero_beyond_the_margin() -> None:
    targets = 2.0 * functional.one_hot(Y, 4) - 1
    assert squared_hinge(1.5 * targets, Y).item() == 0


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_cross_entropy_to_the_teacher_less_its_entropy(
    temperature: float,
) -> None:
    p = torch.softmax(T / temperature, 1)
    logp = torch.log_softmax(Z / temperature, 1)
    expected = (p * (p.log() - logp)).sum(1).mean() * temperature**2
    torch.testing.assert_close(distillation(Z, T, temperature=temperature), expected)


def test_weight_zero_is_plain_cross_entropy_and_weight_one_ignores_labels() -> None:
    torch.testing.assert_close(distillation(Z, T, Y, weight=0.0), functional.cross_entropy(Z, Y))
    torch.testing.assert_close(distillation(Z, T, Y, weight=1.0), distillation(Z, T))


def test_no_gradient_flows_into_the_teacher() -> None:
    student, teacher = Z.clone().requires_grad_(), T.clone().requires_grad_()
    distillation(student, teacher).backward()
    feature_distillation([student.view(6, 4, 1)], [teacher.view(6, 4, 1)]).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_attention_maps_do_not_depend_on_the_scale_of_features() -> None:
    x = torch.randn(3, 5, 4, 4, generator=G)
    torch.testing.assert_close(attention_map(x), attention_map(7 * x))
    torch.testing.assert_close(attention_map(x).norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distillation(Z, T, temperature=0.0), "temperature must be above 0"),
        (lambda: distillation(Z, T, Y, weight=1.5), "weight from 0 to 1"),
        (lambda: distillation(Z, T[:, :3]), r"different shapes: \(6, 4\) and \(6, 3\)"),
        (lambda: distillation(Z, T, weight=0.5), "labels y are needed"),
        (lambda: feature_distillation([], []), "one teacher's feature for each"),
        (
            lambda: feature_distillation([torch.ones(1, 2, 3, 3)], [torch.ones(1, 2, 4, 4)]),
            "cannot be matched",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
