"""The dull baselines and the strong one: what else could be had from the same training rows.

All read the raw rows of the Program (numbers, codes of categories, NaN), so that no challenger is
slowed down or spoiled by a frame. Each is given the tuning that a careful user would give it: a
fifth of the training rows chooses the penalty or the number of trees, then all rows train.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.errors import MissingExtraError
from bimetal.metrics import log_loss

__all__ = ["CHALLENGERS", "CONTROL", "Challenger", "Lesson", "Rows"]

CONTROL = "scorecard on the same bits"

Rows = NDArray[np.float32]
PENALTIES = (0.003, 0.03, 0.3, 3.0)
MAX_TREES = 2_000
TREES: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 30,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.6,
    "lambda_l2": 1.0,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Challenger:
    """A fitted challenger.

    Attributes
    ----------
    name, note : str
        What it is called, and what it is in one sentence.
    score : callable
        Raw rows, float32 (n_rows, n_columns), to the probability of 1, (n_rows,).
    n_bytes : int
        Its size as one would store it.
    """

    name: str
    note: str
    score: Callable[[Rows], NDArray[Any]]
    n_bytes: int


@dataclass(frozen=True)
class Lesson:
    """Training rows with 0 and 1, the columns they have, their bits, and a seed."""

    rows: Rows
    y: NDArray[np.int64]
    columns: tuple[Column, ...]
    to_bits: Callable[[Rows], NDArray[np.bool_]]
    seed: int = 0


def logistic_one_hot(lesson: Lesson) -> Challenger:
    """Fit a logistic regression on scaled numbers, missing flags and one-hot categories."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    codes = [j for j, c in enumerate(lesson.columns) if c.kind == "category"]
    numbers = [j for j, c in enumerate(lesson.columns) if c.kind == "number"]
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=False)
    prepared = make_column_transformer((scaled, numbers), (one_hot, codes))
    pipeline = make_pipeline(prepared, _logistic())
    _choose_penalty(pipeline, "logisticregression__C", lesson.rows, lesson)
    return Challenger(
        "logistic regression",
        "on the columns: numbers scaled, categories one-hot, missing flagged",
        lambda rows: pipeline.predict_proba(rows)[:, 1],
        len(pickle.dumps(pipeline)),
    )


def logistic_on_bits(lesson: Lesson) -> Challenger:
    """Fit a logistic regression on the very bits that the model reads: the control."""
    model = _logistic()
    _choose_penalty(model, "C", lesson.to_bits(lesson.rows), lesson)
    return Challenger(
        CONTROL,
        "the control: logistic regression on the bits, without rules and nets",
        lambda rows: model.predict_proba(lesson.to_bits(rows))[:, 1],
        len(pickle.dumps(model)),
    )


def boosted_trees(lesson: Lesson) -> Challenger:
    """Fit LightGBM, stopped early on a fifth of the rows and grown again on all."""
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", "train", "the LightGBM challenger") from error
    codes = [j for j, c in enumerate(lesson.columns) if c.kind == "category"]
    fitting, watched = _inner_split(lesson)
    params = {**TREES, "seed": lesson.seed}

    def table(rows: Any) -> Any:
        return lightgbm.Dataset(
            lesson.rows[rows], lesson.y[rows], categorical_feature=codes or "auto"
        )

    stop = lightgbm.early_stopping(50, verbose=False)
    first = lightgbm.train(params, table(fitting), MAX_TREES, [table(watched)], callbacks=[stop])
    n_trees = max(1, first.best_iteration)
    booster = lightgbm.train(params, table(slice(None)), n_trees)
    return Challenger(
        "LightGBM",
        f"{n_trees} boosted trees of {TREES['num_leaves']} leaves, their number chosen by early stopping",
        lambda rows: np.asarray(booster.predict(rows, num_threads=1)),
        len(booster.model_to_string().encode()),
    )


CHALLENGERS = (logistic_one_hot, logistic_on_bits, boosted_trees)
"""Who is compared with; to add one, write a function and name it here."""


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(solver="newton-cholesky", max_iter=200)


def _choose_penalty(model: Any, name: str, x: NDArray[Any], lesson: Lesson) -> None:
    """Fit `model` on all rows with the penalty that does best on a fifth of them."""
    fitting, watched = _inner_split(lesson)
    losses = []
    for strength in PENALTIES:
        model.set_params(**{name: strength}).fit(x[fitting], lesson.y[fitting])
        losses.append(log_loss(lesson.y[watched], model.predict_proba(x[watched])[:, 1]))
    model.set_params(**{name: PENALTIES[int(np.argmin(losses))]}).fit(x, lesson.y)


def _inner_split(lesson: Lesson) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(lesson.y))
    fitting, watched = train_test_split(
        rows, test_size=0.2, stratify=lesson.y, random_state=lesson.seed
    )
    return fitting, watched
