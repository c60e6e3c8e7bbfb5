"""Scaling: log-odds into points and back, and what the names of its parameters promise."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bimetal.errors import DataError
from bimetal.finance.credit.scaling import Scaling

scalings = st.builds(
    Scaling,
    pdo=st.floats(1, 100),
    base_score=st.floats(-200, 1_000),
    base_odds=st.floats(0.1, 500),
    unit=st.sampled_from([1, 10, 100]),
)


@given(scalings)
@settings(max_examples=60, deadline=None)
def test_the_base_score_has_the_base_odds_and_pdo_more_points_double_them(scaling: Scaling) -> None:
    at = np.array([scaling.base_score, scaling.base_score + scaling.pdo]) * scaling.unit
    p = scaling.probability(at)
    odds = (1 - p) / p
    np.testing.assert_allclose(odds, [scaling.base_odds, 2 * scaling.base_odds], rtol=1e-9)
    np.testing.assert_allclose(
        scaling.score(at), [scaling.base_score, scaling.base_score + scaling.pdo]
    )


@given(scalings, st.floats(-8, 8))
@settings(max_examples=60, deadline=None)
def test_points_of_log_odds_and_back_are_the_same(scaling: Scaling, log_odds: float) -> None:
    points = scaling.points(log_odds)
    assert scaling.probability(points) == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-9)
    scale, offset = scaling.link()
    assert scale < 0  # more points, less risk
    assert offset + scale * float(points) == pytest.approx(log_odds, abs=1e-9)


def test_whole_points_cost_less_than_half_a_point() -> None:
    scaling = Scaling(pdo=20, base_score=600, base_odds=50, unit=1)
    log_odds = np.linspace(-6, 2, 1_001)
    rounded = np.rint(scaling.points(log_odds))
    assert (np.abs(rounded - scaling.points(log_odds)) <= 0.5).all()
    assert np.array_equal(scaling.score(rounded), rounded)


def test_the_spec_is_the_scaling() -> None:
    scaling = Scaling(40, 500.5, 20, 10)
    assert Scaling(**scaling.spec()) == scaling


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pdo": 0}, "pdo"),
        ({"pdo": -20.0}, "pdo"),
        ({"pdo": "20"}, "pdo"),
        ({"pdo": True}, "pdo"),
        ({"pdo": math.inf}, "pdo must be finite"),
        ({"base_odds": math.nan}, "base_odds"),
        ({"unit": 0}, "unit"),
        ({"unit": 2.5}, "unit must be a whole number"),
        ({"base_score": math.inf}, "base_score"),
        ({"base_score": "600"}, "base_score"),
    ],
)
def test_numbers_that_make_no_scale_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Scaling(**given)
