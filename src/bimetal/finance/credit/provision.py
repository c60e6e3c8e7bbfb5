"""From a hazard model and today's accounts to stages and allowances, scenario by scenario.

The lifetime PD of each account is compared with the one that its covariates at origination give for
the same months: origination without scenarios, today weighted over them, so that a worse outlook is a
rise in risk as well as a worse account is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.errors import DataError
from bimetal.finance.credit.hazard import HazardModel
from bimetal.finance.credit.ifrs9 import Allowance, Standard, allowance, amortised
from bimetal.finance.credit.scenarios import Scenario
from bimetal.finance.credit.staging import Sicr, stages
from bimetal.finance.credit.term_structure import TermStructure, mixture

__all__ = ["Accounts", "Provision", "provision"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Accounts:
    """The accounts of today, one row each.

    Attributes
    ----------
    age : array-like of int
        Months on book of the last month that is known, (n_rows,).
    today, origination : frame or array
        Covariates now and at origination, as the hazard model takes them.
    lgd, ead, rate : float or array-like
        As for `expected_loss`; `ead` is today's balance.
    months_left : int or array-like
        Months to maturity.
    days_past_due : int or array-like
    is_impaired : bool or array-like
        In default.
    """

    age: ArrayLike
    today: Any
    origination: Any
    lgd: ArrayLike
    ead: ArrayLike
    rate: ArrayLike
    months_left: ArrayLike
    days_past_due: ArrayLike = 0
    is_impaired: ArrayLike = False


@dataclass(frozen=True, eq=False)
class Provision:
    """Stages and allowances.

    Attributes
    ----------
    curve : TermStructure
        Weighted over the scenarios.
    ead : numpy.ndarray
        At risk in each month, float64 (n_rows, n_months).
    stage : numpy.ndarray
        int8 (n_rows,).
    pd_now, pd_origination : numpy.ndarray
        Over the months left, float64 (n_rows,).
    allowance : Allowance
    by_scenario : dict
        Total allowance if a scenario were certain, by its name; stages as they are.
    """

    curve: TermStructure
    ead: Floats
    stage: NDArray[np.int8]
    pd_now: Floats
    pd_origination: Floats
    allowance: Allowance
    by_scenario: dict[str, float] = field(default_factory=dict)


def provision(
    model: HazardModel,
    accounts: Accounts,
    *,
    scenarios: Sequence[Scenario] = (),
    rule: Sicr | None = None,
    standard: Standard = "ifrs9",
    is_amortising: bool = False,
) -> Provision:
    """Stage accounts and set aside what the standard asks for.

    Parameters
    ----------
    model : HazardModel
    accounts : Accounts
    scenarios : sequence of Scenario
        Weighted by their probabilities; none: the hazards as they are.
    rule : Sicr, optional
    standard : {"ifrs9", "cecl"}
    is_amortising : bool
        The balance is paid down in equal instalments to maturity, at the rate of the account; else
        it stays (a bullet loan, a drawn line).

    Raises
    ------
    DataError
        When a part does not fit, or no account has a month left.
    """
    n = np.size(accounts.age)
    left = np.broadcast_to(np.asarray(accounts.months_left), (n,))
    if not (left >= 0).all() or not left.max(initial=0) >= 1:
        raise DataError("months to maturity of 0 or more, and some of 1 or more, expected")
    n_months = int(np.ceil(left.max()))
    cases = list(scenarios) or [Scenario("base", 1.0)]
    curves = [
        model.in_scenario(accounts.today, accounts.age, n_months, case, left) for case in cases
    ]
    curve = mixture(curves, [case.probability for case in cases])
    first = model.term_structure(accounts.origination, accounts.age, n_months, months_left=left)
    stage = stages(
        np.minimum(curve.lifetime, 1.0),
        np.minimum(first.lifetime, 1.0),
        days_past_due=accounts.days_past_due,
        is_impaired=accounts.is_impaired,
        rule=rule,
    )
    balance = np.broadcast_to(np.asarray(accounts.ead, np.float64), (n,))
    flat = np.repeat(balance[:, None], n_months, axis=1)
    ead = amortised(balance, accounts.rate, left, n_months) if is_amortising else flat
    ead[:, 0] = balance  # what is owed at maturity, or past it, is owed today

    def set_aside(given: TermStructure) -> Allowance:
        return allowance(stage, given, accounts.lgd, ead, accounts.rate, standard=standard)

    alone = {
        case.name: float(set_aside(given).amount.sum())
        for case, given in zip(cases, curves, strict=True)
    }
    return Provision(curve, ead, stage, curve.lifetime, first.lifetime, set_aside(curve), alone)
