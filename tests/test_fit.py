"""Training on arrays in one call, prediction, and where a loss ceased to be finite."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bimetal.errors import DataError, NotFiniteError, TrainingError
from bimetal.nn import BinaryLinear, Sign, TrainConfig, accuracy, fit_classifier, predict, train
from bimetal.nn.diagnosis import first_not_finite
from bimetal.nn.fit import LOSSES

G = torch.Generator().manual_seed(0)
X = torch.randn(200, 6, generator=G)
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
CONFIG = TrainConfig(30, 32, learning_rate=0.02, patience=None)


def net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(6, 32), nn.BatchNorm1d(32), Sign(), BinaryLinear(32, 32), nn.BatchNorm1d(32),
        Sign(), nn.Linear(32, 3),
    )  # fmt: skip


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_a_binary_net_learns_with_every_loss(loss) -> None:
    model = net()
    fit_classifier(model, X, Y, CONFIG, loss=loss)
    assert accuracy(model, X, Y) > 0.9


def test_the_epoch_with_the_fewest_errors_is_kept() -> None:
    model, seen = net(), []
    history = fit_classifier(
        model, X, Y, CONFIG, valid=(X[:50], Y[:50]), progress=lambda e: seen.append(e.valid_loss)
    )
    assert seen[history.best_epoch - 1] == min(seen)
    assert 1 - accuracy(model, X[:50], Y[:50]) == pytest.approx(min(seen))


def test_a_student_takes_after_its_teacher() -> None:
    teacher, student = net(), net()
    fit_classifier(teacher, X, Y, CONFIG)
    before = {name: t.clone() for name, t in teacher.state_dict().items()}
    wrong = (Y + 1) % 3  # the labels alone would lead elsewhere
    fit_classifier(student, X, wrong, CONFIG, teacher=teacher, teacher_weight=1.0)
    assert accuracy(student, X, Y) > 0.85
    assert all(torch.equal(before[name], t) for name, t in teacher.state_dict().items())


def test_augmented_rows_are_what_the_net_is_trained_on() -> None:
    model, seen = net(), []

    def augment(batch):
        seen.append(batch.clone())
        return -batch

    fit_classifier(model, X, Y, CONFIG, augment=augment)
    assert accuracy(model, -X, Y) > 0.9
    assert seen[0].dtype == torch.float32


def test_bytes_are_read_as_numbers() -> None:
    model, x = nn.Linear(2, 2), torch.tensor([[200, 0], [0, 200]], dtype=torch.uint8)
    fit_classifier(model, x, torch.tensor([0, 1]), TrainConfig(3, 2, 0.1))
    assert accuracy(model, x, torch.tensor([0, 1])) == 1


@pytest.mark.parametrize("precision", ["bfloat16"])
def test_products_of_lower_precision_train_as_well(precision) -> None:
    from dataclasses import replace

    model = net()
    fit_classifier(model, X, Y, replace(CONFIG, precision=precision))
    assert accuracy(model, X, Y) > 0.9
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_prediction_leaves_the_modes_as_they_were_and_batches_do_not_matter() -> None:
    model = net().train()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    torch.testing.assert_close(predict(model, X, 7), predict(model, X, 200))
    assert [m.training for m in model.modules()] == modes


@pytest.mark.parametrize(
    ("x", "y", "more", "message"),
    [
        (X, Y[:9], {}, "one class, a whole number, for each of 200 rows"),
        (X, Y.float(), {}, "got torch.float32"),
        (X, Y - 1, {}, "counted from 0, got -1"),
        (X, Y, {"loss": "hinge"}, r"loss must be one of \['cross_entropy', 'squared_hinge'\], got 'hinge'"),
        (X, Y, {"valid": (X, Y[:3])}, "one class"),
        (X, Y, {"valid": (X[:0], Y[:0])}, "no rows were given"),
        (X, Y + 1, {}, r"shape \(n_rows, 4\) or more expected, .* the model makes \(32, 3\)"),
        (X, Y, {"teacher": nn.Linear(6, 3), "teacher_weight": 2.0}, "from 0 to 1, got 2.0"),
    ],
)  # fmt: skip
def test_rows_and_classes_that_do_not_fit_are_refused(x, y, more, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_classifier(net(), x, y, CONFIG, **more)


def test_a_model_without_parameters_is_refused() -> None:
    with pytest.raises(DataError, match="Sign has no parameters"):
        fit_classifier(Sign(), X, Y, CONFIG)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_reads_rows_in_its_own_type(dtype: torch.dtype) -> None:
    model = net().to(dtype)
    fit_classifier(model, X, Y, TrainConfig(2, 32))
    assert predict(model, X).dtype == dtype


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int64])
def test_arrays_and_any_whole_numbers_give_the_same_weights(kind: torch.dtype) -> None:
    one, other, config = net(), net(), TrainConfig(2, 32)
    fit_classifier(one, X, Y, config, valid=(X, Y))
    y = Y.to(kind).numpy()
    fit_classifier(other, X.numpy(), y, config, valid=(X.numpy(), y))
    assert accuracy(one, X, Y) == accuracy(other, X.numpy(), y)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


class Blows(nn.Module):
    def forward(self, x):
        return x / 0


def test_the_layer_where_values_ceased_to_be_finite_is_named() -> None:
    model = nn.Sequential(nn.Linear(6, 3), Blows(), nn.ReLU())
    with pytest.raises(
        TrainingError, match=r"came out of layer '1' \(Blows\)\. Lower learning_rate"
    ):
        fit_classifier(model, X, Y, CONFIG)


def through_train(model, x):
    """Below `fit_classifier`, which would refuse such rows."""
    return train(model, lambda rows: cross_entropy(model(x[rows]), Y[rows]), len(x), CONFIG)


def with_infinity() -> torch.Tensor:
    bad = X.clone()
    bad[3, 2] = math.inf
    return bad


def test_an_input_that_is_not_finite_is_named_as_such() -> None:
    with pytest.raises(TrainingError, match=r"the input of layer '0' \(Linear\) is not finite"):
        through_train(nn.Sequential(nn.Linear(6, 3)), with_infinity())


def test_a_nan_that_hides_behind_a_sign_is_found_all_the_same() -> None:
    model = net()
    with pytest.raises(TrainingError, match="was not finite after epoch 1, though the loss was"):
        through_train(model, with_infinity())
    assert all(torch.isfinite(t).all() for t in model.state_dict().values())


def test_rows_that_are_not_finite_are_refused_at_the_door() -> None:
    with pytest.raises(NotFiniteError, match=r"1 of 200 rows hold NaN or infinity .* row 3"):
        fit_classifier(net(), with_infinity(), Y, CONFIG)


def test_a_loss_that_fails_alone_is_named_as_such() -> None:
    model = nn.Linear(2, 2)
    assert "it was the loss itself" in first_not_finite(model, lambda: model(torch.ones(1, 2)))
