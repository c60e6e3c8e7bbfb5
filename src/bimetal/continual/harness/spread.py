"""Measures over several runs: what a table says of a method after as many seeds."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bimetal.continual.harness.matrix import MEASURES, AccuracyMatrix
from bimetal.errors import DataError

__all__ = ["MeanAndSd", "mean_and_sd"]


class MeanAndSd(NamedTuple):
    """A measure over several runs: mean and sample standard deviation (None of a single run).

    Examples
    --------
    >>> MeanAndSd(0.84, 0.0042).percent(), MeanAndSd(0.84, None).percent()
    ('84.0 ± 0.4', '84.0')
    """

    mean: float
    sd: float | None

    def percent(self, digits: int = 1) -> str:
        """Return it as tables have it: in percent, with a true minus."""
        text = f"{100 * self.mean:.{digits}f}".replace("-", "−")
        return text if self.sd is None else f"{text} ± {100 * self.sd:.{digits}f}"


def mean_and_sd(matrices: Iterable[AccuracyMatrix]) -> dict[str, MeanAndSd]:
    """Return mean and sample standard deviation of each measure over several runs (seeds).

    Parameters
    ----------
    matrices : iterable of AccuracyMatrix
        One a run, with equally many tasks and the same metric.

    Returns
    -------
    dict of str to MeanAndSd
        By name in `MEASURES`; without those that a run lacks.

    Raises
    ------
    DataError
        When there is no matrix, or they are not of the same kind.

    Examples
    --------
    >>> mean_and_sd([AccuracyMatrix([[0.7]]), AccuracyMatrix([[0.9]])])["average_accuracy"].percent()
    '80.0 ± 14.1'
    """
    runs = list(matrices)
    kinds = {(run.n_tasks, run.metric) for run in runs}
    if len(kinds) != 1:
        what = ", ".join(f"{n} tasks by {metric}" for n, metric in sorted(kinds)) or "none"
        raise DataError(f"runs with equally many tasks and one metric were expected, got {what}")
    measured = [run.measures() for run in runs]
    found = {name: [measures[name] for measures in measured] for name in MEASURES}
    return {name: _over(values) for name, values in found.items() if None not in values}


def _over(values: Sequence[float | None]) -> MeanAndSd:
    numbers = np.array(values, dtype=np.float64)
    sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return MeanAndSd(float(numbers.mean()), sd)
