"""Cut-points where a small gradient-boosted forest splits: bins that the target asked for.

Thermometer bits with such cut-points are the piecewise-linear encoding of Gorishniy et al.,
"On Embeddings for Numerical Features in Tabular Deep Learning" (2022), its ramps made steps.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.encoders.base import Encoder
from bimetal.encoders.quantile import midpoints, quantile_cuts
from bimetal.encoders.target import Task, read_target
from bimetal.encoders.training import Training
from bimetal.errors import MissingExtraError

__all__ = ["TreeEncoder"]


@dataclass(kw_only=True, eq=False)
class TreeEncoder(Encoder):
    """Cut numbers at the split thresholds of a small LightGBM model, those of most gain first.

    Parameters
    ----------
    max_bits : int, optional
        At most this many cut-points over all columns; by default 256, or 12 a column if that is more.
    fill : bool
        Whether a column with fewer cut-points than `max_bits_per_column` gets quantiles besides.
    task : {"auto", "classification", "regression"}
        What `y` is. "auto" reads it off: text, booleans and at most 20 whole numbers are classes.
    n_trees, n_leaves : int
        Size of the model.
    n_threads : int
        Threads to train with; the result does not depend on it.
    random_state : int
        Seed of the model.

    See `Encoder` for the other parameters and the attributes. Where the trees find no split at all
    (a handful of rows, a target that does not vary), quantiles stand in.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(200.0).reshape(-1, 1)
    >>> encoder = TreeEncoder(max_bits_per_column=1).fit(X, X[:, 0] > 120)
    >>> encoder.bit_names_
    ('x0 >= 120.5',)
    """

    max_bits_per_column: int = 32
    max_bits: int | None = None
    fill: bool = False
    task: Literal["auto", "classification", "regression"] = "auto"
    n_trees: int = 100
    n_leaves: int = 15
    n_threads: int = 1
    random_state: int = 0

    def _cut_points(self, training: Training) -> dict[int, NDArray[np.float32]]:
        gains = self._gains(training) if training.thermometers else {}
        chosen = _most_gain(gains, self.max_bits_per_column, self._budget(training))
        if self.fill or not chosen:
            return self._filled(training, chosen)
        return chosen

    def _budget(self, training: Training) -> int:
        return self.max_bits if self.max_bits is not None else max(256, 12 * len(training.columns))

    def _gains(self, training: Training) -> dict[int, dict[np.float32, float]]:
        """Return the total gain of every cut-point, by column."""
        target, task = read_target(training, self.task, type(self).__name__)
        values = {j: training.values(j)[0] for j in training.thermometers}
        between = {j: midpoints(values[j]) for j in values}
        gains: dict[int, dict[np.float32, float]] = {j: defaultdict(float) for j in values}
        for j, threshold, gain in _splits(self._train(training, target, task)):
            # A tree sends x <= threshold to the left. Halfway between the two values that it
            # parts, a cut-point gives the same bins and reads better. A threshold beyond the last
            # value parts the missing from the present, which is the missing bit's work.
            if j not in values:
                continue  # one value and gaps: the trees parted the missing from the present
            n_left = int(np.searchsorted(values[j], threshold, side="right"))
            if 0 < n_left < len(values[j]):
                gains[j][between[j][n_left - 1]] += gain
        return gains

    def _train(self, training: Training, target: NDArray[np.float64], task: Task) -> Any:
        try:
            import lightgbm
        except ImportError as error:
            raise MissingExtraError("lightgbm", "train", "TreeEncoder") from error
        categories = [
            j
            for j, c in enumerate(training.columns)
            if c.kind == "category" and j not in training.ordinal
        ]
        table = training.regular.astype(np.float64)
        table[:, categories] = np.where(table[:, categories] < 0, np.nan, table[:, categories])
        data = lightgbm.Dataset(
            table,
            target,
            weight=training.weight,
            categorical_feature=categories,
            free_raw_data=True,
        )
        return lightgbm.train(self._options(len(table), target, task), data, self.n_trees)

    def _options(self, n_rows: int, target: NDArray[np.float64], task: Task) -> dict[str, Any]:
        options: dict[str, Any] = {
            "objective": task,
            "num_leaves": self.n_leaves,
            "learning_rate": 0.1,
            "min_data_in_leaf": max(1, min(20, n_rows // 20)),
            "max_bin": 255,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.n_threads,
            "seed": self.random_state,
            "verbosity": -1,
        }
        if task == "multiclass":
            options["num_class"] = int(target.max()) + 1
        return options

    def _filled(
        self, training: Training, chosen: Mapping[int, NDArray[np.float32]]
    ) -> dict[int, NDArray[np.float32]]:
        left = self._budget(training) - sum(map(len, chosen.values()))
        filled = dict(chosen)
        for j in training.thermometers:
            mine = filled.get(j, np.empty(0, np.float32))
            values, weights = training.values(j)
            more = quantile_cuts(values, weights, self.max_bits_per_column)
            # Two cut-points between the same two values would be one bit twice.
            is_new = ~np.isin(np.searchsorted(values, more), np.searchsorted(values, mine))
            more = more[is_new][: max(0, min(left, self.max_bits_per_column - len(mine)))]
            left -= len(more)
            filled[j] = np.sort(np.concatenate([mine, more]))
        return filled


def _splits(model: Any) -> Iterator[tuple[int, float, float]]:
    """Yield column, threshold and gain of every numeric split of a LightGBM model."""
    stack = [tree["tree_structure"] for tree in model.dump_model()["tree_info"]]
    while stack:
        node = stack.pop()
        if "split_feature" in node:
            stack += [node["left_child"], node["right_child"]]
            if node["decision_type"] == "<=":
                yield node["split_feature"], node["threshold"], node["split_gain"]


def _most_gain(
    gains: Mapping[int, Mapping[np.float32, float]], n_per_column: int, n_all: int
) -> dict[int, NDArray[np.float32]]:
    ranked = []
    for j, of_column in gains.items():
        best = sorted(of_column, key=lambda cut: (-of_column[cut], cut))[:n_per_column]
        ranked += [(-of_column[cut], j, cut) for cut in best]
    chosen: dict[int, list[np.float32]] = defaultdict(list)
    for _, j, cut in sorted(ranked)[:n_all]:
        chosen[j].append(cut)
    return {j: np.array(sorted(cuts), dtype=np.float32) for j, cuts in chosen.items()}
