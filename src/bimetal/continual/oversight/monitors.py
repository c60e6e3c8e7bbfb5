"""Watch a model that keeps learning: they inform people, and learning does not depend on them.

Drift detectors of river read the loss, the score or a column row after row; the population stability
index compares columns and scores with those of the approval; and a binary net has signs of its own: how
many weights flip with an update, and how many can hardly flip any more. A monitor is given numbers and
gives back alarms. It holds no model, so it cannot change one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.continual.oversight.psi import Bins
from bimetal.diff import ProgramDiff
from bimetal.errors import DataError, MissingExtraError

__all__ = ["DETECTORS", "Alarm", "Monitors"]

ROW_SIGNALS = ("log_loss", "error", "score")
"""What can be watched besides columns: needs p, and for the first two y as well."""
CUSTOMARY = (0.1, 0.25)
"""PSI from which a change is to be watched, and from which it is an alarm."""


def _river(path: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        try:
            from river import drift
        except ImportError as error:
            raise MissingExtraError("river", "stream", "watching for drift row by row") from error
        found: Any = drift
        for name in path.split("."):
            found = getattr(found, name)
        return found(**options)

    return make


DETECTORS: dict[str, Callable[[], Any]] = {
    "adwin": _river("ADWIN"),
    "kswin": _river("KSWIN", seed=0),
    "page_hinkley": _river("PageHinkley"),
    "ddm": _river("binary.DDM"),
    "eddm": _river("binary.EDDM"),
    "hddm_a": _river("binary.HDDMA"),
    "hddm_w": _river("binary.HDDMW"),
}
"""Detectors of river by name; those from "ddm" on are for "error", which is 0 or 1. FHDDM is left out:
river 0.26 documents 1 as a mistake, but its code looks for a fall of the mean."""
BINARY = ("ddm", "eddm", "hddm_a", "hddm_w")


@dataclass(frozen=True)
class Alarm:
    """Something that a person should look at.

    Attributes
    ----------
    update : int
        Number of the call of `Monitors.update`, from 1.
    source : str
        What was watched: "log_loss", "score", a column, "flips", "frozen".
    kind : str
        By what: the name of a detector, "psi", "share".
    level : {"watch", "alarm"}
        How urgent.
    value : float
        Of the index or share; of a detector the last value that it read.
    text : str
        A sentence.
    """

    update: int
    source: str
    kind: str
    level: Literal["watch", "alarm"]
    value: float
    text: str


class Monitors:
    """Detectors, indices and thresholds, and what they have said so far.

    Parameters
    ----------
    watch : mapping of str to str, optional
        "log_loss", "error", "score" or the name (of an array: the number, as text) of a column → a name
        in `DETECTORS`. By default "adwin" for the log loss; an empty mapping does without river.
    reference : frame or array, optional
        Rows of the approval: each of their columns gets a PSI ("score" means the model's, always).
    reference_scores : array_like, optional
        Scores of the approval, for a PSI of the score.
    thresholds : tuple of float, default (0.1, 0.25)
        PSI from which to watch, and to raise an alarm.
    least_rows : int, default 500
        Rows that are gathered (as counts) before a PSI is taken.
    flips_above : float, default 0.01
        Share of a layer's weights that may flip in one update.
    frozen_above : float, default 0.95
        Share of weights that may be too settled to learn.

    Attributes
    ----------
    alarms : list of Alarm
        All so far.
    psi : dict
        The last index of each column and of "score".

    Raises
    ------
    DataError
        When a detector is unknown or does not suit what it should watch.
    MissingExtraError
        When a detector is wanted and river is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> monitors = Monitors({}, reference={"income": rng.normal(50, 9, 2000)})
    >>> monitors.update({"income": rng.normal(50, 9, 1000)})
    []
    >>> [alarm.level for alarm in monitors.update({"income": rng.normal(58, 9, 1000)})]
    ['alarm']
    """

    def __init__(
        self,
        watch: Mapping[str, str] | None = None,
        *,
        reference: Any = None,
        reference_scores: ArrayLike | None = None,
        thresholds: tuple[float, float] = CUSTOMARY,
        least_rows: int = 500,
        flips_above: float = 0.01,
        frozen_above: float = 0.95,
    ) -> None:
        self._watch = {"log_loss": "adwin"} if watch is None else dict(watch)
        _check(self._watch, thresholds, least_rows)
        self._detectors = {source: DETECTORS[name]() for source, name in self._watch.items()}
        self._thresholds, self._least_rows = thresholds, least_rows
        self._flips_above, self._frozen_above = flips_above, frozen_above
        columns = {} if reference is None else _columns(reference)
        self._bins = {name: Bins.of(values) for name, values in columns.items() if name != "score"}
        if reference_scores is not None:
            self._bins["score"] = Bins.of(np.asarray(reference_scores, np.float64))
        self._counts = {name: np.zeros_like(bins.expected) for name, bins in self._bins.items()}
        self._n_updates = 0
        self.alarms: list[Alarm] = []
        self.psi: dict[str, float] = {}

    def update(
        self,
        X: Any = None,
        p: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        diff: ProgramDiff | None = None,
        frozen: float | None = None,
    ) -> list[Alarm]:
        """Look at what came in or was learned; give whatever is known now, the rest later or never.

        Parameters
        ----------
        X : frame, mapping of columns, or array of shape (n_rows, n_columns); optional
            Rows that were scored.
        p : array_like of shape (n_rows,), optional
            Their probabilities of class 1.
        y : array_like of shape (n_rows,), optional
            Labels of 0 and 1 of the rows of `p`, once they are known.
        diff : ProgramDiff, optional
            What an update has changed.
        frozen : float, optional
            Share of weights that can hardly flip, as `Learner.insight` tells it.

        Returns
        -------
        list of Alarm
            The new ones.

        Raises
        ------
        DataError
            When labels come without probabilities, lengths differ, or a watched column is not there.
        """
        columns = {} if X is None else _columns(X)
        signals = _signals(p, y)
        absent = [] if X is None else sorted(set(self._bins) - {"score"} - set(columns))
        if absent:
            raise DataError(
                f"columns of the reference are not there: {absent[:5]}; give the same table"
            )
        self._n_updates += 1
        found = []
        for source in self._watch:
            values = signals.get(source) if source in ROW_SIGNALS else columns.get(source)
            if values is not None:
                found += self._detected(source, values)
            elif source not in ROW_SIGNALS and X is not None:
                raise DataError(f"there is no column '{source}' to watch among {list(columns)[:8]}")
        scores = {"score": signals["score"]} if "score" in signals else {}
        found += self._shifted({**{k: v for k, v in columns.items() if k != "score"}, **scores})
        found += self._own_signs(diff, frozen)
        self.alarms += found
        return found

    def _detected(self, source: str, values: NDArray[Any]) -> list[Alarm]:
        name, detector = self._watch[source], self._detectors[source]
        found = []
        if values.dtype.kind not in "biuf":
            raise DataError(
                f"column '{source}' holds text, which no detector reads; its PSI is watched instead"
            )
        for value in values.astype(np.float64)[~np.isnan(values.astype(np.float64))].tolist():
            detector.update(bool(value) if name in BINARY else value)
            if detector.drift_detected:
                text = f"{name} sees a change of {source}"
                found.append(Alarm(self._n_updates, source, name, "alarm", value, text))
        return found

    def _shifted(self, columns: Mapping[str, NDArray[Any]]) -> list[Alarm]:
        found = []
        for name, bins in self._bins.items():
            if name not in columns:
                continue
            self._counts[name] = self._counts[name] + bins.counts(columns[name])
            if (n := int(self._counts[name].sum())) < self._least_rows:
                continue
            self.psi[name] = index = bins.psi(self._counts[name])
            self._counts[name] = np.zeros_like(bins.expected)
            watch, alarm = self._thresholds
            if index >= watch:
                level: Literal["watch", "alarm"] = "alarm" if index >= alarm else "watch"
                text = f"PSI of {name} is {index:.3f} over {n:,} rows ({watch} is to be watched, {alarm} an alarm)"
                found.append(Alarm(self._n_updates, name, "psi", level, index, text))
        return found

    def _own_signs(self, diff: ProgramDiff | None, frozen: float | None) -> list[Alarm]:
        found = []
        for layer in () if diff is None else diff.flips:
            if layer.share > self._flips_above:
                text = f"{layer} in one update; {self._flips_above:.2%} were expected at most"
                found.append(Alarm(self._n_updates, "flips", "share", "alarm", layer.share, text))
        if frozen is not None and frozen > self._frozen_above:
            text = (
                f"{frozen:.1%} of the weights can hardly flip any more: the net may no longer learn"
            )
            found.append(Alarm(self._n_updates, "frozen", "share", "watch", frozen, text))
        return found


def _signals(p: ArrayLike | None, y: ArrayLike | None) -> dict[str, NDArray[np.float64]]:
    if p is None:
        if y is not None:
            raise DataError(
                "labels without probabilities say nothing about the model: give p as well"
            )
        return {}
    score = np.asarray(p, np.float64)
    if score.ndim != 1 or not ((score >= 0) & (score <= 1)).all():
        raise DataError(
            f"p must be one probability of class 1 for each row, got shape {score.shape}"
        )
    if y is None:
        return {"score": score}
    labels = np.asarray(y)
    if labels.shape != score.shape or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"y must be one label of 0 or 1 for each of {len(score)} rows, got {labels.shape}"
        )
    q = np.clip(np.where(labels == 1, score, 1 - score), 1e-7, 1)
    return {
        "score": score,
        "log_loss": -np.log(q),
        "error": ((score >= 0.5) != labels).astype(np.float64),
    }


def _columns(X: Any) -> dict[str, NDArray[Any]]:
    """Return the columns of a frame or a mapping by name, of an array by number as text."""
    if isinstance(X, Mapping):
        return {str(name): np.asarray(values) for name, values in X.items()}
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return {name: np.asarray(frame.get_column(name).to_numpy()) for name in frame.columns}
    array = np.asarray(X)
    if array.ndim != 2:
        raise DataError(f"rows of shape (n_rows, n_columns) expected, got {array.shape}")
    return {str(j): array[:, j] for j in range(array.shape[1])}


def _check(watch: Mapping[str, str], thresholds: tuple[float, float], least_rows: int) -> None:
    for source, name in watch.items():
        if name not in DETECTORS:
            raise DataError(
                f"'{source}' should be watched by one of {list(DETECTORS)}, got {name!r}"
            )
        if name in BINARY and source != "error":
            raise DataError(f"{name} reads right and wrong: it can watch 'error', not '{source}'")
    if not 0 < thresholds[0] <= thresholds[1] or least_rows < 1:
        raise DataError(
            f"rising thresholds above 0 and least_rows of 1 or more expected, got {thresholds}, {least_rows}"
        )
