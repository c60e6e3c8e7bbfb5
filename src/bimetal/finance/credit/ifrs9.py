"""Expected credit loss under IFRS 9 (three stages) and CECL (lifetime from the first day).

IFRS 9 section 5.5: twelve months of expected loss while credit risk has not risen significantly
(stage 1), the lifetime's once it has (stage 2) and when credit-impaired (stage 3). ASC 326 (CECL) takes
the lifetime's always. These are calculations, not a judgement: what is significant, which scenarios are
reasonable and what a default is remains for the institution to decide and to document.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.staging import Floats, Stages, within
from bimetal.finance.credit.term_structure import TermStructure

__all__ = ["Allowance", "allowance", "amortised", "expected_loss"]

Standard = Literal["ifrs9", "cecl"]


def expected_loss(
    curve: TermStructure | ArrayLike,
    lgd: ArrayLike,
    ead: ArrayLike,
    rate: ArrayLike,
    *,
    horizon: int | Literal["lifetime"] = 12,
) -> Floats:
    """Return the expected credit loss of each row: Σ marginal(t) · LGD(t) · EAD(t) / (1 + rate)^(t/12).

    A default is counted at the end of its month and discounted to today at the effective interest
    rate (IFRS 9 B5.5.44).

    Parameters
    ----------
    curve : TermStructure or array-like
        Marginal probabilities of default, (n_rows, n_months).
    lgd, ead : float or array-like
        Share lost, and amount at risk, on default in month t: for all, for each row (n_rows,), or
        for each row and month (n_rows, n_months). LGD as seen at default, recoveries discounted to then.
    rate : float or array-like
        Effective interest rate a year, 0.05 for 5 %: for all or for each row.
    horizon : int or "lifetime"
        Months of default that count: 12 in stage 1.

    Returns
    -------
    numpy.ndarray
        float64 (n_rows,).

    Raises
    ------
    DataError
        When shapes do not fit, a probability or LGD is outside 0 to 1, EAD is negative, the rate is
        −1 or less, or the horizon is no positive number of months.

    Examples
    --------
    >>> expected_loss([[0.01] * 24], lgd=0.4, ead=1_000, rate=0.0).round(2)
    array([48.])
    >>> expected_loss([[0.01] * 24], lgd=0.4, ead=1_000, rate=0.0, horizon="lifetime").round(2)
    array([96.])
    """
    marginal = np.asarray(curve.marginal if isinstance(curve, TermStructure) else curve, np.float64)
    if marginal.ndim != 2:
        raise DataError(f"marginal PDs of shape (n_rows, n_months) expected, got {marginal.shape}")
    if horizon != "lifetime" and (isinstance(horizon, bool) or not horizon >= 1):
        raise DataError(f"a horizon in months, or 'lifetime', expected, got {horizon!r:.80}")
    n, n_months = marginal.shape
    p = within("marginal PDs", marginal, marginal.shape, 0, 1)
    loss = within("lgd", lgd, marginal.shape, 0, 1) * within("ead", ead, marginal.shape, 0, np.inf)
    yearly = within("rate", rate, (n, 1), -1, np.inf)
    if (yearly == -1).any():
        raise DataError("rate must be above −1")
    months = np.arange(1, n_months + 1)
    counted = months <= (n_months if horizon == "lifetime" else horizon)
    discount = (1 + yearly) ** (-months / 12)
    expected: Floats = (p * loss * discount)[:, counted].sum(axis=1)
    return expected


def amortised(balance: ArrayLike, rate: ArrayLike, months_left: ArrayLike, n_months: int) -> Floats:
    """Return the balance of annuity loans at the beginning of each month, float64 (n_rows, n_months).

    Equal instalments at the end of each month, at ``(1 + rate) ** (1/12) − 1`` a month; 0 from
    maturity on. What is at risk of a default in month t is what was owed when it began.

    Raises
    ------
    DataError
        When a balance or a number of months is negative, a rate is −1 or less, or shapes do not fit.

    Examples
    --------
    >>> amortised(1_000.0, 0.0, 4, 5).tolist()
    [[1000.0, 750.0, 500.0, 250.0, 0.0]]
    """
    n = max(np.size(balance), np.size(rate), np.size(months_left))
    owed = within("balance", balance, (n, 1), 0, np.inf)
    yearly = within("rate", rate, (n, 1), -1, np.inf)
    left = within("months_left", months_left, (n, 1), 0, np.inf)
    if (yearly == -1).any():
        raise DataError("rate must be above −1")
    monthly = (1 + yearly) ** (1 / 12) - 1
    to_pay = np.maximum(left - np.arange(n_months), 0)
    # Present value of the instalments to come, over that of all: (1 − v^k) / (1 − v^m), v = 1/(1 + i).
    some = np.where(np.abs(monthly) < 1e-12, 1.0, monthly)
    with np.errstate(divide="ignore", invalid="ignore"):
        curved = -np.expm1(-to_pay * np.log1p(some)) / -np.expm1(-left * np.log1p(some))
        share = np.where(np.abs(monthly) < 1e-12, to_pay / left, curved)
    balances: Floats = owed * np.where(left > 0, share, 0.0)
    return balances


@dataclass(frozen=True, eq=False)
class Allowance:
    """What is set aside.

    Attributes
    ----------
    stage : numpy.ndarray
        int8 (n_rows,); under CECL it only sorts the table.
    amount : numpy.ndarray
        float64 (n_rows,).
    ead : numpy.ndarray
        Exposure today, float64 (n_rows,).
    """

    stage: Stages
    amount: Floats
    ead: Floats

    def table(self) -> list[Mapping[str, Any]]:
        """Return a row a stage and one for all: accounts, exposure, allowance, coverage (None of 0)."""
        rows = [(str(s), self.stage == s) for s in (1, 2, 3)]
        return [
            _line(
                name, int(mine.sum()), float(self.ead[mine].sum()), float(self.amount[mine].sum())
            )
            for name, mine in [*rows, ("all", np.ones(len(self.stage), bool))]
        ]


def allowance(
    stage: ArrayLike,
    curve: TermStructure | ArrayLike,
    lgd: ArrayLike,
    ead: ArrayLike,
    rate: ArrayLike,
    *,
    standard: Standard = "ifrs9",
) -> Allowance:
    """Set aside what the stage asks for.

    Stage 1: twelve months; stage 2: the lifetime; stage 3: LGD of what is owed today. Under CECL
    stages 1 and 2 are both the lifetime's.

    Parameters
    ----------
    stage : array-like
        1, 2 or 3 for each row.
    curve, lgd, ead, rate
        As for `expected_loss`; of a schedule the first month is today's exposure.
    standard : {"ifrs9", "cecl"}

    Raises
    ------
    DataError
        When a stage is another, or arguments do not fit.

    Examples
    --------
    >>> found = allowance([1, 2, 3], [[0.01] * 24] * 3, lgd=0.4, ead=1_000, rate=0.0)
    >>> found.amount.round(2)
    array([ 48.,  96., 400.])
    >>> found.table()[-1]["coverage"].__round__(3)
    0.181
    """
    given = np.asarray(stage)
    if standard not in ("ifrs9", "cecl"):
        raise DataError(f"standard is 'ifrs9' or 'cecl', got {standard!r:.80}")
    lifetime = expected_loss(curve, lgd, ead, rate, horizon="lifetime")
    if given.shape != lifetime.shape or not np.isin(given, (1, 2, 3)).all():
        raise DataError(f"a stage 1, 2 or 3 for each of {len(lifetime)} rows expected")
    year = expected_loss(curve, lgd, ead, rate, horizon=12) if standard == "ifrs9" else lifetime
    first = (len(lifetime), 1)
    owed, lost = (
        within(n, _today(v), first, 0, np.inf)[:, 0] for n, v in (("ead", ead), ("lgd", lgd))
    )
    amount = np.select([given == 1, given == 2], [year, lifetime], owed * lost)
    return Allowance(given.astype(np.int8), amount, owed)


def _today(given: ArrayLike) -> NDArray[Any]:
    values = np.asarray(given, np.float64)
    return values[:, :1] if values.ndim == 2 else values


def _line(name: str, n: int, ead: float, amount: float) -> dict[str, Any]:
    coverage = amount / ead if ead > 0 else None
    return {"stage": name, "n": n, "ead": ead, "allowance": amount, "coverage": coverage}
