"""The strong challengers: LightGBM, tuned and untuned, and the explainable boosting machine (EBM).

Ke et al., "LightGBM" (NeurIPS 2017); Nori et al., "InterpretML" (2019, arXiv:1909.09223). One thread and
a seed: the same rows give the same model.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import MissingExtraError
from bimetal.finance.credit.rivals import Floats, Rival, Split, inner_splits

__all__ = ["Ebm", "LightGbm"]

Settings = dict[str, Any]
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]

SPACE: dict[str, tuple[float, ...]] = {
    "num_leaves": (4, 8, 16, 31, 63),
    "learning_rate": (0.02, 0.05, 0.1),
    "min_data_in_leaf": (5, 10, 20, 50, 100),
    "feature_fraction": (0.4, 0.6, 0.8, 1.0),
    "bagging_fraction": (0.6, 0.8, 1.0),
    "lambda_l2": (0.0, 1.0, 10.0),
}
"""What the random search draws from."""
SENSIBLE: Settings = {"num_leaves": 31, "learning_rate": 0.05, "min_data_in_leaf": 20}
MAX_TREES = 1_500
PATIENCE = 50
DEFAULT_TREES = 100
"""Trees of LightGBM when nobody tunes anything."""


class LightGbm(Rival):
    """Gradient-boosted trees, with settings by a random search.

    Missing values go to the side of each split that fits best (LightGBM's own way); special codes
    are numbers like any other, which trees can cut off. Categories are split by groups, natively;
    one never seen is missing.

    Parameters
    ----------
    n_draws : int
        Settings that the search draws from `SPACE`, besides a sensible one; the best mean AUC wins,
        on three folds up to 5,000 rows and on a quarter held out above, with early stopping; then
        all rows grow the mean number of trees. 0: no search at all, LightGBM's own defaults.
    categorical : sequence of str, optional
        Whole numbers that are codes of categories.
    special_codes : mapping, optional
        Taken so that all challengers take the same, and not used.
    random_state : int
        Seed of the search, the splits and the trees.

    Attributes
    ----------
    settings_ : dict
        What was chosen, in LightGBM's words.
    n_trees_ : int
    booster_ : lightgbm.Booster
    """

    def __init__(
        self,
        *,
        n_draws: int = 12,
        categorical: Sequence[str] | None = None,
        special_codes: Mapping[str, Sequence[float]] | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_draws = n_draws
        self.categorical = categorical
        self.special_codes = special_codes
        self.random_state = random_state

    def _learn(self, rows: Rows, y: Labels, weight: Floats) -> None:
        self.settings_, self.n_trees_ = self._choose(rows, y, weight)
        data = self._dataset(rows, y, weight, slice(None))
        self.booster_ = _lightgbm().train(self._params(self.settings_), data, self.n_trees_)

    def _probability(self, rows: Rows) -> Floats:
        return np.asarray(self.booster_.predict(rows, num_threads=1), np.float64)

    def _choose(self, rows: Rows, y: Labels, weight: Floats) -> tuple[Settings, int]:
        if self.n_draws == 0:
            return {}, DEFAULT_TREES
        rng = np.random.default_rng(self.random_state)
        drawn = [_draw(rng) for _ in range(self.n_draws)]
        splits = inner_splits(y, self.random_state)
        tried = []
        for settings in [SENSIBLE, *drawn]:
            runs = [self._watch(settings, rows, y, weight, split) for split in splits]
            score, length = np.mean(runs, axis=0)
            tried.append((float(score), settings, max(1, round(float(length)))))
        best = max(tried, key=lambda trial: trial[0])
        return best[1], best[2]

    def _watch(
        self, settings: Settings, rows: Rows, y: Labels, weight: Floats, split: Split
    ) -> tuple[float, int]:
        """Return AUC and number of trees where it was best, on the rows held out."""
        lightgbm = _lightgbm()
        fitting, watched = split
        data = self._dataset(rows, y, weight, fitting)
        held = data.create_valid(rows[watched], y[watched], weight[watched])
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        model = lightgbm.train(self._params(settings), data, MAX_TREES, [held], callbacks=[stop])
        return model.best_score["valid_0"]["auc"], model.best_iteration

    def _dataset(self, rows: Rows, y: Labels, weight: Floats, which: Any) -> Any:
        codes = [j for j, c in enumerate(self.columns_) if c.kind == "category"]
        return _lightgbm().Dataset(
            rows[which], y[which], weight=weight[which], categorical_feature=codes
        )

    def _params(self, settings: Settings) -> Settings:
        return {
            **settings,
            "objective": "binary",
            "metric": "auc",
            "bagging_freq": 1,
            "seed": self.random_state,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "feature_pre_filter": False,
            "verbosity": -1,
        }


class Ebm(Rival):
    """An explainable boosting machine: a sum of curves and of pairs, with the package's defaults.

    Missing values have a score of their own in each column; special codes are numbers like any
    other. Categories are nominal; one never seen has a score of its own, too.

    Parameters
    ----------
    settings : mapping, optional
        Passed on to `interpret.glassbox.ExplainableBoostingClassifier`.
    n_jobs : int
        Processes; the answer does not depend on them.
    categorical, special_codes, random_state
        As for `LightGbm`.

    Attributes
    ----------
    model_ : interpret.glassbox.ExplainableBoostingClassifier
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        n_jobs: int = 1,
        categorical: Sequence[str] | None = None,
        special_codes: Mapping[str, Sequence[float]] | None = None,
        random_state: int = 0,
    ) -> None:
        self.settings = settings
        self.n_jobs = n_jobs
        self.categorical = categorical
        self.special_codes = special_codes
        self.random_state = random_state

    def _learn(self, rows: Rows, y: Labels, weight: Floats) -> None:
        try:
            from interpret.glassbox import ExplainableBoostingClassifier
        except ImportError as error:
            raise MissingExtraError("interpret-core", "credit", "the EBM challenger") from error
        kinds = {"number": "continuous", "category": "nominal"}
        self.model_ = ExplainableBoostingClassifier(
            feature_names=[column.name for column in self.columns_],
            feature_types=[kinds[column.kind] for column in self.columns_],
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            **(self.settings or {}),
        )
        with _quiet():
            self.model_.fit(rows.astype(np.float64), y, weight)

    def _probability(self, rows: Rows) -> Floats:
        with _quiet():
            return np.asarray(self.model_.predict_proba(rows.astype(np.float64))[:, 1])


def _quiet() -> Any:
    """Keep back what the package says about pictures, which are not drawn here."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _draw(rng: np.random.Generator) -> Settings:
    return {name: values[rng.integers(len(values))] for name, values in SPACE.items()}


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", "train", "the LightGBM challenger") from error
    return lightgbm
