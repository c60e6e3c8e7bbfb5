"""What is particular to each encoder."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from bimetal.encoders import CutPointEncoder, OptBinningEncoder, QuantileEncoder, TreeEncoder
from bimetal.encoders.quantile import midpoints, quantile_cuts
from bimetal.errors import ColumnError, DataError, MissingExtraError, NotFiniteError
from bimetal.program import GE

RNG = np.random.default_rng(0)
VALUES = st.lists(
    st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=60
)


def distinct(values: list[float]) -> Any:
    return np.unique(np.array(values, dtype=np.float32))


# --- quantiles -------------------------------------------------------------------------------


@settings(deadline=None)
@given(VALUES)
def test_a_midpoint_parts_its_two_neighbours(values: list[float]) -> None:
    ascending = distinct(values)
    middle = midpoints(ascending)
    assert (ascending[:-1] < middle).all()
    assert (middle <= ascending[1:]).all()


@settings(deadline=None)
@given(VALUES, st.integers(1, 20))
def test_quantile_cuts_ascend_and_part_the_values(values: list[float], n_cuts: int) -> None:
    ascending = distinct(values)
    cuts = quantile_cuts(ascending, np.ones(len(ascending)), n_cuts)
    assert len(cuts) == min(n_cuts, len(ascending) - 1)
    assert (np.diff(cuts) > 0).all()
    if len(cuts):
        assert ascending[0] < cuts[0]
        assert cuts[-1] <= ascending[-1]


def test_quantile_bins_have_equal_weight() -> None:
    values = np.arange(1000, dtype=np.float32)
    weights = np.where(values < 500, 3.0, 1.0)
    bins = np.digitize(values, quantile_cuts(values, weights, 9))
    shares = np.bincount(bins, weights=weights) / weights.sum()
    np.testing.assert_allclose(shares, 0.1, atol=0.003)


def test_a_heavy_value_takes_one_bin_and_leaves_the_others() -> None:
    values = np.arange(101, dtype=np.float32)
    weights = np.where(values == 0, 10_000.0, 1.0)
    cuts = quantile_cuts(values, weights, 5)
    np.testing.assert_array_equal(cuts, [0.5, 20.5, 40.5, 60.5, 80.5])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 4)), min_size=2, max_size=80))
def test_a_weight_of_n_is_n_rows(rows: list[tuple[int, int]]) -> None:
    X = np.array([[value] for value, _ in rows], dtype=float)
    weight = np.array([n for _, n in rows])
    assume(len(np.unique(X)) > 1)
    weighted = QuantileEncoder(max_bits_per_column=4).fit(X, sample_weight=weight)
    repeated = QuantileEncoder(max_bits_per_column=4).fit(X.repeat(weight, axis=0))
    assert weighted.bit_names_ == repeated.bit_names_


# --- categories ------------------------------------------------------------------------------


def test_bits_have_readable_names() -> None:
    frame = pd.DataFrame(
        {
            "age": [30, 31, None, 40],
            "housing": ["own", "rent", "own", None],
            "grade": ["A", "C", "B", "A"],
            "score": [-9, 600, 700, -9],
        }
    )
    encoder = QuantileEncoder(ordinal={"grade": ["A", "B", "C"]}, special_codes={"score": [-9]})
    assert encoder.fit(frame).bit_names_ == (
        "age >= 30.5",
        "age >= 35.5",
        "age is missing",
        "housing == own",
        "housing == rent",
        "housing is missing",
        "grade >= B",
        "grade >= C",
        "score >= 650",
        "score == -9",
    )
    assert encoder.get_feature_names_out().tolist() == list(encoder.bit_names_)


def test_a_category_needs_enough_rows() -> None:
    frame = pd.DataFrame({"x": ["a"] * 5 + ["b"] * 3 + ["c"] * 2})
    encoder = QuantileEncoder(min_category_count=3).fit(frame)
    assert encoder.bit_names_ == ("x == a", "x == b", "x is other")
    assert encoder.columns_[0].categories == ("a", "b")


def test_codes_of_an_array_stay_what_they_are() -> None:
    codes = np.repeat([0, 4, 2, 7], [5, 4, 3, 1])[:, None]
    for table in (codes, codes.tolist(), np.ma.masked_equal(codes, -1)):
        other = QuantileEncoder(categorical=["x0"], max_categories=2).fit(table)
        assert other.columns_[0].categories == tuple(range(8))
    encoder = QuantileEncoder(categorical=["x0"], max_categories=2).fit(codes)
    assert encoder.bit_names_ == ("x0 == 0", "x0 == 4")
    np.testing.assert_array_equal(encoder.transform(codes), codes == [0, 4])


def test_an_unknown_ordinal_sets_no_thermometer_bit() -> None:
    frame = pd.DataFrame({"grade": ["A", "B", "C", "Z"]})
    encoder = QuantileEncoder(ordinal={"grade": ["A", "B", "C"]}).fit(frame)
    assert encoder.bit_names_ == ("grade >= B", "grade >= C", "grade is other")
    np.testing.assert_array_equal(
        encoder.transform(frame), np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]], bool)
    )


def test_an_encoder_takes_its_place_in_a_pipeline() -> None:
    X = pd.DataFrame({"x": RNG.normal(size=300), "c": RNG.choice(["a", "b"], 300)})
    pipeline = make_pipeline(QuantileEncoder(), LogisticRegression())
    assert pipeline.fit(X, X["x"].abs() < 0.5).score(X, X["x"].abs() < 0.5) > 0.9


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(DataError, match="QuantileEncoder has no parameter 'depth'"):
        QuantileEncoder().set_params(depth=3)


def test_encoders_import_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys, bimetal.encoders; print({'torch', 'sklearn', 'lightgbm'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


# --- trees -----------------------------------------------------------------------------------


def stairs(n_rows: int = 2000) -> tuple[Any, Any]:
    """Draw two columns; the target jumps at 3 and 7 of the first and ignores the second."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 10, n_rows), rng.normal(size=n_rows)])
    p = np.select([X[:, 0] < 3, X[:, 0] < 7], [0.1, 0.6], 0.9)
    return X, (rng.random(n_rows) < p).astype(int)


def test_trees_cut_where_the_target_jumps() -> None:
    X, y = stairs()
    encoder = TreeEncoder(max_bits=2, n_trees=10).fit(X, y)
    assert encoder.bit_names_ == ("x0 >= 2.5", "x0 >= 6.5")


@pytest.mark.parametrize("kind", ["binary", "multiclass", "text", "bool", "regression"])
def test_trees_learn_from_every_kind_of_target(kind: str) -> None:
    X, y = stairs()
    target = {
        "binary": y,
        "multiclass": y + (X[:, 0] > 6.5),
        "text": np.where(y, "bad", "good").astype(object),
        "bool": y.astype(bool),
        "regression": y * 1.5 + 0.001 * X[:, 1],
    }[kind]
    names = TreeEncoder(max_bits=3, n_trees=10).fit(X, target).bit_names_
    assert "x0 >= 2.5" in names


def test_a_tree_cut_parts_the_training_rows_as_the_threshold_did() -> None:
    import lightgbm

    X, y = stairs(500)
    X[::7, 1] = np.nan
    options = {"verbosity": -1, "num_leaves": 15, "min_data_in_leaf": 20, "objective": "binary"}
    model = lightgbm.train(options, lightgbm.Dataset(X.astype(np.float32).astype(float), y), 1)
    nodes = model.trees_to_dataframe().dropna(subset=["threshold"])
    encoder = TreeEncoder(n_trees=1, max_bits_per_column=100, missing="always").fit(X, y)
    bits = {tuple(column) for column in encoder.transform(X)[:, encoder.op_.kind == GE].T}
    for feature, threshold in zip(nodes["split_feature"], nodes["threshold"], strict=True):
        is_right = X[:, int(feature[-1])].astype(np.float32) > threshold
        assert tuple(is_right) in bits


def test_trees_keep_to_both_limits() -> None:
    X = RNG.normal(size=(1000, 6))
    y = X @ RNG.normal(size=6) + RNG.normal(size=1000)
    op = TreeEncoder(max_bits_per_column=10, max_bits=30).fit(X, y).op_
    assert len(op.column) == 30
    assert np.bincount(op.column).max() <= 10


def test_fill_adds_quantiles_up_to_the_limit_without_repeating_a_bit() -> None:
    X, y = stairs()
    plain = TreeEncoder(n_trees=2, n_leaves=3, max_bits_per_column=5).fit(X, y)
    filled = TreeEncoder(n_trees=2, n_leaves=3, max_bits_per_column=5, fill=True).fit(X, y)
    assert set(plain.bit_names_) < set(filled.bit_names_)
    assert np.bincount(filled.op_.column).tolist() == [5, 5]
    assert len(np.unique(filled.transform(X), axis=1).T) == 10


def test_quantiles_stand_in_where_trees_find_no_split() -> None:
    X = np.arange(6.0)[:, None]
    assert TreeEncoder().fit(X, np.zeros(6)).bit_names_ == QuantileEncoder().fit(X).bit_names_


def test_threads_do_not_change_the_cut_points() -> None:
    X, y = stairs(400)
    one, two = (TreeEncoder(n_threads=n, n_trees=5).fit(X, y) for n in (1, 2))
    assert one.bit_names_ == two.bit_names_


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, DataError, r"TreeEncoder learns its cut-points from the target"),
        ([0.0, np.nan, 1.0], NotFiniteError, "y must be finite"),
        (np.array(["a", None, "b"], dtype=object), DataError, "y has missing values"),
        (pd.Series(["a", None, "b"], dtype="string"), DataError, "y has missing values"),
    ],
)
def test_trees_need_a_whole_target(y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TreeEncoder().fit(np.arange(3.0)[:, None], y)
    with pytest.raises(DataError, match="task must be"):
        TreeEncoder(task="rank").fit(np.arange(3.0)[:, None], [0, 1, 2])  # type: ignore[arg-type]


# --- cut-points of the user ------------------------------------------------------------------


def test_the_users_cut_points_are_kept() -> None:
    X = np.array([[17.0, 5.0], [18.0, 6.0], [70.0, 7.0]])
    encoder = CutPointEncoder(cut_points={"x0": [18, 65]}).fit(X)
    assert encoder.bit_names_ == ("x0 >= 18", "x0 >= 65")
    np.testing.assert_array_equal(encoder.transform(X), np.array([[0, 0], [1, 0], [1, 1]], bool))


@pytest.mark.parametrize(
    ("cuts", "error", "message"),
    [
        ({"age": [65, 18]}, DataError, "must ascend"),
        ({"age": [18, 18]}, DataError, "must ascend"),
        ({"age": [18, 18 + 1e-9]}, DataError, "as float32"),
        ({"age": [18, np.nan]}, DataError, "finite"),
        ({"age": [1e300]}, DataError, "finite"),
        ({"age": [[18]]}, DataError, "list of numbers"),
        ({"age": ["young"]}, DataError, "list of numbers"),
        ({"ages": [18]}, ColumnError, r"cut_points names \[ages\]"),
        ({"housing": [18]}, ColumnError, "'housing', which holds categories"),
        ({"grade": [0.5, 2.5]}, DataError, r"codes in \(0, 1\]"),
    ],
)
def test_cut_points_that_contradict_themselves_are_refused(
    cuts: Any, error: type[Exception], message: str
) -> None:
    frame = pd.DataFrame({"age": [20.0, 70.0], "housing": ["own", "rent"], "grade": ["A", "B"]})
    with pytest.raises(error, match=message):
        CutPointEncoder(cut_points=cuts, ordinal={"grade": ["A", "B"]}).fit(frame)


# --- optimal binning -------------------------------------------------------------------------


def test_optimal_binning_without_its_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "optbinning", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bimetal\[binning\]'"):
        OptBinningEncoder().fit(*stairs(100))


def test_trees_without_their_package_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bimetal\[train\]'"):
        TreeEncoder().fit(*stairs(100))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_optimal_binning_cuts_where_the_target_jumps(kind: str) -> None:
    pytest.importorskip("optbinning")
    X, y = stairs()
    again = np.random.default_rng(1).permuted(y) * y  # some of the bad are very bad
    target = {"binary": y, "multiclass": y + again, "regression": y * 1.5}[kind]
    names = OptBinningEncoder().fit(X, target).bit_names_
    assert {"x0 >= 2.5", "x0 >= 6.5"} <= set(names)


def test_quantiles_share_their_cut_points_fairly() -> None:
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(size=(500, 3)), rng.integers(0, 3, 500)].astype("f4")
    op = QuantileEncoder(max_bits_per_column=24, max_bits=32).fit(X).op_
    assert np.bincount(op.column).tolist() == [
        10,
        10,
        10,
        2,
    ]  # what the last leaves goes to the others
    assert np.bincount(QuantileEncoder(max_bits=2).fit(X).op_.column).tolist() == [1, 1, 1, 1]
    with pytest.raises(DataError, match="max_bits must be at least 1, got 0"):
        QuantileEncoder(max_bits=0).fit(X)
