"""`BinaryScorecard`: a table of applications in, a scorecard with interactions out, in whole points."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted, check_random_state

from bimetal.encoders import Encoder
from bimetal.errors import DataError
from bimetal.estimators.base import RowsTable, TableEstimator, one_thread, timer
from bimetal.estimators.progress import shown
from bimetal.explain.blocks import Block
from bimetal.explain.certificate import Certificate, certify
from bimetal.explain.form import form_of
from bimetal.finance.credit.assembly import WholeModel, assemble
from bimetal.finance.credit.bin_table import BinRow, bin_table
from bimetal.finance.credit.classing import fine_classing
from bimetal.finance.credit.conformal import conformal_band
from bimetal.finance.credit.model import Assessment, CreditModel
from bimetal.finance.credit.policy import Policy
from bimetal.finance.credit.recipe import Baked, Options, bake
from bimetal.finance.credit.references import invented_references
from bimetal.finance.credit.scaling import Scaling
from bimetal.metrics import auc, brier, log_loss
from bimetal.program import Program

__all__ = ["BinaryScorecard", "ScorecardReport"]

_LARGE = 50_000
"""Rows above which three folds suffice."""


@dataclass(frozen=True)
class ScorecardReport:
    """What a fit did.

    Attributes
    ----------
    measures : dict
        Of out-of-fold probabilities on the training rows: auc, brier, log_loss.
    choices : dict
        What validation chose: penalty, stumps, growth, trees, weights.
    trends : dict
        The sign of the change of the score when a column rises, for every column promised.
    n_rules : int
        Sparse binary neurons in the Program.
    seconds : float
        Wall-clock time of the fit.
    """

    measures: dict[str, float]
    choices: dict[str, Any]
    trends: dict[str, int]
    n_rules: int
    seconds: float


class BinaryScorecard(ClassifierMixin, TableEstimator):  # type: ignore[misc]
    """Credit scorecard of whole points: bins, and sparse binary neurons for their interactions.

    Columns are cut into bins (fine classing by the encoder, coarse by the penalty: neighbouring bins
    share points where the data does not tell them apart). A card of points for bins is fitted first, then
    boosted trees for what it leaves over, under monotone trends; out-of-fold losses choose penalty, growth,
    size and weights. All points are whole numbers, so that every copy of the model gives the same
    score, and what is proved of it holds.

    Parameters
    ----------
    encoder : Encoder, optional
        Table → bins; by default `fine_classing()`, quantiles. `OptBinningEncoder()` takes optbinning's
        cut-points, `TreeEncoder()` those of small trees, `CutPointEncoder` yours. Special codes,
        categories and their order are told to the encoder.
    trends : "auto", mapping of str to {1, -1}, or None, default "auto"
        How the score must move when a column rises. "auto" promises what a free model nearly keeps
        and costs no accuracy out of fold.
    max_rules : int, default 6000
        Sparse binary neurons at most; 0 makes a pure card of points.
    max_forests : int, default 5
        Forests that are averaged, as far as `max_rules` allows; three or more are bagged: each leaves a
        fifth of the rows out.
    n_folds : int, default 5
        Folds of the out-of-fold scores; tables above 50,000 rows use at most 3.
    pdo, base_score, base_odds, unit
        Of the `Scaling`: points to double the odds, the score at the base odds, these odds (good to
        bad), whole numbers in one point (100: hundredths).
    bad : label, optional
        Which label means default; by default the greater one.
    bad_rate : float, optional
        Long-run default rate that the mean probability of the training rows is set to; by default their own.
    cost_ratio : float, default 5.0
        Loss of a bad approved over gain of a good one: the cut-off is where the two balance, at a
        probability of ``1 / (1 + cost_ratio)``. Set a policy for any other.
    coverage : float, optional
        Conformal abstention: refer to a human where one outcome cannot be named at this coverage.
    policy : Policy or mapping, optional
        Texts of reasons, columns that cannot change, limits and the like; its cut-off, if above 0, its band and
        its references, if any, are kept; its scaling is that of the parameters.
    random_state : int, RandomState or None, default None
        Seed; the same int gives the same Program.
    verbose : bool, default False
        Whether to show progress.

    Attributes
    ----------
    classes_ : numpy.ndarray
        Good and bad, in that order.
    program_ : Program
        What `bimetal.save` saves; the policy is in its provenance.
    model_ : CreditModel
        Scores, decides, explains.
    card_ : CreditModel
        The card alone, without interactions: fitted, calibrated and usable by itself.
    table_ : tuple of BinRow
        Bins with counts, bad rates, weight of evidence and points.
    trends_ : dict
        Trends promised.
    blocks_ : tuple of Block
        The trees, the witness of proofs; see `certify`.
    oof_points_ : numpy.ndarray
        float64 (n_rows,): points of rows by models that did not learn from them, for cut-offs and
        calibration.
    report_ : ScorecardReport

    Notes
    -----
    Boosting on bins under monotone constraints is LightGBM's; the leaves of trees as neurons of few
    connections and threshold 0 are RuleFit's (Friedman & Popescu 2008).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 3))
    >>> y = (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=400) < -1).astype(int)
    >>> card = BinaryScorecard(max_rules=200, random_state=0).fit(X, y)
    >>> card.decide(X[:2]).shape, card.score_points(X[:2]).dtype
    ((2,), dtype('float64'))
    """

    def __init__(
        self,
        *,
        encoder: Encoder | None = None,
        trends: str | Mapping[str, int] | None = "auto",
        max_rules: int = 6_000,
        max_forests: int = 5,
        n_folds: int = 5,
        pdo: float = 20.0,
        base_score: float = 600.0,
        base_odds: float = 50.0,
        unit: int = 100,
        bad: Any = None,
        bad_rate: float | None = None,
        cost_ratio: float = 5.0,
        coverage: float | None = None,
        policy: Policy | Mapping[str, Any] | None = None,
        random_state: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.encoder = encoder
        self.trends = trends
        self.max_rules = max_rules
        self.max_forests = max_forests
        self.n_folds = n_folds
        self.pdo = pdo
        self.base_score = base_score
        self.base_odds = base_odds
        self.unit = unit
        self.bad = bad
        self.bad_rate = bad_rate
        self.cost_ratio = cost_ratio
        self.coverage = coverage
        self.policy = policy
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the scorecard.

        Parameters
        ----------
        X : frame or array_like of shape (n_rows, n_columns)
            pandas, Polars, Arrow or NumPy; missing values are welcome.
        y : array_like of shape (n_rows,)
            Two labels.
        sample_weight : array_like of shape (n_rows,), optional
            Weight of each row; 0 leaves a row out.

        Raises
        ------
        DataError
            When the table or an option cannot be used, or y has not exactly two labels.
        """
        start = timer()
        X = self._check_table(X, is_fit=True)
        y = self._check_labels(X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        table = self._read(X, y, weight, "classification")
        bad = self._bad(np.asarray(table.training.y))
        options = self._options(len(bad))
        with one_thread(), shown(self.verbose) as progress:
            baked = bake(
                table, bad, table.training.weight, options, lambda text: progress(text, np.nan)
            )
        return self._finish(table, bad, baked, options, start)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the probabilities of good and bad, float32 (n_rows, 2).

        Raises
        ------
        ColumnError, MissingValueError, NotFiniteError
            When the table does not fit the model.
        """
        return self._answers(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more probable label of each row: the cut-off has no part in it, see `decide`."""
        answers = self._answers(X)
        return np.asarray(self.classes_[answers.argmax(axis=1)])

    def score_points(self, X: Any) -> NDArray[np.float64]:
        """Return the credit scores, float64 (n_rows,); higher is better."""
        return self.assess(X).score

    def decide(self, X: Any) -> NDArray[np.str_]:
        """Return "approve", "refer" or "decline" for each row."""
        return self.assess(X).decision

    def assess(self, X: Any) -> Assessment:
        """Return points, scores, probabilities and decisions."""
        check_is_fitted(self)
        return self.model_.assess(self.engine_.rows(self._check_table(X, is_fit=False)))

    def certify(self) -> Certificate:
        """Prove the trends of the fitted Program, with the trees as witness."""
        check_is_fitted(self)
        return certify(self.program_, self.trends_, self.blocks_)

    def _default_encoder(self) -> Encoder:
        return fine_classing()

    def _bad(self, y: NDArray[Any]) -> NDArray[np.float64]:
        labels = np.unique(y)
        if len(labels) != 2:
            kind = "Only binary classification is supported. " if len(labels) > 2 else ""
            raise DataError(
                f"{kind}a scorecard tells good from bad: exactly two labels expected, got "
                f"{len(labels)} ({'one class: ' if len(labels) == 1 else ''}{labels[:5].tolist()})"
            )
        bad = labels[1] if self.bad is None else self.bad
        if bad not in labels:
            raise DataError(f"bad must be one of the labels {labels.tolist()}, got {bad!r}")
        good = labels[0] if bad == labels[1] else labels[1]
        self.classes_ = np.array([good, bad], dtype=labels.dtype)
        return np.asarray(y == bad, np.float64)

    def _options(self, n_rows: int) -> Options:
        for name, low in {"max_rules": 0, "max_forests": 1, "n_folds": 2}.items():
            if getattr(self, name) < low:
                raise DataError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if self.bad_rate is not None and not 0 < self.bad_rate < 1:
            raise DataError(f"bad_rate must lie in (0, 1), got {self.bad_rate}")
        if not 0 < self.cost_ratio < 1e6:
            raise DataError(f"cost_ratio must be above 0 and finite, got {self.cost_ratio}")
        return Options(
            self.trends,
            self.max_rules,
            self.max_forests,
            min(self.n_folds, 3) if n_rows > _LARGE else self.n_folds,
            Scaling(self.pdo, self.base_score, self.base_odds, self.unit),
            self.bad_rate,
            int(check_random_state(self.random_state).randint(2**31 - 1)),
        )

    def _finish(
        self,
        table: RowsTable,
        bad: NDArray[np.float64],
        baked: Baked,
        options: Options,
        start: float,
    ) -> Self:
        training, scaling = table.training, options.scaling
        self.encoder_, self.trends_ = baked.encoder, baked.trends
        self.oof_points_ = baked.oof_points
        p = scaling.probability(baked.oof_points)
        measures = {f.__name__: f(bad, p) for f in (auc, brier, log_loss)}
        self.report_ = ScorecardReport(
            measures, baked.choices, baked.trends, len(baked.model.rules), timer() - start
        )
        bare = self._program(baked, baked.model, scaling, len(bad))
        policy = self._policy(bare, training.rows, bad, scaling)
        self.model_ = CreditModel(bare, policy)
        self.program_ = self.model_.program
        self.engine_ = self.model_.engine
        self.card_ = CreditModel(self._program(baked, baked.card, scaling, len(bad)), policy)
        self.blocks_ = tuple(Block(tuple(leaves)) for leaves in baked.trees)
        self.table_: tuple[BinRow, ...] = bin_table(
            form_of(self.card_.program), training.rows, bad, training.weight, scaling.unit
        )
        return self

    def _program(self, baked: Baked, model: WholeModel, scaling: Scaling, n_rows: int) -> Program:
        provenance = {
            "estimator": type(self).__name__,
            "bimetal": version("bimetal"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "parameters": self._plain_parameters(),
            "n_rows": n_rows,
            "measures": {name: float(value) for name, value in self.report_.measures.items()},
            "choices": baked.choices,
        }
        columns, op = baked.encoder.columns_, baked.encoder.op_
        return assemble(columns, op, model, scaling, tuple(self.classes_.tolist()), provenance)

    def _plain_parameters(self) -> dict[str, Any]:
        plain = (int, float, str, bool, type(None))
        return {
            k: v if isinstance(v, plain) else repr(v)
            for k, v in self.get_params(deep=False).items()
            if k != "policy"
        }

    def _policy(
        self,
        program: Program,
        rows: NDArray[np.float32],
        bad: NDArray[np.float64],
        scaling: Scaling,
    ) -> Policy:
        given = (
            self.policy if isinstance(self.policy, Policy) else Policy.from_spec(self.policy or {})
        )
        odds = np.log(1 / self.cost_ratio)
        cutoff = given.cutoff or int(np.ceil(scaling.points(odds)))
        policy = replace(given, scaling=scaling, cutoff=cutoff, trends=self.trends_)
        if self.coverage is not None and given.refer is None:
            band = conformal_band(
                np.rint(self.oof_points_).astype(np.int64), bad, alpha=1 - self.coverage
            )
            refer = band.with_cutoff(cutoff)
            policy = replace(policy, refer=refer, coverage=self.coverage)
        if not policy.references:
            made = invented_references(program, rows, policy.approval_points)
            policy = replace(policy, references=made)
        return policy
