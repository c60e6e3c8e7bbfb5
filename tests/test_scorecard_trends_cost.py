"""What trends that are found may cost out of fold: what chance could explain, and a thousandth."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from bimetal.finance.credit.recipe import _LITTLE, _Oven
from bimetal.finance.credit.scaling import Scaling


def oven(n: int) -> Any:
    """All that the judge asks for: outcomes that a score explains, weights, a scaling."""
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, n)
    bad = (rng.random(n) < expit(log_odds)).astype(float)
    scaling = Scaling()
    points = scaling.points(log_odds)
    return SimpleNamespace(
        options=SimpleNamespace(scaling=scaling), bad=bad, weight=np.ones(n), points=points
    )


def loss(case: Any, points: Any) -> float:
    scale, offset = case.options.scaling.link()
    p = expit(offset + scale * points)
    return float(-np.mean(np.where(case.bad == 1, np.log(p), np.log1p(-p))))


def stretched(case: Any, rise: float) -> Any:
    """The points stretched until the loss has risen by a share: every row loses a little."""
    least, low, high = loss(case, case.points), 1.0, 3.0
    middle = case.points.mean()
    for _ in range(60):
        factor = (low + high) / 2
        worse = loss(case, middle + factor * (case.points - middle)) > (1 + rise) * least
        low, high = (low, factor) if worse else (factor, high)
    return SimpleNamespace(oof_points=middle + low * (case.points - middle))


@pytest.mark.parametrize(("rise", "is_little"), [(0.0, True), (0.5, True), (3.0, False)])
def test_of_many_rows_a_thousandth_may_be_given_for_a_promise(rise: float, is_little: bool) -> None:
    case = oven(200_000)
    free, held = SimpleNamespace(oof_points=case.points), stretched(case, rise * _LITTLE)
    assert _Oven._costs_little(case, held, free, 0.5) is is_little


def test_of_few_rows_what_chance_explains_is_no_cost() -> None:
    case = oven(300)
    free, held = SimpleNamespace(oof_points=case.points), stretched(case, 3 * _LITTLE)
    assert _Oven._costs_little(case, held, free, 1.0)
