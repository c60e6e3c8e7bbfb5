"""The study: every method on one small model, measured; data and models refused by name."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import ClassStyle, digits, mlp, plain_cnn, tumours
from safetensors.torch import save_file
from torch import nn

from bimetal import compress as families
from bimetal.compress import (
    METHODS,
    CompressConfig,
    CompressData,
    Latency,
    Result,
    Skipped,
    Study,
    compress,
    load_model,
    load_weights,
    measure,
    read_data,
    runtimes,
)
from bimetal.compress.measure import slug, take_turns
from bimetal.errors import DataError, MissingExtraError, NotFiniteError, TrainingError

QUICK = CompressConfig(epochs=1, is_quick=True)


@pytest.fixture(autouse=True, scope="module")
def hurried() -> Any:
    """Latencies are not what these tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "TURN_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def everything(hurried: None, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """All methods but torchao's, whose import takes seconds, on a small convolutional net."""
    torch.manual_seed(0)
    names = [m.name for m in METHODS if m.name != "int8_dynamic"]
    folder = tmp_path_factory.mktemp("models")
    return compress(ClassStyle(), digits(), names, QUICK, is_trained=False, folder=folder)


@pytest.fixture(scope="module")
def tabular(hurried: None) -> Study:
    torch.manual_seed(0)
    names = ["pruning", "separable", "opposite_pairs", "binary", "binary_wide"]
    return compress(mlp(30, 2), tumours(), names, CompressConfig(epochs=3), is_trained=False)


def test_every_method_makes_something_of_a_convolutional_net(everything: Study) -> None:
    assert everything.skipped == ()
    assert {r.family for r in everything.results} == {"baseline", *(m.family for m in METHODS)}
    assert everything.results[0] is everything.baseline and everything.baseline.family == "baseline"


def test_the_bytes_are_those_of_the_file(everything: Study) -> None:
    for result in everything.results:
        assert result.file is not None and Path(result.file).stat().st_size == result.n_bytes


def test_the_file_of_a_binary_net_answers_every_row_as_torch_does(
    everything: Study, tabular: Study
) -> None:
    binary = [r for s in (everything, tabular) for r in s.results if r.runtime == "bimetal"]
    assert len(binary) == 8 and len([r for r in binary if r.is_packed]) == 7
    assert all(r.n_differ == 0 and r.stored.endswith(".bimetal") for r in binary)


def test_a_binary_net_that_learned_beats_guessing(tabular: Study) -> None:
    assert all(r.accuracy > 0.8 for r in tabular.results if "binary" in r.name)


def test_each_compressed_file_is_smaller_and_each_latency_is_measured(everything: Study) -> None:
    base = everything.baseline
    for result in everything.results[1:]:
        assert result.n_bytes < base.n_bytes or "8 bit" in result.name  # a tiny net's ONNX is not
        assert result.one_row_us and result.batch_row_us and result.runtime in result.latency
    assert set(base.latency) == {"PyTorch", "ONNX Runtime"}


def test_a_method_for_convolutions_is_skipped_aloud_on_a_table(tabular: Study) -> None:
    assert {s.name for s in tabular.skipped} == {"separable", "opposite_pairs"}
    assert all("no convolution" in s.reason for s in tabular.skipped)
    assert "separable: left out" in tabular.table()


def test_the_table_and_the_json_name_everything(everything: Study) -> None:
    values = json.loads(everything.to_json())
    assert [r["name"] for r in values["results"]] == [r.name for r in everything.results]
    assert values["facts" if "facts" in values else "n_rows"] == {
        "train": 259,
        "valid": 29,
        "test": 72,
    }
    assert not any("/" in r["file"] for r in values["results"])
    lines = everything.table().splitlines()
    assert len(lines) == 1 + len(everything.results)
    assert all(
        line.startswith(r.name) for line, r in zip(lines[1:], everything.results, strict=True)
    )


def test_the_users_model_is_left_as_it_is() -> None:
    model = mlp(30, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    study = compress(model, tumours(), ["few_bits", "weights"], QUICK)
    assert "as it came" in study.baseline.note and study.baseline.file is None
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_the_same_seed_gives_the_same_answers_and_files(tmp_path: Path) -> None:
    def once(folder: Path) -> list[tuple[str, float, bytes]]:
        torch.manual_seed(0)
        study = compress(
            mlp(30, 2), tumours(), ["binary", "students"], QUICK, is_trained=False, folder=folder
        )
        return [(r.name, r.accuracy, Path(r.file or "").read_bytes()) for r in study.results]

    assert once(tmp_path / "a") == once(tmp_path / "b")


def test_ctrl_c_keeps_what_was_finished() -> None:
    def say(text: str) -> None:
        if text.startswith("student"):
            raise KeyboardInterrupt

    study = compress(mlp(30, 2), tumours(), ["few_bits", "students"], QUICK, progress=say)
    assert study.was_interrupted and [r.name for r in study.results[1:]] == ["2 bit weights"]
    assert study.results[1].one_row_us


def test_ctrl_c_while_measuring_keeps_the_accuracies() -> None:
    def say(text: str) -> None:
        if text.startswith("measuring"):
            raise KeyboardInterrupt

    study = compress(mlp(30, 2), tumours(), ["few_bits"], QUICK, progress=say)
    assert study.was_interrupted and len(study.results) == 2
    assert study.results[1].runtime == "" and study.pareto("one_row_us") == ()
    json.loads(study.to_json())
    assert "2 bit weights" in study.table()


def test_ctrl_c_before_there_is_a_baseline_is_ctrl_c() -> None:
    def say(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress(mlp(30, 2), tumours(), ["few_bits"], QUICK, is_trained=False, progress=say)


def test_a_method_whose_loss_is_not_finite_is_skipped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise TrainingError("the loss became nan")

    monkeypatch.setattr(families.lesson, "train", fail)
    study = compress(mlp(30, 2), tumours(), ["few_bits"], QUICK)
    assert study.skipped == (Skipped("few_bits", "quantization", "the loss became nan"),)


def test_what_onnx_cannot_say_is_run_by_torch_alone_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any) -> bytes:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(runtimes, "exported", fail)
    study = compress(mlp(30, 2), tumours(), ["channels", "int8_static"], QUICK)
    assert set(study.baseline.latency) == {"PyTorch"}
    assert "not run by ONNX Runtime: no such operator" in study.baseline.note
    assert [s.name for s in study.skipped] == ["int8_static"]


def test_torchao_makes_8_bits_of_linear_layers() -> None:
    pytest.importorskip("torchao")
    study = compress(mlp(30, 2), tumours(), ["int8_dynamic"], QUICK)
    found = study.results[1]
    assert abs(found.accuracy - study.baseline.accuracy) < 0.1 and set(found.latency) == {"PyTorch"}


def test_8_bits_of_torchao_want_a_linear_layer() -> None:
    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 10, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).flatten(1)

    study = compress(Convolutional(), digits(), ["int8_dynamic"], QUICK)
    assert "no linear layer" in study.skipped[0].reason


@pytest.mark.parametrize("package", ["onnxruntime", "safetensors.numpy", "torchao.quantization"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    run = lambda: compress(mlp(30, 2), tumours(), ["int8_dynamic"], QUICK)  # noqa: E731
    if package.startswith("torchao"):
        assert "bimetal[compress]" in run().skipped[0].reason
        return
    with pytest.raises(MissingExtraError, match=r"bimetal\[compress\]"):
        run()


# ---- the front --------------------------------------------------------------------------------------


def invented(points: list[tuple[int, int]]) -> Study:
    return Study(
        tuple(
            Result(f"r{i}", "pruning", "", correct / 20, 0.5, 20, n_bytes, "")
            for i, (n_bytes, correct) in enumerate(points)
        )
    )


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 20)), min_size=1, max_size=12))
def test_nobody_beats_the_front_and_the_front_beats_the_others(
    points: list[tuple[int, int]],
) -> None:
    study = invented(points)
    front = study.pareto()
    costs = [(r.n_bytes, r.accuracy) for r in front]
    assert costs == sorted(costs) and len({a for _, a in costs}) == len(costs)
    for r in study.results:
        weakly = [f for f in front if f.n_bytes <= r.n_bytes and f.accuracy >= r.accuracy]
        strictly = [s for s in study.results if s.n_bytes < r.n_bytes and s.accuracy >= r.accuracy]
        assert weakly and not (r in front and strictly)


def test_a_front_by_an_unknown_cost_is_refused() -> None:
    with pytest.raises(DataError, match="n_bytes"):
        invented([(1, 1)]).pareto("beauty")


def test_a_result_knows_its_error_and_its_fastest_runtime() -> None:
    latency = {"a": Latency(3.0, 1.0), "b": Latency(2.0, 4.0)}
    result = Result("r", "pruning", "", 0.75, 0.5, 48, 10, "", latency=latency)
    assert result.standard_error == pytest.approx(0.0625)
    assert result.interval == pytest.approx((0.61220, 0.85081), abs=1e-4)
    assert (result.runtime, result.one_row_us, result.batch_row_us) == ("b", 2.0, 1.0)


def test_turns_are_taken_in_order() -> None:
    said: list[str] = []
    found = take_turns({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, 2)
    assert "".join(said).replace("aa", "a").replace("bb", "b") == "abab" and set(found) == {
        "a",
        "b",
    }


def test_names_become_file_names() -> None:
    assert slug("../Ü 90 % + 8 bit/") == "90_8_bit"


# ---- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [["pruning", "prayer"], []])
def test_an_unknown_method_is_refused_with_the_list(methods: list[str]) -> None:
    with pytest.raises(DataError, match="low_rank_int8"):
        compress(mlp(30, 2), tumours(), methods, QUICK)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (mlp(7, 2), r"cannot read rows of shape \(30,\)"),
        (plain_cnn(), "cannot read rows"),
        (mlp(30, 1), "1 logits, but there are 2 classes"),
        (nn.Sequential(nn.Linear(30, 2), nn.Flatten(0)), "logits"),
        (nn.LSTM(30, 4), "logits"),
    ],
)
def test_a_model_that_does_not_fit_the_rows_is_refused(model: nn.Module, why: str) -> None:
    with pytest.raises(DataError, match=why):
        compress(model, tumours(), ["pruning"], QUICK)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}])
def test_a_config_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        CompressConfig(**wrong)


N = 100
Y = np.arange(N) % 3
ROWS = np.random.default_rng(0).normal(size=(N, 4))


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        (ROWS[:12], Y[:12], "at least 32 rows"),
        (ROWS, Y[:-1], "one for each of 100 rows"),
        (ROWS, Y.astype(float), "whole numbers"),
        (ROWS, Y - 1, "labels count from 0"),
        (ROWS, 0 * Y, "at least 1"),
        (ROWS[:, 0], Y, "n_features"),
        (ROWS.astype(str), Y, "rows are numbers"),
    ],
)
def test_rows_that_make_no_sense_are_refused(x: Any, y: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        CompressData.of((x, y), (ROWS, Y), (ROWS, Y))


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(DataError, match="rows of the test part"):
        CompressData.of((ROWS, Y), (ROWS[:, :3], Y))
    with pytest.raises(DataError, match="the test part holds 0 to 5"):
        CompressData.of((ROWS, Y), (ROWS, np.arange(N) % 6))


def test_missing_and_infinite_values_are_refused() -> None:
    with pytest.raises(NotFiniteError, match="train"):
        CompressData.of((np.where(ROWS[0, 0] == ROWS, np.nan, ROWS), Y), (ROWS, Y), (ROWS, Y))


def test_the_latest_rows_are_held_out_where_time_is_in_order() -> None:
    x = np.arange(100.0)[:, None]
    data = CompressData.split(x, np.arange(100) % 2, is_time_ordered=True)
    assert data.test.x.min() == 80 and data.valid.x.min() == 72 and data.train.x.max() == 71
    mixed = CompressData.split(x, np.arange(100) % 2, seed=1)
    assert sorted(torch.cat([p.x for p in (mixed.train, mixed.valid, mixed.test)])[:, 0].tolist()) == list(range(100))  # fmt: skip


def test_a_shortened_study_still_knows_all_classes() -> None:
    by_class = np.argsort(Y, kind="stable")
    data = CompressData.of(*[(ROWS[by_class], Y[by_class])] * 3).shortened(33, 10)
    assert data.n_classes == 3 and (len(data.train.y), len(data.valid.y)) == (33, 10)
    assert len(data.shortened(1000, 1000).train.y) == 33


def test_npz_files_are_read_with_and_without_parts(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x=ROWS, y=Y)
    np.savez(tmp_path / "parts.npz", x_train=ROWS, y_train=Y, x_valid=ROWS[:9], y_valid=Y[:9],
             x_test=ROWS[:10], y_test=Y[:10])  # fmt: skip
    whole, parts = read_data(tmp_path / "whole.npz"), read_data(tmp_path / "parts.npz")
    assert (whole.name, len(whole.test.y), len(whole.valid.y)) == ("whole", 20, 8)
    assert (len(parts.train.y), len(parts.valid.y), len(parts.test.y)) == (100, 9, 10)


def test_grey_pictures_get_their_channel(tmp_path: Path) -> None:
    pictures = np.zeros((N, 8, 8), np.uint8)
    assert CompressData.split(pictures, Y).sample_shape == (1, 8, 8)


def wrong_npz(folder: Path) -> list[tuple[Path, str]]:
    np.savez(folder / "a.npz", a=ROWS)
    np.savez(folder / "half.npz", x_train=ROWS, y_train=Y, x_test=ROWS, y_test=Y, x_valid=ROWS)
    np.savez(folder / "objects.npz", x=np.array([{}]), y=Y)
    (folder / "text.npz").write_text("x,y")
    np.save(folder / "array.npy", ROWS)
    return [
        (folder / "a.npz", "holds the arrays"), (folder / "half.npz", "both or neither"),
        (folder / "objects.npz", "plain arrays"), (folder / "text.npz", "cannot be read"),
        (folder / "array.npy", "cannot be read"), (folder / "none.npz", "no file"),
        (Path("mnits"), "fashion_mnist"),
    ]  # fmt: skip


def test_files_that_hold_no_data_are_refused_by_name(tmp_path: Path) -> None:
    for path, why in wrong_npz(tmp_path):
        with pytest.raises(DataError, match=why):
            read_data(path)


FILE = """
from torch import nn
def net(): return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
def picky(n): return net()
def number(): return 3
def broken(): raise KeyError("no such thing")
constant = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "nets_of_mine.py").write_text(FILE)
    return tmp_path / "nets_of_mine.py"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".nested.pth"])
def test_weights_come_back_from_a_file(file: Path, tmp_path: Path, suffix: str) -> None:
    model, path = load_model(f"{file}:net"), tmp_path / f"weights{suffix}"
    state = model.state_dict()
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if "nested" in suffix else state, path)
    again = load_model(f"{file}:net", path)
    assert all(torch.equal(t, state[n]) for n, t in again.state_dict().items())


def test_a_module_is_found_in_the_working_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert isinstance(load_model("nets_of_mine:net"), nn.Sequential)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("{file}:absent", "has no function 'absent'; it has net"), ("{file}:constant", "no function"),
        ("{file}:number", "should return a torch.nn.Module, got int"),
        ("{file}:picky", "called without arguments and failed: TypeError"),
        ("{file}:broken", "KeyError: 'no such thing'"), ("{file}", "named as"), (":net", "named as"),
        ("{file}:not a name", "named as"), ("{file}.absent.py:net", "no file"),
        ("no.such.module:net", "cannot be imported"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_made_is_refused(file: Path, name: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        load_model(name.format(file=file))


def test_a_file_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import torch\nraise OSError('no licence')")
    with pytest.raises(DataError, match=r"bad.py' was run and failed: OSError: no licence"):
        load_model(f"{tmp_path / 'bad.py'}:net")


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("code of the file was run",))


def wrong_weights(folder: Path, model: nn.Module) -> list[tuple[Path, str]]:
    torch.save(model, folder / "module.pt")
    (folder / "evil.pt").write_bytes(pickle.dumps(Evil()))
    (folder / "noise.pt").write_bytes(b"noise")
    (folder / "noise.safetensors").write_bytes(b"noise")
    torch.save([torch.zeros(2)], folder / "list.pt")
    torch.save(mlp(4, 3).state_dict(), folder / "other.pt")
    torch.save({**model.state_dict(), "0.weight": torch.zeros(1)}, folder / "shape.pt")
    return [
        (folder / "module.pt", "save model.state_dict"), (folder / "evil.pt", "state_dict|weights"),
        (folder / "noise.pt", "weights"), (folder / "noise.safetensors", "safetensors file"),
        (folder / "list.pt", "should hold a state_dict"), (folder / "absent.pt", "no file of weights"),
        (folder / "other.pt", "another architecture: .*'4.weight' is not in the model"),
        (folder / "shape.pt", r"'0.weight' has shape \(1,\), the model's \(8, 4\)"),
    ]  # fmt: skip


def test_weights_that_are_none_or_of_another_model_are_refused(file: Path, tmp_path: Path) -> None:
    model = load_model(f"{file}:net")
    before = model[0].weight.clone()  # type: ignore[index]
    for path, why in wrong_weights(tmp_path, model):
        with pytest.raises(DataError, match=why):
            load_weights(model, path)
    assert torch.equal(model[0].weight, before)  # type: ignore[index]
