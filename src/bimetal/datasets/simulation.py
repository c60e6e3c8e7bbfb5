"""A credit portfolio from nowhere: realistic columns, and a true default probability for each loan.

Use it to test what real data cannot tell: whether a score is near the best possible, whether it is
calibrated in a downturn, what a missing value costs. Amounts are in a currency of no name.
"""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bimetal.datasets.dataset import Dataset
from bimetal.errors import DataError, MissingExtraError

__all__ = ["simulate_credit"]

N_MONTHS = 48
TRAIN_MONTHS = 36
NO_RECORD = -9.0  # the bureau knows nothing of the applicant
MEAN_DEFAULT = 0.12

REGIONS = ("north", "north_east", "east", "south", "south_west", "west", "centre", "islands")
EMPLOYMENT = ("salaried", "public", "self_employed", "retired", "unemployed")
PURPOSES = ("car", "home_improvement", "debt_consolidation", "education", "business", "other")
Columns = dict[str, Any]


def simulate_credit(
    n_rows: int = 20_000, *, random_state: int = 0, start: str = "2015-01"
) -> Dataset:
    """Simulate a portfolio of consumer loans granted over 48 months.

    The true probability is a nonlinear function of the columns of the loan and of the unemployment
    in its month. Then some values are hidden: at random, because the applicant has an income he
    would rather not show, or because the bureau has no record (`bureau_score` −9).

    Parameters
    ----------
    n_rows : int
        How many loans; about 12 % default.
    random_state : int
        Seed: the same one gives the same loans.
    start : str
        First month, as "2015-01".

    Returns
    -------
    Dataset
        With a pandas table, `default_probability`, `time`, and a split in time: 36 months to
        train, 12 to test.

    Raises
    ------
    DataError
        When `n_rows` is below 1 or `start` is no month.
    MissingExtraError
        When pandas is not installed.

    Examples
    --------
    >>> portfolio = simulate_credit(1000)
    >>> bool(0.08 < portfolio.y.mean() < 0.16)
    True
    """
    if n_rows < 1:
        raise DataError(f"n_rows must be at least 1, got {n_rows}")
    first = _month(start)
    rng = np.random.default_rng(random_state)
    month = np.sort(rng.integers(0, N_MONTHS, n_rows))
    columns = _borrowers(rng, n_rows) | {"unemployment_rate": _unemployment(rng)[month]}
    columns |= _loans(rng, columns) | _history(rng, columns)
    probability = _default_probability(columns)
    return Dataset(
        name="simulated_credit",
        title="Simulated consumer loans",
        X=_frame(_hide(rng, columns)),
        y=(rng.random(n_rows) < probability).astype(np.int64),
        target="default",
        positive="default within twelve months",
        licence="CC0",
        origin="simulated",
        caveats="Simulated: it shows how a method works, never how the world does.",
        time=(first + month.astype("timedelta64[M]")).astype("datetime64[D]"),
        split=np.where(month < TRAIN_MONTHS, "train", "test"),
        special_codes={"bureau_score": (NO_RECORD,)},
        default_probability=probability,
    )


def _month(start: str) -> np.datetime64:
    try:
        return np.datetime64(start, "M")
    except ValueError as error:
        raise DataError(f"start must be a month such as '2015-01', got {start!r}") from error


def _unemployment(rng: Generator) -> NDArray[np.float64]:
    """Draw a path of the unemployment rate (per cent) with a downturn in the third year on."""
    months = np.arange(N_MONTHS)
    downturn = 3.5 / (1 + np.exp(-(months - 30) / 2.5))
    return np.round(5.0 + downturn + 0.15 * np.cumsum(rng.normal(size=N_MONTHS)), 1)


def _borrowers(rng: Generator, n: int) -> Columns:
    age = np.clip(np.round(18 + rng.gamma(3.2, 8.5, n)), 18, 85)
    shares = np.where(
        (age >= 64)[:, None], [0.08, 0.04, 0.06, 0.80, 0.02], [0.64, 0.15, 0.13, 0.01, 0.07]
    )
    work = (rng.random((n, 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    years = np.round(np.minimum(rng.exponential(6.0, n), age - 18), 1)
    level = 7.7 + np.array([0.0, 0.05, 0.15, -0.35, -0.9])[work] + 0.25 * np.log1p(years)
    return {
        "age": age,
        "employment": np.array(EMPLOYMENT, dtype=object)[work],
        "years_in_job": np.where(work >= 3, 0.0, years),
        "monthly_income": np.round(np.exp(level + rng.normal(0, 0.45, n)), -1),
        "region": rng.choice(np.array(REGIONS, dtype=object), n, p=np.arange(8, 0, -1) / 36),
        "dependants": np.where(age < 24, 0, rng.poisson(0.9, n)).astype(float),
        "owns_home": rng.random(n) < 1 / (1 + np.exp(-(age - 45) / 12)),
    }


def _loans(rng: Generator, given: Columns) -> Columns:
    n, income = len(given["age"]), given["monthly_income"]
    amount = np.clip(np.round(income * rng.lognormal(1.1, 0.7, n), -2), 500, 75_000)
    term = rng.choice([12.0, 24.0, 36.0, 48.0, 60.0], n, p=[0.12, 0.22, 0.30, 0.16, 0.20])
    other_debt = income * rng.beta(1.3, 6.0, n)
    return {
        "purpose": rng.choice(
            np.array(PURPOSES, dtype=object), n, p=[0.25, 0.2, 0.25, 0.08, 0.07, 0.15]
        ),
        "loan_amount": amount,
        "term_months": term,
        "debt_to_income": np.round((amount / term * 1.15 + other_debt) / income, 3),
    }


def _history(rng: Generator, given: Columns) -> Columns:
    """Draw what the bureau knows; a hidden carelessness runs through all of it."""
    n, age = len(given["age"]), given["age"]
    careless = rng.normal(size=n)
    is_new = rng.random(n) < np.where(age < 25, 0.35, 0.04)
    late = np.where(is_new, 0, rng.poisson(np.exp(-1.5 + 0.8 * careless))).astype(float)
    used = 1 / (1 + np.exp(-(-0.9 + 0.7 * careless + rng.normal(0, 1.0, n))))
    score = 640 - 45 * careless - 25 * np.minimum(late, 4) + 0.8 * (age - 40) + rng.normal(0, 25, n)
    return {
        "bureau_score": np.where(is_new, NO_RECORD, np.clip(np.round(score), 300, 850)),
        "utilisation": np.round(used, 3),
        "late_payments_24m": late,
        "months_since_late": np.where(late > 0, np.ceil(rng.random(n) * 24), np.nan),
        "inquiries_6m": rng.poisson(np.exp(-0.4 + 0.35 * careless)).astype(float),
        "open_accounts": np.where(is_new, 0, rng.poisson(5.0, n)).astype(float),
    }


def _default_probability(given: Columns) -> NDArray[np.float64]:
    """Return the true probability: curves, thresholds and interactions, 12 % on the mean."""
    is_known = given["bureau_score"] != NO_RECORD
    score = np.where(is_known, given["bureau_score"], 600.0)
    used, late, burden = given["utilisation"], given["late_payments_24m"], given["debt_to_income"]
    slack = given["unemployment_rate"] - 5.0
    recent = np.where(late > 0, np.exp(-np.nan_to_num(given["months_since_late"]) / 8), 0.0)
    is_self_employed = given["employment"] == "self_employed"
    risk = (
        -0.011 * (score - 620)
        + 0.5 * ~is_known
        + 1.6 * np.maximum(used - 0.55, 0) * (1 + late)
        + 1.1 * recent
        + 2.4 * np.maximum(burden - 0.35, 0)
        + 0.0011 * (given["age"] - 47) ** 2
        - 0.30 * np.log(given["monthly_income"] / 3000)
        - 0.35 * np.minimum(given["years_in_job"], 4) / 4
        + 0.9 * (given["employment"] == "unemployed")
        + 0.7 * (is_self_employed & (given["age"] < 32))
        + 0.012 * (given["term_months"] - 36)
        + 0.35 * (given["inquiries_6m"] >= 3)
        + np.select(
            [given["purpose"] == p for p in ("business", "debt_consolidation", "car")],
            [0.45, 0.25, -0.25],
            0.0,
        )
        + slack * (0.08 + 0.20 * (given["purpose"] == "business") + 0.12 * is_self_employed)
        - 0.30 * (given["owns_home"] & (burden < 0.4))
        + 0.15 * np.isin(given["region"], ["islands", "south"])
    )
    return _sigmoid(risk + _intercept(risk))


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-z))


def _intercept(risk: NDArray[np.float64]) -> float:
    """Find by bisection the constant that makes the mean probability `MEAN_DEFAULT`."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        is_low = _sigmoid(risk + middle).mean() < MEAN_DEFAULT
        low, high = (middle, high) if is_low else (low, middle)
    return middle


def _hide(rng: Generator, given: Columns) -> Columns:
    """Hide values: at random (utilisation, dependants), and not (high and odd incomes)."""
    n, income = len(given["age"]), given["monthly_income"]
    shy = 0.03 + 0.15 * (income > np.quantile(income, 0.9))
    shy = shy + 0.12 * (given["employment"] == "self_employed")
    hidden = {"monthly_income": shy, "utilisation": 0.05, "dependants": 0.03}
    masked = {name: np.where(rng.random(n) < p, np.nan, given[name]) for name, p in hidden.items()}
    return given | masked


def _frame(columns: Columns) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "data", "simulate_credit") from error
    return pandas.DataFrame(columns)
