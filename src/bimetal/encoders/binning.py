"""Cut-points from optimal binning: the bins a scorecard modeller would defend.

Navas-Palencia, "Optimal binning: mathematical programming formulation" (2020), through the package
optbinning.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bimetal.encoders.base import Encoder
from bimetal.encoders.quantile import midpoints
from bimetal.encoders.target import Task, read_target
from bimetal.encoders.training import Training
from bimetal.errors import MissingExtraError

__all__ = ["OptBinningEncoder"]


@dataclass(kw_only=True, eq=False)
class OptBinningEncoder(Encoder):
    """Cut each number into the bins that carry most information about the target.

    Parameters
    ----------
    monotonic_trend : str or None
        The trend of the event rate over the bins, as optbinning names it: "auto",
        "auto_asc_desc", "ascending", "descending", "peak", "valley", ... None asks for none.
    task : {"auto", "classification", "regression"}
        What `y` is. "auto" reads it off: text, booleans and at most 20 whole numbers are classes.

    See `Encoder` for the other parameters and the attributes. Needs the extra ``binning``. With
    more than two classes, `sample_weight` counts for categories only: optbinning has none there.
    """

    monotonic_trend: str | None = "auto"
    task: Literal["auto", "classification", "regression"] = "auto"

    def _cut_points(self, training: Training) -> dict[int, NDArray[np.float32]]:
        if not training.thermometers:
            return {}
        target, task = read_target(training, self.task, type(self).__name__)
        return {j: self._binned(training, j, target, task) for j in training.thermometers}

    def _binned(
        self, training: Training, j: int, target: NDArray[np.float64], task: Task
    ) -> NDArray[np.float32]:
        given = training.regular[:, j]
        present = ~np.isnan(given)
        binning = self._binning(task)
        weighted = {} if task == "multiclass" else {"sample_weight": training.weight[present]}
        y = target[present] if task == "regression" else target[present].astype(np.int64)
        if len(np.unique(y)) < 2:
            return np.empty(0, dtype=np.float32)
        binning.fit(given[present].astype(np.float64), y, **weighted)
        # Bins are [split, next split); halfway between two values a cut-point parts them the same.
        values = training.values(j)[0]
        n_below = np.searchsorted(values, binning.splits, side="left")
        n_below = np.unique(n_below[(n_below > 0) & (n_below < len(values))])
        cuts: NDArray[np.float32] = midpoints(values)[n_below - 1]
        return cuts

    def _binning(self, task: Task) -> Any:
        try:
            import optbinning
        except ImportError as error:
            raise MissingExtraError("optbinning", "binning", "OptBinningEncoder") from error
        made = {
            "binary": optbinning.OptimalBinning,
            "multiclass": optbinning.MulticlassOptimalBinning,
            "regression": optbinning.ContinuousOptimalBinning,
        }[task]
        return made(max_n_bins=self.max_bits_per_column + 1, monotonic_trend=self.monotonic_trend)
