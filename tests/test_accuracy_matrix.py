"""The measures of continual learning are what their papers say, by plain loops and by laws."""

import json
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bimetal.continual.harness.matrix import MEASURES, AccuracyMatrix
from bimetal.continual.harness.spread import MeanAndSd, mean_and_sd
from bimetal.errors import DataError, FormatError
from bimetal.report.continual_plots import draw_curves, draw_matrix
from bimetal.report.theme import DARK, LIGHT

NAN = float("nan")
LAW = settings(max_examples=40, deadline=None)


def drawn(seed: int, n: int) -> AccuracyMatrix:
    rng = np.random.default_rng(seed)
    return AccuracyMatrix(rng.random((n, n)), rng.random(n))


matrices = st.builds(drawn, st.integers(0, 2**32), st.integers(2, 8))


# --- against plain loops -----------------------------------------------------------------------


def by_loops(R: list[list[float]], b: list[float]) -> dict[str, float]:
    """Return the measures as the papers write them, with tasks from 1 to T."""
    T = len(R)

    def a(i: int, j: int) -> float:
        return R[i - 1][j - 1]

    mean = statistics.fmean
    return {
        "average_accuracy": mean(a(T, j) for j in range(1, T + 1)),
        "anytime_accuracy": mean(mean(a(i, j) for j in range(1, i + 1)) for i in range(1, T + 1)),
        "learning_accuracy": mean(a(j, j) for j in range(1, T + 1)),
        "backward_transfer": mean(a(T, j) - a(j, j) for j in range(1, T)),
        "forward_transfer": mean(a(j - 1, j) - b[j - 1] for j in range(2, T + 1)),
        "forgetting": mean(max(a(i, j) for i in range(j, T)) - a(T, j) for j in range(1, T)),
    }


@LAW
@given(matrices)
def test_measures_are_those_of_the_papers(matrix: AccuracyMatrix) -> None:
    assert matrix.baseline is not None
    expected = by_loops(matrix.accuracy.tolist(), matrix.baseline.tolist())
    assert set(expected) == set(MEASURES)
    assert matrix.measures() == pytest.approx(expected, abs=1e-12)


def test_an_example_worked_by_hand() -> None:
    matrix = AccuracyMatrix(
        [[0.9, 0.2, 0.1], [0.95, 0.8, 0.3], [0.5, 0.6, 0.7]], baseline=[0.1, 0.1, 0.1]
    )
    assert matrix.average_accuracy == pytest.approx((0.5 + 0.6 + 0.7) / 3)
    assert matrix.learning_accuracy == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    assert matrix.backward_transfer == pytest.approx((-0.4 - 0.2) / 2)
    assert matrix.forgetting == pytest.approx((0.45 + 0.2) / 2)
    assert matrix.forward_transfer == pytest.approx((0.1 + 0.2) / 2)
    assert matrix.curve() == pytest.approx([0.9, 0.875, 0.6])
    assert matrix.last(2) == pytest.approx(0.65)
    assert matrix.intransigence([0.9, 0.9, 0.9]) == pytest.approx(0.1)


# --- laws ----------------------------------------------------------------------------------------


@LAW
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_who_forgets_nothing_has_no_forgetting_and_no_backward_transfer(
    learned: list[float],
) -> None:
    matrix = AccuracyMatrix(np.tile(learned, (len(learned), 1)))
    assert matrix.forgetting == matrix.backward_transfer == 0
    assert matrix.average_accuracy == pytest.approx(matrix.learning_accuracy)
    assert matrix.intransigence(learned) == 0


@LAW
@given(matrices)
def test_what_is_left_is_what_was_learned_plus_what_was_transferred_back(
    matrix: AccuracyMatrix,
) -> None:
    n = matrix.n_tasks
    assert matrix.backward_transfer is not None
    gained = matrix.backward_transfer * (n - 1) / n
    assert matrix.average_accuracy == pytest.approx(matrix.learning_accuracy + gained)


@LAW
@given(matrices)
def test_forgetting_is_never_less_than_minus_backward_transfer(matrix: AccuracyMatrix) -> None:
    assert matrix.forgetting is not None
    assert matrix.backward_transfer is not None
    assert matrix.forgetting >= -matrix.backward_transfer - 1e-12


@LAW
@given(matrices)
def test_the_curve_is_the_average_of_the_first_tasks(matrix: AccuracyMatrix) -> None:
    averages = [matrix.first(n).average_accuracy for n in range(1, matrix.n_tasks + 1)]
    assert matrix.curve() == pytest.approx(averages)
    assert matrix.anytime_accuracy == pytest.approx(statistics.fmean(averages))


@LAW
@given(matrices)
def test_the_last_tasks_are_all_of_them_in_the_end(matrix: AccuracyMatrix) -> None:
    assert matrix.last(matrix.n_tasks) == pytest.approx(matrix.average_accuracy)
    assert matrix.last(1) == matrix.accuracy[-1, -1]


@LAW
@given(matrices)
def test_tasks_that_had_not_come_count_in_forward_transfer_only(matrix: AccuracyMatrix) -> None:
    lower = np.where(np.tri(matrix.n_tasks, dtype=bool), matrix.accuracy, NAN)
    without = AccuracyMatrix(lower, matrix.baseline)
    assert without.forward_transfer is None
    assert without.measures() == matrix.measures() | {"forward_transfer": None}


def test_a_stream_is_one_column_and_its_average_is_the_last_entry() -> None:
    stream = AccuracyMatrix.of_stream([0.5, 0.75, 0.625], ("a", "b", "c"), "auc")
    assert (stream.accuracy == stream.accuracy[:, :1]).all()
    assert stream.curve().tolist() == [0.5, 0.75, 0.625]
    assert stream.average_accuracy == stream.last(1) == 0.625
    assert stream.forgetting == pytest.approx(0.125)
    assert (stream.tasks, stream.metric) == (("a", "b", "c"), "auc")


# --- what was not measured ------------------------------------------------------------------------


def test_one_task_has_nothing_to_forget_and_nothing_to_transfer() -> None:
    measures = AccuracyMatrix([[0.9]], [0.1]).measures()
    assert measures.pop("average_accuracy") == measures.pop("learning_accuracy") == 0.9
    assert measures.pop("anytime_accuracy") == 0.9
    assert set(measures.values()) == {None}


def test_forward_transfer_needs_a_baseline() -> None:
    assert AccuracyMatrix([[0.9, 0.2], [0.6, 0.8]]).forward_transfer is None
    assert AccuracyMatrix([[0.9, 0.2], [0.6, 0.8]], [NAN, NAN]).forward_transfer is None


@pytest.mark.parametrize(
    ("gap", "lacking"),
    [
        ((2, 0), {"average_accuracy", "anytime_accuracy", "backward_transfer", "forgetting"}),
        ((1, 1), {"learning_accuracy", "anytime_accuracy", "backward_transfer", "forgetting"}),
        ((1, 0), {"anytime_accuracy", "forgetting"}),
        ((0, 2), set()),
        ((0, 1), {"forward_transfer"}),
    ],
)
def test_a_gap_is_named_by_the_measures_that_need_it(
    gap: tuple[int, int], lacking: set[str]
) -> None:
    entries = drawn(0, 3).accuracy.copy()
    entries[gap] = NAN
    matrix = AccuracyMatrix(entries, [0.1] * 3, ("red", "green", "blue"))
    assert {name for name, value in matrix.measures().items() if value is None} == lacking
    for name in lacking - {"forward_transfer"}:
        names = "'{0[%d]}'.*'{0[%d]}'" % gap[::-1]  # noqa: UP031
        with pytest.raises(DataError, match=names.format(matrix.tasks)):
            getattr(matrix, name)


# --- the door --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": [[0.9, 0.8]]}, r"\(n_tasks, n_tasks\) was expected, got shape \(1, 2\)"),
        ({"accuracy": [0.9, 0.8]}, r"got shape \(2,\)"),
        ({"accuracy": np.empty((0, 0))}, r"got shape \(0, 0\)"),
        ({"accuracy": [[90.0]]}, "not percent.* got 90"),
        ({"accuracy": [[-0.1]]}, "got -0.1"),
        ({"accuracy": [[float("inf")]]}, "got inf"),
        ({"accuracy": [["much"]]}, "must be numbers"),
        ({"accuracy": [[0.9]], "baseline": [0.1, 0.1]}, r"shape \(1,\), got \(2,\)"),
        ({"accuracy": [[0.9]], "baseline": [2.0]}, "baseline must be of 0 to 1"),
        ({"accuracy": [[0.9]], "tasks": ("a", "b")}, "expected 1 names"),
        ({"accuracy": [[0.9]], "metric": "gini"}, "accuracy.*auc.*got 'gini'"),
    ],
)
def test_what_is_no_matrix_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        AccuracyMatrix(**arguments)


def test_questions_out_of_range_are_refused() -> None:
    matrix = drawn(0, 3)
    for n in (0, 4):
        with pytest.raises(DataError, match="1 to 3"):
            matrix.last(n)
        with pytest.raises(DataError, match="1 to 3"):
            matrix.first(n)
    for reference in ([0.9, 0.9], [0.9, 0.9, NAN]):
        with pytest.raises(DataError, match="3 numbers"):
            matrix.intransigence(reference)
    with pytest.raises(DataError, match="each piece"):
        AccuracyMatrix.of_stream([[0.5]])


def test_a_matrix_is_its_own_copy_and_cannot_be_written_to() -> None:
    given_array: NDArray[np.float64] = np.array([[0.5]])
    matrix = AccuracyMatrix(given_array)
    given_array[0, 0] = 0.7
    assert matrix.accuracy[0, 0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        matrix.accuracy[0, 0] = 0.7


# --- as text -----------------------------------------------------------------------------------------


@LAW
@given(matrices, st.booleans(), st.booleans())
def test_json_keeps_every_bit_and_every_gap(
    matrix: AccuracyMatrix, is_lower: bool, has_baseline: bool
) -> None:
    keep = np.tri(matrix.n_tasks, dtype=bool) if is_lower else True
    names = tuple(f"task “{j}”" for j in range(matrix.n_tasks))
    entries = np.where(keep, matrix.accuracy, NAN)
    one = AccuracyMatrix(entries, matrix.baseline if has_baseline else None, names, "auc")
    other = AccuracyMatrix.from_json(one.to_json())
    assert other.values() == one.values()
    assert np.array_equal(other.accuracy, one.accuracy, equal_nan=True)


def test_measures_in_a_text_are_not_believed() -> None:
    values = AccuracyMatrix([[0.5]]).values()
    values["measures"]["average_accuracy"] = 1.0
    assert AccuracyMatrix.from_json(json.dumps(values)).average_accuracy == 0.5


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "an accuracy matrix"),
        ('{"tasks": ["a"], "matrix": [[1]], "baseline": null}', FormatError, "metric"),
        ('{"metric": "auc", "tasks": "a", "matrix": [[1]], "baseline": null}', FormatError, "names"),
        ('{"metric": "auc", "tasks": ["a"], "matrix": [[2]], "baseline": null}', DataError, "0 to 1"),
        ('{"metric": ["auc"], "tasks": ["a"], "matrix": [[1]], "baseline": null}', DataError, "one of"),
        ('{"metric": "auc", "tasks": ["a"], "matrix": {}, "baseline": null}', DataError, "numbers"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_matrix_is_refused(
    text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        AccuracyMatrix.from_json(text)


# --- several seeds -------------------------------------------------------------------------------------


@LAW
@given(st.lists(st.integers(0, 2**32), min_size=2, max_size=5))
def test_mean_and_deviation_are_those_of_the_single_runs(seeds: list[int]) -> None:
    runs = [drawn(seed, 4) for seed in seeds]
    found = mean_and_sd(runs)
    assert tuple(found) == MEASURES
    for name, (mean, sd) in found.items():
        values = [run.measures()[name] for run in runs]
        assert mean == pytest.approx(statistics.fmean(values))  # type: ignore[arg-type]
        assert sd == pytest.approx(statistics.stdev(values), abs=1e-12)  # type: ignore[type-var]


def test_one_run_has_no_deviation_and_a_measure_that_a_run_lacks_is_left_out() -> None:
    whole, lower = drawn(0, 2), AccuracyMatrix([[0.9, NAN], [0.6, 0.8]])
    assert mean_and_sd([lower])["average_accuracy"] == MeanAndSd(pytest.approx(0.7), None)
    assert set(mean_and_sd([whole, lower])) == set(MEASURES) - {"forward_transfer"}
    assert MeanAndSd(-0.0321, 0.01).percent() == "−3.2 ± 1.0"


@pytest.mark.parametrize(
    "runs", [[], [drawn(0, 2), drawn(0, 3)], [drawn(0, 2), AccuracyMatrix(np.eye(2), metric="auc")]]
)
def test_runs_of_different_kinds_have_no_mean(runs: list[AccuracyMatrix]) -> None:
    with pytest.raises(DataError, match="equally many tasks and one metric"):
        mean_and_sd(runs)


# --- pictures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 13])
def test_pictures_are_png_files_and_come_in_light_and_dark(n: int) -> None:
    matrix = drawn(0, n)
    runs = {"a $": [matrix, drawn(1, n)], "b": [matrix]}
    for light, dark in (
        (draw_matrix(matrix, LIGHT), draw_matrix(matrix, DARK)),
        (draw_curves(runs, LIGHT), draw_curves(runs, DARK)),
    ):
        assert light[:8] == dark[:8] == b"\x89PNG\r\n\x1a\n"
        assert light != dark


def test_the_picture_of_a_matrix_shows_no_task_before_its_turn() -> None:
    matrix = drawn(0, 3)
    lower = np.where(np.tri(3, dtype=bool), matrix.accuracy, NAN)
    assert draw_matrix(matrix, LIGHT) == draw_matrix(AccuracyMatrix(lower), LIGHT)
    assert draw_matrix(matrix, LIGHT) != draw_matrix(drawn(1, 3), LIGHT)


def test_a_stream_is_one_curve() -> None:
    width = {
        name: int.from_bytes(draw_curves({"a": [matrix]}, LIGHT)[16:20], "big")
        for name, matrix in (("tasks", drawn(0, 3)), ("stream", AccuracyMatrix.of_stream([0.5, 0.6, 0.7])))
    }  # fmt: skip
    assert width["stream"] < width["tasks"]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "got nothing"),
        ({"a": []}, r"none for \['a'\]"),
        ({"a": [drawn(0, 2)], "b": [drawn(0, 3)]}, "equally many tasks"),
        ({"a": [AccuracyMatrix([[0.9, NAN], [NAN, 0.8]])]}, "was not measured"),
    ],
)
def test_curves_of_nothing_are_refused(runs: dict[str, list[AccuracyMatrix]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw_curves(runs, LIGHT)
