"""What a validation stands on: a model, rows with outcomes, what the model said of them, and options."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.columns.column import listed
from bimetal.errors import ColumnError, DataError
from bimetal.finance.credit.model import Assessment, CreditModel
from bimetal.finance.credit.validation.binning import Binning, binnings_of, score_binning
from bimetal.finance.credit.validation.thresholds import Finding, Thresholds

__all__ = ["Case", "Facts", "Sample", "column_of", "known_outcomes", "labels_of", "tried"]

Facts = tuple[dict[str, Any], list[Finding]]
"""What a section measured (JSON values but for NumPy and dataclasses), and what it found."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of one time, with outcomes, and what the model says of them.

    Attributes
    ----------
    table : object
        As given, for challengers and groups.
    rows : numpy.ndarray
        float32 (n_rows, n_columns).
    y : numpy.ndarray
        int64 (n_rows,): 1 is bad.
    said : Assessment
    """

    table: Any
    rows: NDArray[np.float32]
    y: NDArray[np.int64]
    said: Assessment

    @classmethod
    def of(cls, model: CreditModel, table: Any, y: ArrayLike) -> "Sample":
        """Score a table.

        Raises
        ------
        DataError
            When outcomes do not fit the rows, or not both kinds are there.
        """
        rows = model.rows(table)
        labels = labels_of(y, model.program.classes, len(rows))
        if len(np.unique(labels)) < 2:
            raise DataError(
                "good and bad outcomes expected, got one kind only; a validation needs both"
            )
        return cls(table, rows, labels, model.assess(rows))

    @property
    def p(self) -> NDArray[np.float64]:
        """Probability of bad."""
        return self.said.probability.astype(np.float64)

    @property
    def risk(self) -> NDArray[np.float64]:
        """Points turned round: higher is more likely bad, ties exactly as in the points."""
        return -self.said.points.astype(np.float64)

    @property
    def is_approved(self) -> NDArray[np.bool_]:
        """Whether each row is approved (a referral is not)."""
        return np.asarray(self.said.decision == "approve")


@dataclass(frozen=True, eq=False)
class Case:
    """All of it.

    Attributes
    ----------
    model : CreditModel
    sample : Sample
        Of the validation.
    development : Sample or None
    thresholds : Thresholds
    n_resamples, seed : int
    progress : callable
        Told what is being done.
    """

    model: CreditModel
    sample: Sample
    development: Sample | None
    thresholds: Thresholds
    n_resamples: int
    seed: int
    progress: Callable[[str], None]

    @property
    def reference(self) -> Sample:
        """The rows that others are compared with: the development, or else the validation itself."""
        return self.development or self.sample

    def binnings(self) -> tuple[Binning, ...]:
        """Bins of the columns."""
        return binnings_of(self.model.program, self.reference.rows)

    def score_bins(self) -> Binning:
        """Bins of the score."""
        return score_binning(self.reference.said.points, self.model.policy.scaling.unit)


def labels_of(y: ArrayLike, classes: Sequence[Any], n: int) -> NDArray[np.int64]:
    """Return outcomes as 0 (good) and 1 (bad); they may come as the classes of the Program.

    Raises
    ------
    DataError
        When they are something else, missing, or not one a row.
    """
    known, labels = known_outcomes(y, classes, n)
    if len(known) < n or not n:
        raise DataError(
            f"a known outcome for each of 1 row or more expected, got {len(known)} of {n}; "
            "leave the other rows out"
        )
    return labels


def known_outcomes(
    y: ArrayLike, classes: Sequence[Any], n: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the rows whose outcome is known, and these outcomes as 0 and 1.

    Raises
    ------
    DataError
        When there is not one (perhaps missing) outcome a row, or a known one is no outcome.
    """
    given = np.asarray(y)
    if given.shape != (n,):
        raise DataError(f"one outcome for each of {n} rows expected, got shape {given.shape}")
    values = given.tolist()
    known = [i for i, v in enumerate(values) if not _is_missing(v)]
    found = {values[i] for i in known}
    # The Program's own classes come first: there 1 may be the good one.
    code = {classes[0]: 0, classes[1]: 1}
    code = code if found <= set(code) else {0: 0, 1: 1}
    if not found <= set(code):
        strange = sorted(str(v) for v in found - set(code))
        raise DataError(
            f"outcomes of 0 (good) and 1 (bad), or {classes[0]!r} and {classes[1]!r}, expected, got "
            f"{listed(strange)}"
        )
    return np.asarray(known, np.intp), np.array([code[values[i]] for i in known], np.int64)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def column_of(table: Any, name: str) -> NDArray[Any]:
    """Return a column of a frame or a mapping, as an array of its values.

    Raises
    ------
    ColumnError
        When there is none of that name.
    """
    if isinstance(table, Mapping):
        names = [str(k) for k in table]
    else:
        import narwhals as nw

        frame = nw.from_native(table, eager_only=True, pass_through=True)
        if not isinstance(frame, nw.DataFrame):
            raise ColumnError(
                f"a frame with a column '{name}' expected, got {type(table).__name__}"
            )
        names = list(frame.columns)
    if name not in names:
        raise ColumnError(f"there is no column '{name}' among {listed(names)}")
    values = list(table[name]) if isinstance(table, Mapping) else frame.get_column(name).to_list()
    is_plain = all(type(v) in (int, float) for v in values)
    return np.asarray(values) if is_plain else np.asarray(values, object)


def tried(measure: Callable[[], Any]) -> Any:
    """Return what was measured, or why it could not be: a pack goes on without it, and says so."""
    try:
        return measure()
    except DataError as error:
        return {"not_computed": str(error)}
