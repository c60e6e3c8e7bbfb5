"""Rows of toy scorecards with outcomes drawn from the model's own probabilities, as frames."""

from typing import Any

import numpy as np
import pandas as pd
from credit_models import toy_model, toy_rows
from numpy.typing import NDArray

from bimetal.finance.credit.model import CreditModel


def a_model(seed: int = 0, **policy: Any) -> CreditModel:
    model: CreditModel = toy_model(seed, **policy)
    return model


def a_frame(model: CreditModel, n: int, seed: int = 0, **shift: float) -> pd.DataFrame:
    """Return rows of known categories within limits, with columns `sex`, `band`, `date` and `id`."""
    rows = toy_rows(model.program, n, seed)
    rng = np.random.default_rng(seed)
    names = [c.name for c in model.program.columns]
    frame = pd.DataFrame(rows.astype(float), columns=names)
    for name in (
        "income",
        "age",
        "amount",
        "utilisation",
    ):  # `enquiries` has missing and special values
        frame[name] = frame[name].abs() + (18 if name == "age" else 0)
    frame["age"] = frame["age"].clip(upper=110)
    housing = model.program.columns[names.index("housing")].categories
    frame["housing"] = [housing[int(c) % len(housing)] for c in frame["housing"]]
    for name, by in shift.items():
        frame[name] = frame[name] + by
    frame["sex"] = rng.choice(["f", "m"], n)
    frame["band"] = rng.choice(["18-30", "31-50", "51+"], n)
    frame["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 360, n), "D")
    frame["id"] = np.arange(n) // 2
    return frame


def outcomes(
    model: CreditModel, frame: pd.DataFrame, seed: int = 0, odds: float = 1.0
) -> NDArray[np.int64]:
    """Draw bads with the model's own probabilities, their odds multiplied."""
    p = model.assess(model.rows(frame)).probability.astype(float)
    bad = odds * p / (1 - p)
    drawn: NDArray[np.int64] = (
        np.random.default_rng(seed + 1000).random(len(p)) < bad / (1 + bad)
    ).astype(np.int64)
    return drawn


def a_sample(
    model: CreditModel, n: int = 1500, seed: int = 0, odds: float = 1.0, **shift: float
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    frame = a_frame(model, n, seed, **shift)
    return frame, outcomes(model, frame, seed, odds)
