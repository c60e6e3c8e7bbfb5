"""The rivals of the accuracy benchmark, tuned by the same modest random search."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import lightgbm
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bimetal.encoders import Encoder

Draw = dict[str, Any]
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def draws(space: dict[str, Sequence[Any]], n: int, seed: int) -> list[Draw]:
    """Draw settings at random, each independent of the others."""
    rng = np.random.default_rng(seed)
    return [{k: v[rng.integers(len(v))] for k, v in space.items()} for _ in range(n)]


def inner_splits(y: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return three folds for short tables and one hold-out for long ones, inside the training rows."""
    if len(y) <= 5_000:
        splitter: Any = StratifiedKFold(3, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedShuffleSplit(1, test_size=0.25, random_state=seed)
    return list(splitter.split(y, y))


class TunedLightGBM:
    """LightGBM with native categories and missing values, early stopping in the search."""

    space: ClassVar = {
        "num_leaves": [4, 8, 16, 31, 63],
        "learning_rate": [0.02, 0.05, 0.1],
        "min_data_in_leaf": [5, 10, 20, 50, 100],
        "feature_fraction": [0.4, 0.6, 0.8, 1.0],
        "bagging_fraction": [0.6, 0.8, 1.0],
        "lambda_l2": [0.0, 1.0, 10.0],
    }
    default: ClassVar = {"num_leaves": 31, "learning_rate": 0.05, "min_data_in_leaf": 20}

    def __init__(self, n_draws: int, seed: int) -> None:
        self.n_draws, self.seed = n_draws, seed

    def tune(self, X: pd.DataFrame, y: np.ndarray) -> tuple[Draw, int]:
        """Return the best settings and their number of trees."""
        splits, best = inner_splits(y, self.seed), (-1.0, {}, 1)
        for settings in [self.default, *draws(self.space, self.n_draws, self.seed)]:
            scores, lengths = [], []
            for a, b in splits:
                train = lightgbm.Dataset(_categories(X.iloc[a]), y[a])
                valid = lightgbm.Dataset(_categories(X.iloc[b]), y[b], reference=train)
                stop = lightgbm.early_stopping(50, verbose=False)
                model = lightgbm.train(
                    self._params(settings), train, 1500, valid_sets=[valid], callbacks=[stop]
                )
                scores.append(model.best_score["valid_0"]["auc"])
                lengths.append(model.best_iteration)
            if np.mean(scores) > best[0]:
                best = (float(np.mean(scores)), settings, round(float(np.mean(lengths))))
        return best[1], max(1, best[2])

    def fit(
        self, X: pd.DataFrame, y: np.ndarray, tuned: tuple[Draw, int] | None = None
    ) -> "TunedLightGBM":
        settings, n_trees = tuned or self.tune(X, y)
        self.model = lightgbm.train(
            self._params(settings), lightgbm.Dataset(_categories(X), y), n_trees
        )
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(_categories(X))

    @property
    def n_bytes(self) -> int:
        return len(self.model.model_to_string())

    def _params(self, settings: Draw) -> Draw:
        return {
            **settings,
            "objective": "binary",
            "metric": "auc",
            "verbosity": -1,
            "bagging_freq": 1,
            "seed": self.seed,
            "num_threads": 1,
            "feature_pre_filter": False,
        }


class TunedMLP:
    """A float32 net on standardised numbers and one-hot categories (scikit-learn)."""

    space: ClassVar = {
        "hidden_layer_sizes": [(32,), (64,), (128,), (64, 64), (128, 64)],
        "alpha": [1e-4, 1e-3, 1e-2, 1e-1, 1.0],
        "learning_rate_init": [3e-4, 1e-3, 3e-3],
    }
    default: ClassVar = {"hidden_layer_sizes": (64,), "alpha": 1e-2, "learning_rate_init": 1e-3}

    def __init__(self, n_draws: int, seed: int) -> None:
        self.n_draws, self.seed = n_draws, seed

    def tune(self, X: pd.DataFrame, y: np.ndarray) -> Draw:
        splits, best = inner_splits(y, self.seed), (-1.0, {})
        for settings in [self.default, *draws(self.space, self.n_draws, self.seed)]:
            scores = [
                roc_auc_score(
                    y[b],
                    _fit(self._pipe(X, settings), X.iloc[a], y[a]).predict_proba(X.iloc[b])[:, 1],
                )
                for a, b in splits
            ]
            if np.mean(scores) > best[0]:
                best = (float(np.mean(scores)), settings)
        return best[1]

    def fit(self, X: pd.DataFrame, y: np.ndarray, tuned: Draw | None = None) -> "TunedMLP":
        self.model = _fit(self._pipe(X, tuned or self.tune(X, y)), X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict_proba(X)[:, 1]

    def _pipe(self, X: pd.DataFrame, settings: Draw) -> Pipeline:
        net = MLPClassifier(
            **settings,
            early_stopping=True,
            n_iter_no_change=8,
            max_iter=60,
            batch_size=min(256, max(16, len(X) // 20)),
            random_state=self.seed,
        )
        return make_pipeline(one_hot(X), net)


class LogisticOneHot:
    """Logistic regression on standardised numbers and one-hot categories, penalty by inner folds."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "LogisticOneHot":
        def pipe(c: float) -> Pipeline:
            return make_pipeline(one_hot(X), LogisticRegression(C=c, max_iter=2000))

        self.model = _fit(pipe(best_penalty(pipe, X, y, self.seed)), X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict_proba(X)[:, 1]


class LogisticOnBits:
    """Logistic regression on an encoder's bits, penalty by inner folds: the linear control."""

    def __init__(self, encoder: Encoder, seed: int) -> None:
        self.encoder, self.seed = encoder, seed

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> "LogisticOnBits":
        bits = pd.DataFrame(self.encoder.fit(X, y).transform(X).astype(np.float32))

        def model(c: float) -> LogisticRegression:
            return LogisticRegression(C=c, max_iter=2000)

        self.model = _fit(model(best_penalty(model, bits, y, self.seed)), bits, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        bits = pd.DataFrame(self.encoder.transform(X).astype(np.float32))
        return self.model.predict_proba(bits)[:, 1]


def best_penalty(make: Callable[[float], Any], X: pd.DataFrame, y: np.ndarray, seed: int) -> float:
    """Return the penalty with the best mean AUC on the inner splits."""
    splits = inner_splits(y, seed)

    def score(c: float) -> float:
        return float(
            np.mean(
                [
                    roc_auc_score(
                        y[b], _fit(make(c), X.iloc[a], y[a]).predict_proba(X.iloc[b])[:, 1]
                    )
                    for a, b in splits
                ]
            )
        )

    return max(PENALTIES, key=score)


def one_hot(X: pd.DataFrame) -> Any:
    """Numbers: median and a missing flag, then standardised. Categories: one-hot, rare ones pooled."""
    text = [c for c in X if not pd.api.types.is_numeric_dtype(X[c])]
    numbers = [c for c in X if c not in text]
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
            numbers,
        ),
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5), text),
    )


def _categories(X: pd.DataFrame) -> pd.DataFrame:
    """Text columns as categories of one fixed set, as LightGBM wants them."""
    return X.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype("category"))


def _fit(model: Any, X: pd.DataFrame, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)
