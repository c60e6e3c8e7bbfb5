"""What the methods of reject inference share: applicants in bands, and the table of assumptions."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.columns import Lists
from bimetal.columns.reading import read
from bimetal.errors import DataError, MissingExtraError

__all__ = ["Applicants", "Band", "Inferred", "band_numbers", "bands_of", "merged", "take"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
N_FOLDS = 5


@dataclass(frozen=True)
class Band:
    """What is known, and what is assumed, of the applicants of one band.

    Attributes
    ----------
    low, high : float
        Least and greatest probability in it: of default, or of acceptance for `augment`.
    n_accepts, n_rejects : int
    accept_bad_rate : float or None
        Observed; None without accepts.
    reject_bad_rate : float or None
        Assumed; None without rejects.
    is_extrapolated : bool
        Too few accepts to observe a rate: the model's own word was taken.
    """

    low: float
    high: float
    n_accepts: int
    n_rejects: int
    accept_bad_rate: float | None
    reject_bad_rate: float | None
    is_extrapolated: bool


@dataclass(frozen=True, eq=False)
class Inferred:
    """Rows to learn from, and what was assumed to make them.

    Attributes
    ----------
    X : frame or array
        Of the kind that was given.
    y : numpy.ndarray
        int64 (n_rows,).
    weight : numpy.ndarray
        float64 (n_rows,).
    is_inferred : numpy.ndarray
        bool (n_rows,): rows of rejects, whose outcome nobody saw. Never judge a model on them.
    method : str
    prudence : float
    bands : tuple of Band
        The assumptions, band by band.
    accept_bad_rate, reject_bad_rate, bad_rate : float
        Observed, assumed, and of all applicants together.
    """

    X: Any
    y: NDArray[np.int64]
    weight: Floats
    is_inferred: NDArray[np.bool_]
    method: str
    prudence: float
    bands: tuple[Band, ...]
    accept_bad_rate: float
    reject_bad_rate: float
    bad_rate: float

    def spec(self) -> dict[str, Any]:
        """Return method and assumptions as JSON values, for a report."""
        return {
            "method": self.method,
            "prudence": self.prudence,
            "accept_bad_rate": self.accept_bad_rate,
            "reject_bad_rate": self.reject_bad_rate,
            "bad_rate": self.bad_rate,
            "bands": [asdict(band) for band in self.bands],
        }


@dataclass(frozen=True, eq=False)
class Applicants:
    """All who applied; `y` is 0 for rejects until something is assumed."""

    table: Any
    y: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    prudence: float

    @classmethod
    def of(cls, X: Any, y: ArrayLike, accepted: ArrayLike, prudence: float = 1.0) -> "Applicants":
        """Check what was given."""
        table = read(X)
        is_in, labels = np.asarray(accepted), np.asarray(y)
        if not len(table) == len(is_in) == len(labels) or is_in.ndim != 1 or labels.ndim != 1:
            raise DataError(
                f"one outcome and one decision for each of {len(table)} applicants expected, got "
                f"shapes {labels.shape} and {is_in.shape}"
            )
        if not np.isin(is_in, (0, 1)).all():
            raise DataError("accepted must be True or False for each applicant")
        is_in = is_in.astype(bool)
        if is_in.all() or not is_in.any():
            raise DataError(
                f"accepts and rejects expected, got {is_in.sum()} and {(~is_in).sum()}; without "
                "rejects there is nothing to infer"
            )
        known = labels[is_in].astype(np.float64)
        if not np.array_equal(np.unique(known), [0, 1]):
            raise DataError(
                f"accepts with outcomes 0 (good) and 1 (bad), both of them, expected, got "
                f"{np.unique(known)[:5].tolist()}"
            )
        if not 1 <= prudence < np.inf:
            raise DataError(
                f"prudence is at least 1, got {prudence}; below, rejects would be better"
            )
        outcomes = np.zeros(len(is_in), np.int64)
        outcomes[is_in] = known
        return cls(table, outcomes, is_in, prudence)

    def default(self, model: Any, seed: int) -> Floats:
        """Return probabilities of default by a model of accepts: of accepts out of fold."""
        p = np.zeros(len(self.y))
        accepts, rejects = np.flatnonzero(self.accepted), np.flatnonzero(~self.accepted)
        p[accepts] = self._out_of_fold(model, accepts, self.y[accepts], seed)
        p[rejects] = self._asked(model, accepts, self.y[accepts], rejects)
        return p

    def acceptance(self, model: Any, seed: int) -> Floats:
        """Return probabilities of acceptance, out of fold."""
        rows = np.arange(len(self.y))
        return self._out_of_fold(model, rows, self.accepted.astype(np.int64), seed)

    def band_rates(
        self, bands: Rows, p: Floats, min_accepts: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the bad rate of accepts in each band, and where the mean of p of rejects stands in."""
        n = np.bincount(bands, self.accepted)
        is_thin = n < max(1, min_accepts)
        n_rejects = np.bincount(bands, ~self.accepted)
        with np.errstate(invalid="ignore"):
            seen = np.bincount(bands, self.accepted * self.y) / n
            said = np.bincount(bands, ~self.accepted * p) / n_rejects
        return np.nan_to_num(np.where(is_thin, said, seen)), is_thin

    def inferred(
        self, method: str, rows: Rows, y: NDArray[Any], weight: Floats, bands: tuple[Band, ...]
    ) -> Inferred:
        """Put the answer together."""
        n_rejects = int((~self.accepted).sum())
        bads = float(sum(band.n_rejects * (band.reject_bad_rate or 0.0) for band in bands))
        accept_bads = int(self.y[self.accepted].sum())
        return Inferred(
            take(self.table, rows),
            y.astype(np.int64),
            weight,
            ~self.accepted[rows],
            method,
            self.prudence,
            bands,
            accept_bads / int(self.accepted.sum()),
            bads / n_rejects,
            (accept_bads + bads) / len(self.y),
        )

    def _out_of_fold(self, model: Any, rows: Rows, target: NDArray[np.int64], seed: int) -> Floats:
        try:
            from sklearn.model_selection import StratifiedKFold
        except ImportError as error:
            raise MissingExtraError("scikit-learn", "train", "reject inference") from error
        n_folds = min(N_FOLDS, int(np.bincount(target).min()))
        if n_folds < 2:
            raise DataError("at least two rows of each kind expected, to predict them out of fold")
        p = np.zeros(len(rows))
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for fitting, held in folds.split(target, target):
            p[held] = self._asked(model, rows[fitting], target[fitting], rows[held])
        return p

    def _asked(self, model: Any, rows: Rows, target: NDArray[np.int64], asked: Rows) -> Floats:
        from sklearn.base import clone

        from bimetal.finance.credit.challengers import make

        fresh = make("woe_logistic", strengths=(0.3,)) if model is None else clone(model)
        fresh.fit(take(self.table, rows), target)
        return np.asarray(fresh.predict_proba(take(self.table, asked))[:, 1], np.float64)


def band_numbers(score: Floats, n_bands: int) -> Rows:
    """Return bands of about equal numbers, 0 for the lowest scores; equal scores stay together."""
    if n_bands < 1:
        raise DataError(f"at least one band expected, got {n_bands}")
    edges = np.unique(np.quantile(score, np.linspace(0, 1, n_bands + 1)[1:-1]))
    bands = np.searchsorted(edges, score, side="right")
    return np.unique(bands, return_inverse=True)[1]


def merged(bands: Rows, accepted: NDArray[np.bool_], min_accepts: int) -> Rows:
    """Join each band with too few accepts with the one before (the first with those after)."""
    n = np.bincount(bands, accepted)
    joined = np.zeros(len(n), np.intp)
    for band in range(1, len(n)):
        before = n[:band][joined[:band] == joined[band - 1]].sum()
        joined[band] = joined[band - 1] + (min(n[band], before) >= min_accepts)
    return joined[bands]


def bands_of(
    who: Applicants, bands: Rows, score: Floats, assumed: NDArray[Any], is_thin: NDArray[np.bool_]
) -> tuple[Band, ...]:
    """Tabulate bands; `assumed` is the bad rate, or the outcome, that each row is given."""
    made = []
    for band in range(int(bands.max()) + 1):
        mine = bands == band
        accepts, rejects = mine & who.accepted, mine & ~who.accepted
        made.append(
            Band(
                float(score[mine].min()),
                float(score[mine].max()),
                int(accepts.sum()),
                int(rejects.sum()),
                float(who.y[accepts].mean()) if accepts.any() else None,
                float(assumed[rejects].mean()) if rejects.any() else None,
                bool(is_thin[band]),
            )
        )
    return tuple(made)


def take(table: Any, rows: Rows) -> Any:
    """Return rows of a table as `read` gives it, repeats and all, of the kind that was read."""
    if isinstance(table, Lists):
        names = table.columns
        return Lists({name: [table.values[name][i] for i in rows] for name in names})
    if isinstance(table, np.ndarray):
        return table[rows]
    import narwhals as nw

    return nw.maybe_reset_index(table[rows.tolist()]).to_native()
