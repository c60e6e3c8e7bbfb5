"""Finance sequences from nowhere: credit regimes that come back, with known truth, and permuted credit.

In `regimes_aba` what makes a borrower default turns from period to period (calm, stress, calm, a rise of
rates, calm) and turns back: the question is what a score that learns on through the calm still knows of
the stress. The columns of the economy tell the regimes apart, as in life, so that one net can hold all
of them; without them (`marks_regime=False`) it cannot, whatever the method. There are twelve such columns:
with four, nets tried first kept the stress only at the price of the calm. `credit_permuted` is to tables
what permuted MNIST is to pictures.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bimetal.continual.sequence import Sequence
from bimetal.continual.sequences.maker import SequenceMaker, Split, drawn_order
from bimetal.continual.sequences.tabular import Piece, in_time, table_sequence
from bimetal.datasets import simulate_credit

__all__ = [
    "SIMULATED_SEQUENCES",
    "Period",
    "best_auc",
    "credit_permuted",
    "regimes_aba",
    "simulate_period",
]

Regime = Literal["A", "B", "C"]
Floats = NDArray[np.float64]

PATTERN: tuple[Regime, ...] = ("A", "B", "A", "C")
"""Which regime a period has; after the fourth it begins anew."""

NAMES: dict[Regime, str] = {"A": "calm", "B": "stress", "C": "rates"}
LEVEL: dict[Regime, float] = {"A": -2.9, "B": -2.8, "C": -3.2}
"""Log-odds of default where all effects are 0: 10, 25 and 16 % default on the whole."""

EFFECTS: dict[str, tuple[float, float, float]] = {
    "income": (-0.6, 0.0, -0.3),
    "loan_to_value": (0.0, 0.9, 0.1),
    "debt_to_income": (0.4, 0.1, 0.8),
    "bureau_score": (-0.9, 0.3, -0.5),
    "utilisation": (0.6, -0.2, 0.3),
    "late_payments": (0.5, 0.0, 0.3),
    "age": (-0.2, 0.3, 0.0),
    "years_in_job": (-0.4, 0.1, -0.2),
    "term": (0.2, 0.4, 0.2),
    "amount": (-0.3, 0.6, 0.1),
    "savings": (-0.2, -0.6, -0.3),
    "dependants": (0.0, 0.1, 0.2),
    "inquiries": (0.4, 0.0, 0.2),
    "price_rise_at_purchase": (-0.3, 0.6, 0.0),
    "payment_step_up": (0.0, 0.3, 0.6),
    "bank_distance": (0.0, 0.0, 0.0),
}
"""Effect on the log-odds of default of one standard deviation, in calm, in stress, and at rising rates."""

FLAGS: dict[str, tuple[float, float, float]] = {
    "has_variable_rate": (-0.3, 1.0, 1.6),
    "is_self_employed": (0.3, 1.0, 0.3),
    "has_second_home": (-0.8, 1.2, 0.0),
    "is_interest_only": (-0.3, 0.9, 0.7),
}
"""The same of properties that a borrower has or has not."""

SHARES = (0.35, 0.15, 0.20, 0.25)
"""How many have each of them."""

MACRO: dict[str, tuple[float, float, float, float]] = {
    "unemployment": (4.5, 8.5, 5.0, 0.25),
    "policy_rate": (2.0, 0.5, 5.0, 0.25),
    "house_price_growth": (4.0, -8.0, -1.0, 1.0),
    "credit_spread": (1.0, 3.5, 1.6, 0.15),
    "gdp_growth": (2.5, -3.0, 1.0, 0.4),
    "equity_volatility": (14.0, 35.0, 19.0, 2.0),
    "equity_return": (10.0, -25.0, -2.0, 3.0),
    "mortgage_rate": (4.0, 4.5, 7.0, 0.2),
    "confidence": (100.0, 70.0, 88.0, 3.0),
    "vacancy_rate": (3.0, 1.5, 3.2, 0.2),
    "inflation": (2.0, 0.5, 6.0, 0.3),
    "banks_that_tighten": (0.0, 60.0, 25.0, 5.0),
}
"""Mean in each regime, and how much a month strays from it."""

N_MONTHS = 24
N_ROWS = 20_000
COLUMNS = (*EFFECTS, *FLAGS, *MACRO)


@dataclass(frozen=True, eq=False)
class Period:
    """A period of 24 months in one regime.

    Attributes
    ----------
    name : str
        Of the task ("1 stress").
    regime : {"A", "B", "C"}
        Calm, stress, or rising rates.
    rows : numpy.ndarray
        float32 (n_rows, n_columns) in the order of `COLUMNS`, month after month.
    y : numpy.ndarray
        int64 (n_rows,): 1 = default.
    probability : numpy.ndarray
        float64 (n_rows,): the true probability of default.
    """

    name: str
    regime: Regime
    rows: NDArray[np.float32]
    y: NDArray[np.int64]
    probability: Floats


def simulate_period(number: int, *, key: tuple[int, ...] = (0,), n_rows: int = N_ROWS) -> Period:
    """Draw the loans of one period.

    Parameters
    ----------
    number : int
        Of the period, from 0: calm, stress, calm, rates, and anew.
    key : tuple of int
        Seeds; the same ones and the same number give the same loans, whatever other periods there are.
    n_rows : int
        How many loans.

    Examples
    --------
    >>> period = simulate_period(1, n_rows=1000)
    >>> period.name, period.rows.shape
    ('1 stress', (1000, 32))
    """
    regime = PATTERN[number % len(PATTERN)]
    rng = np.random.default_rng([*key, number])
    numbers = rng.normal(size=(n_rows, len(EFFECTS)))
    flags = rng.random((n_rows, len(FLAGS))) < SHARES
    probability = _probability(numbers, flags, regime)
    rows = np.hstack([numbers, flags, _macro(rng, regime, n_rows)]).astype(np.float32)
    y = (rng.random(n_rows) < probability).astype(np.int64)
    return Period(f"{number} {NAMES[regime]}", regime, rows, y, probability)


def _probability(numbers: Floats, flags: NDArray[np.bool_], regime: Regime) -> Floats:
    """Return the true probability: effects that add up, and two that only work together."""
    place = "ABC".index(regime)
    effect = np.array(list(EFFECTS.values()))[:, place]
    flag = np.array(list(FLAGS.values()))[:, place]
    column = dict(zip(EFFECTS, numbers.T, strict=True))
    both = (column["loan_to_value"] > 0.5) & (column["price_rise_at_purchase"] > 0.0)
    thin = (column["bureau_score"] < -0.5) & (column["utilisation"] > 0.5)
    z = (
        LEVEL[regime]
        + numbers @ effect
        + flags @ flag
        + (0.0, 0.9, 0.0)[place] * both
        + (0.7, 0.0, 0.4)[place] * thin
    )
    probability: Floats = 1 / (1 + np.exp(-z))
    return probability


def _macro(rng: Generator, regime: Regime, n_rows: int) -> Floats:
    """Return the economy in the month of each loan: a level of the period, and months that stray."""
    table = np.array(list(MACRO.values()))
    level = table[:, "ABC".index(regime)] + table[:, 3] * rng.normal(size=len(table))
    months = level + table[:, 3] * rng.normal(size=(N_MONTHS, len(table)))
    economy: Floats = np.round(months[np.arange(n_rows) * N_MONTHS // n_rows], 2)
    return economy


def best_auc(probability: Floats) -> float:
    """Return the expected AUC of the true probabilities themselves: no score does better on average.

    Each row stands on the ROC curve as a default, by its probability, and as none, by the rest.

    Examples
    --------
    >>> best_auc(np.array([0.0, 1.0]))
    1.0
    >>> best_auc(np.array([0.5, 0.5]))
    0.5
    """
    levels, group = np.unique(-probability, return_inverse=True)
    bad = np.cumsum(np.bincount(group, probability, len(levels)))
    good = np.cumsum(np.bincount(group, 1 - probability, len(levels)))
    area = np.trapezoid(np.r_[0.0, bad], np.r_[0.0, good])
    return float(area / (bad[-1] * good[-1]))


def regimes_aba(
    seed: int = 0,
    split: Split = "test",
    n_tasks: int | None = None,
    n_rows: int | None = None,
    *,
    marks_regime: bool = True,
) -> Sequence:
    """Return credit in regimes that come back: calm, stress, calm, rates, calm, and so on.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`.
    marks_regime : bool, default True
        Whether the columns of the economy are among the inputs. Without them the same loan has another
        risk in another regime and nothing tells which: no single score can be right in both.

    Examples
    --------
    >>> sequence = regimes_aba(n_rows=1000)
    >>> [task.name for task in sequence]
    ['0 calm', '1 stress', '2 calm', '3 rates', '4 calm']
    """
    key = (seed, int(split == "validation"))
    periods = [simulate_period(i, key=key) for i in range(n_tasks or 5)]
    n_columns = len(COLUMNS) - (0 if marks_regime else len(MACRO))
    pieces = [Piece(period.name, period.rows[:, :n_columns], period.y) for period in periods]
    best = ", ".join(f"{p.name} {best_auc(p.probability):.3f}" for p in periods)
    return table_sequence(
        "regimes_aba", REGIMES.title, pieces, lambda _: in_time(), split=split,
        n_rows=n_rows, note=f"Simulated. Best possible AUC, by the true probabilities: {best}.",
    )  # fmt: skip


def credit_permuted(
    seed: int = 0, split: Split = "test", n_tasks: int | None = None, n_rows: int | None = None
) -> Sequence:
    """Return one simulated portfolio whose bits stand in another order in each task.

    Parameters
    ----------
    seed, split, n_tasks, n_rows
        As in `SequenceMaker.make`; the first task's bits are in their own order.

    Examples
    --------
    >>> credit_permuted(n_tasks=2, n_rows=500).task(1).name
    'order 1'
    """
    portfolio = simulate_credit(random_state=2 * seed + int(split == "validation"))
    pieces = [Piece(f"order {i}", portfolio.X, portfolio.y) for i in range(n_tasks or 5)]

    def permuted(bits: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        if not number:
            return bits
        return bits[:, drawn_order(bits.shape[1], "credit_permuted", seed, split, number)]

    return table_sequence(
        "credit_permuted", PERMUTED_CREDIT.title, pieces, lambda _: in_time(), split=split, n_rows=n_rows,
        note="Simulated loans of 48 months, the last 30 % as test rows; another order of bits in each task.",
        transform=permuted, special_codes=portfolio.special_codes,
    )  # fmt: skip


REGIMES = SequenceMaker(
    "regimes_aba", "recurring credit regimes, simulated", (), regimes_aba, n_tasks=5
)
PERMUTED_CREDIT = SequenceMaker(
    "credit_permuted", "permuted simulated credit", (), credit_permuted, n_tasks=5
)
SIMULATED_SEQUENCES: tuple[SequenceMaker, ...] = (REGIMES, PERMUTED_CREDIT)
