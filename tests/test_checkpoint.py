"""A training that was cut off and goes on gives the same weights, bit for bit; nothing else is taken."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bimetal.errors import CheckpointError
from bimetal.nn import BinaryLinear, Sign, TrainConfig, fit_classifier
from bimetal.nn.optim import OPTIMIZERS

CONFIG = TrainConfig(5, 16, learning_rate=0.05, patience=None, optimizer="adam")
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(70, 8, generator=GENERATOR)
Y = (X[:, 0] * X[:, 1] > 0).long()


def net(width: int = 12, binarizer: str = "ir_net", surrogate: str = "ede") -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        BinaryLinear(8, width, binarizer=binarizer), nn.BatchNorm1d(width), Sign(surrogate),
        nn.Dropout(0.2), nn.Linear(width, 2),
    )  # fmt: skip


class CutOffError(Exception):
    """The process dies."""


def fit(model: nn.Module, config: TrainConfig, path: Path | None, stops_after: int = 0, **more):
    def progress(epoch) -> None:
        if epoch.number == stops_after + 1 and stops_after:
            raise CutOffError  # the epoch is done, its checkpoint is not written

    return fit_classifier(
        model, X, Y, config, valid=(X[:20], Y[:20]), checkpoint=path, progress=progress, **more
    )


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("stops_after", [1, 3])
def test_a_training_resumes_bit_for_bit(tmp_path: Path, optimizer: str, stops_after: int) -> None:
    config = replace(CONFIG, optimizer=optimizer)
    whole, cut, resumed = net(), net(), net()
    expected = fit(whole, config, None)
    with pytest.raises(CutOffError):
        fit(cut, config, tmp_path / "run.pt", stops_after)
    got = fit(resumed, config, tmp_path / "run.pt", resume=True)
    assert [e.train_loss for e in got.epochs] == [e.train_loss for e in expected.epochs]
    assert got.best_epoch == expected.best_epoch
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_finished_training_resumes_to_the_same_end(tmp_path: Path) -> None:
    first, again = net(), net()
    fit(first, CONFIG, tmp_path / "run.pt")
    history = fit(again, CONFIG, tmp_path / "run.pt", resume=True)
    assert len(history.epochs) == CONFIG.max_epochs
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))


def test_what_was_seen_of_layers_comes_back(tmp_path: Path) -> None:
    config = replace(CONFIG, watches_layers=True)
    whole = fit(net(), config, tmp_path / "run.pt")
    again = fit(net(), config, tmp_path / "run.pt", resume=True)
    assert again.epochs == whole.epochs
    assert again.epochs[0].layers["0"].histogram == whole.epochs[0].layers["0"].histogram


def test_without_resume_a_training_begins_anew(tmp_path: Path) -> None:
    fit(net(), replace(CONFIG, seed=7), tmp_path / "run.pt")
    first, again = net(), net()
    fit(first, CONFIG, None)
    fit(again, CONFIG, tmp_path / "run.pt")
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))


def test_resuming_where_there_is_no_file_begins_anew(tmp_path: Path) -> None:
    assert len(fit(net(), CONFIG, tmp_path / "none.pt", resume=True).epochs) == CONFIG.max_epochs


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    from bimetal.errors import TrainingError

    path, model, epochs = tmp_path / "run.pt", net(), []

    def spoil(epoch) -> None:
        epochs.append(epoch)
        if epoch.number == 2:
            kept.append(path.read_bytes())
            model[4].weight.data.fill_(float("nan"))

    kept: list[bytes] = []
    with pytest.raises(TrainingError, match=r"'4\.weight' is not finite"):
        fit_classifier(model, X, Y, CONFIG, checkpoint=path, progress=spoil)
    assert torch.isfinite(model[4].weight).all(), "the best state is put back"
    assert torch.load(path, weights_only=True)["state"]["epochs"][-1]["number"] == 2
    assert all(
        torch.isfinite(p).all()
        for p in torch.load(path, weights_only=True)["state"]["best"].values()
    )


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        (net(13), CONFIG, r"another architecture: 0\.latent_weight \(checkpoint: \[1, 12, 8\], now: \[1, 13, 8\]\)"),
        (nn.Linear(8, 2), CONFIG, r"another architecture: 0\.latent_weight \(checkpoint: .*, now: absent\)"),
        (net(binarizer="bi_real"), CONFIG, r"another architecture: 0 \(checkpoint: BinaryLinear .*'ede'"),
        (net(surrogate="clipped"), CONFIG, r"another architecture: 2 \(checkpoint: Sign ede, now: Sign clipped"),
        (net(), replace(CONFIG, seed=1), r"another config: seed \(checkpoint: 0, now: 1\)"),
        (net(), replace(CONFIG, max_epochs=6), r"another config: max_epochs"),
    ],
)  # fmt: skip
def test_the_checkpoint_of_another_training_is_refused(
    tmp_path: Path, model: nn.Module, config: TrainConfig, message: str
) -> None:
    fit(net(), CONFIG, tmp_path / "run.pt")
    before = (tmp_path / "run.pt").read_bytes()
    with pytest.raises(CheckpointError, match=message):
        fit(model, config, tmp_path / "run.pt", resume=True)
    assert (tmp_path / "run.pt").read_bytes() == before


def test_the_checkpoint_of_other_rows_or_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    fit(net(), CONFIG, path)
    with pytest.raises(CheckpointError, match="training on 70 rows, and here are 60"):
        fit_classifier(net(), X[:60], Y[:60], CONFIG, checkpoint=path, resume=True)
    with pytest.raises(CheckpointError, match="state of another optimizer than Split"):
        fit(
            net(),
            CONFIG,
            path,
            resume=True,
            optimize=lambda model: OPTIMIZERS["bop"](model, 0.1, 0),
        )


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def of_four_bytes(path: Path) -> None:
    path.write_bytes(b"junk")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(CutOffError(), protocol=2))


def of_something_else(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


@pytest.mark.parametrize("spoil", [damaged, of_four_bytes, empty, pickled, of_something_else])
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(tmp_path: Path, spoil) -> None:
    path = tmp_path / "run.pt"
    fit(net(), CONFIG, path)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"run\.pt.*remove it to start anew"):
        fit(net(), CONFIG, path, resume=True)
    assert path.read_bytes() == before
