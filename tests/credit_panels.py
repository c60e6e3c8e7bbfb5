"""Simulated monthly panels whose true hazards are known."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns import Lists

N_MONTHS = 36


def true_hazard(age: Any, x: Any) -> NDArray[np.float64]:
    """Default: a hump at 14 months, times the covariate."""
    hump = 1.2 * np.exp(-(((np.asarray(age) - 14) / 8.0) ** 2))
    return np.asarray(1 / (1 + np.exp(-(-5.0 + hump + 0.7 * np.asarray(x)))))


def true_prepayment(age: Any) -> NDArray[np.float64]:
    """Early repayment: more of it the older the account."""
    return 0.008 + 0.0005 * np.asarray(age, np.float64)


def simulated_panel(seed: int, n: int = 3_000, *, prepays: bool = True) -> Lists:
    """Accounts followed from month 0 to default, repayment, or the end of the window (their own)."""
    rng = np.random.default_rng(seed)
    x, window = rng.normal(size=n), rng.integers(6, N_MONTHS + 1, n)
    alive, parts = np.ones(n, bool), []
    for age in range(N_MONTHS):
        alive &= age < window
        default = alive & (rng.random(n) < true_hazard(age, x))
        prepay = alive & ~default & prepays & (rng.random(n) < true_prepayment(age))
        i = np.flatnonzero(alive)
        parts.append((i, np.full(len(i), age), default[i], prepay[i], x[i]))
        alive &= ~(default | prepay)
    names = ("loan", "age", "default", "prepay", "x")
    table = dict(
        zip(names, (np.concatenate(part) for part in zip(*parts, strict=True)), strict=True)
    )
    return Lists({name: values.tolist() for name, values in table.items()})


NAMES = {"id": "loan", "age": "age", "default": "default", "prepay": "prepay"}
