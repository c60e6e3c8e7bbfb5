"""The same numbers arrive everywhere, none is lost, and what is missing is said by name."""

import csv
import dataclasses
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from bimetal.errors import DataError, MissingExtraError
from bimetal.nn import (
    BinaryLinear,
    CsvLogger,
    Epoch,
    LayerInsight,
    MLflowLogger,
    TensorBoardLogger,
    TrainConfig,
    Watch,
    together,
)
from bimetal.nn.loggers import LAYER_NUMBERS, numbers


def insight() -> dict[str, LayerInsight]:
    model = nn.Sequential(BinaryLinear(20, 3, generator=torch.Generator().manual_seed(0)))
    watch = Watch(model)
    watch.begin()
    return watch.end()


def epoch(number: int, valid_loss: float | None = 0.25) -> Epoch:
    return Epoch(number, 1 / (3 * number), valid_loss, 0.1 / number, insight())


def plain(number: int) -> Epoch:
    return dataclasses.replace(epoch(number, None), layers={})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- names -----------------------------------------------------------------------------------


def test_every_number_of_a_layer_is_named_after_it() -> None:
    named = numbers(epoch(1))
    layer = insight()["0"]
    assert {name: named[f"0/{name}"] for name in LAYER_NUMBERS} == {
        name: getattr(layer, name) for name in LAYER_NUMBERS
    }
    assert set(LAYER_NUMBERS) == {f.name for f in dataclasses.fields(layer)} - {"histogram"}


def test_a_model_that_is_one_layer_has_a_name_too() -> None:
    one = dataclasses.replace(epoch(1), layers={"": insight()["0"]})
    assert "model/flip_ratio" in numbers(one)


def test_several_loggers_work_as_one_in_their_order(tmp_path: Path) -> None:
    seen: list[int] = []
    log = together(
        lambda e: seen.append(e.number), CsvLogger(tmp_path / "a.csv"), lambda e: seen.append(-1)
    )
    for n in (1, 2):
        log(epoch(n))
    assert seen == [1, -1, 2, -1]
    assert len(rows(tmp_path / "a.csv")) == 2


# --- CSV -------------------------------------------------------------------------------------


def test_a_csv_file_gives_every_number_back(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    epochs = [epoch(1, None), epoch(2), epoch(3)]
    for each in epochs:
        CsvLogger(path)(each)  # a new one each time: it remembers nothing
    for row, each in zip(rows(path), epochs, strict=True):
        assert int(row.pop("number")) == each.number
        back = {name: float(text) if text else None for name, text in row.items()}
        assert back == numbers(each)


def test_a_line_that_was_cut_off_is_taken_away_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    log = CsvLogger(path)
    for n in (1, 2):
        log(plain(n))
    whole = path.read_bytes()
    log(plain(3))
    complete = path.read_bytes()
    for length in range(len(whole), len(complete) + 1):
        path.write_bytes(complete[:length])
        log(plain(3))
        assert path.read_bytes() == complete + complete[len(whole) :] * (length == len(complete))


def test_an_empty_file_gets_a_head(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.touch()
    CsvLogger(path)(plain(1))
    assert [row["number"] for row in rows(path)] == ["1"]


def test_names_with_commas_are_quoted(tmp_path: Path) -> None:
    odd = dataclasses.replace(epoch(1), layers={'a,"b"': insight()["0"]})
    CsvLogger(tmp_path / "run.csv")(odd)
    CsvLogger(tmp_path / "run.csv")(odd)
    assert 'a,"b"/flip_ratio' in rows(tmp_path / "run.csv")[1]


def test_a_file_of_other_columns_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    for before in (b"age,income\n3,4\n", b"age", b"\xff\xfe"):
        path.write_bytes(before)
        with pytest.raises(DataError, match=r"has the columns .* but the epoch has number,train"):
            CsvLogger(path)(epoch(1))
        assert path.read_bytes() == before


# --- TensorBoard -----------------------------------------------------------------------------


def test_tensorboard_gets_every_number_and_histogram(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    epochs = [epoch(1, None), epoch(2)]
    with TensorBoardLogger(tmp_path / "new" / "run") as log:
        for each in epochs:
            log(each)
    events = accumulator.EventAccumulator(str(tmp_path / "new" / "run"), {"histograms": 0})
    events.Reload()
    for name in numbers(epochs[1]):
        wanted = {e.number: numbers(e)[name] for e in epochs if numbers(e)[name] is not None}
        assert {e.step: e.value for e in events.Scalars(name)} == pytest.approx(wanted)
    (_, histogram) = events.Histograms("0/latent")
    expected = insight()["0"].histogram
    found = {
        limit: n
        for limit, n in zip(
            histogram.histogram_value.bucket_limit, histogram.histogram_value.bucket, strict=True
        )
        if n
    }
    assert found == {
        limit: n for limit, n in zip(expected.edges[1:], expected.counts, strict=True) if n
    }
    assert histogram.histogram_value.num == 60


def test_without_tensorboard_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"'tensorboard'.*bimetal\[logging\]"):
        TensorBoardLogger(tmp_path)


# --- MLflow ----------------------------------------------------------------------------------


class MlflowError(Exception):
    pass


class Client:
    """What of MLflow's client is used, in memory."""

    experiments: dict[str, str]
    runs: dict[str, dict[str, Any]]

    def __init__(self, tracking_uri: str | None = None) -> None:
        if tracking_uri == "nowhere":
            raise MlflowError("unsupported URI")

    def get_experiment_by_name(self, name: str) -> Any:
        number = self.experiments.get(name)
        return number and SimpleNamespace(experiment_id=number)

    def create_experiment(self, name: str) -> str:
        return self.experiments.setdefault(name, str(len(self.experiments)))

    def create_run(self, experiment_id: str, run_name: str | None = None) -> Any:
        run_id = f"{experiment_id}.{len(self.runs)}"
        self.runs[run_id] = {"name": run_name, "metrics": [], "params": {}, "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000
        self.runs[run_id]["metrics"] += metrics
        self.runs[run_id]["params"] |= dict(params)

    def set_terminated(self, run_id: str, status: str) -> None:
        self.runs[run_id]["status"] = status


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    """A stand-in: MLflow brings two dozen packages, too many for a test."""
    client = type("Memory", (Client,), {"experiments": {}, "runs": {}})
    module: Any = ModuleType("mlflow")
    module.MlflowClient = client
    module.exceptions = SimpleNamespace(MlflowException=MlflowError)
    module.entities = SimpleNamespace(
        Metric=lambda *given: given, Param=lambda key, value: (key, value)
    )
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return client


def test_mlflow_gets_every_number_with_its_epoch_and_time(mlflow: type[Client]) -> None:
    config = dataclasses.asdict(TrainConfig(seed=7))
    with MLflowLogger("mnist", "xnor", params=config, clock=lambda: 12.5) as log:
        log(epoch(1, None))
        log(epoch(2))
    run = mlflow.runs[log.run_id]
    wanted = [
        (name, value, 12_500, n)
        for n, valid in ((1, None), (2, 0.25))
        for name, value in numbers(epoch(n, valid)).items()
        if value is not None
    ]
    assert run["metrics"] == wanted
    assert run["params"]["seed"] == "7"
    assert (run["name"], run["status"]) == ("xnor", "FINISHED")


def test_runs_of_one_experiment_stand_side_by_side(mlflow: type[Client]) -> None:
    first, second = MLflowLogger("mnist"), MLflowLogger("mnist")
    other = MLflowLogger()
    assert len({first.run_id, second.run_id, other.run_id}) == 3
    assert set(mlflow.experiments) == {"mnist", "bimetal"}
    again = MLflowLogger(run_id=first.run_id)
    again(plain(3))
    assert mlflow.runs[first.run_id]["metrics"][0][3] == 3


def test_a_run_that_an_error_ended_has_failed(mlflow: type[Client]) -> None:
    with pytest.raises(ZeroDivisionError), MLflowLogger() as log:
        raise ZeroDivisionError
    assert mlflow.runs[log.run_id]["status"] == "FAILED"


def test_a_net_of_many_layers_is_sent_in_parts(mlflow: type[Client]) -> None:
    many = dict.fromkeys(map(str, range(300)), insight()["0"])
    log = MLflowLogger()
    log(dataclasses.replace(epoch(1), layers=many))
    assert len(mlflow.runs[log.run_id]["metrics"]) == 3 + 300 * len(LAYER_NUMBERS)


def test_where_mlflow_cannot_begin_a_run_is_said(mlflow: type[Client]) -> None:
    with pytest.raises(DataError, match=r"a run at nowhere: unsupported URI\. Name a server"):
        MLflowLogger(tracking_uri="nowhere")


def test_without_mlflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"'mlflow'.*bimetal\[logging\]"):
        MLflowLogger()
