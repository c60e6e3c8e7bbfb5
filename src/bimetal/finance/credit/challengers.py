"""Challengers: what else could be had from the same rows, each made by name.

A score is worth something beside a good scorecard and beside good trees, tuned with the care that
their friends would take. To add one, write a class on `rivals.Rival` and a name in `CHALLENGERS`.
"""

from typing import Any

from bimetal.errors import DataError
from bimetal.finance.credit.boosting import Ebm, LightGbm
from bimetal.finance.credit.rivals import Rival
from bimetal.finance.credit.woe_logistic import WoeLogistic

__all__ = ["CHALLENGERS", "LABELS", "Ebm", "LightGbm", "WoeLogistic", "make"]

CHALLENGERS = ("woe_logistic", "lightgbm", "lightgbm_default", "ebm")
"""Names that `make` knows."""

LABELS = {
    "woe_logistic": "logistic WoE scorecard",
    "lightgbm": "LightGBM, tuned",
    "lightgbm_default": "LightGBM, untuned",
    "ebm": "EBM",
}
"""How each reads in a table."""


def make(name: str, **options: Any) -> Rival:
    """Return an unfitted challenger.

    Parameters
    ----------
    name : {"woe_logistic", "lightgbm", "lightgbm_default", "ebm"}
        A logistic regression on weights of evidence (`WoeLogistic`), boosted trees after a random
        search or as the package has them (`LightGbm`), an explainable boosting machine (`Ebm`).
    **options
        `categorical`, `special_codes` and `random_state` for all; others as the class has them.

    Raises
    ------
    DataError
        When the name or an option is unknown.

    Examples
    --------
    >>> make("lightgbm_default", random_state=7)
    LightGbm(n_draws=0, random_state=7)
    """
    kinds: dict[str, tuple[type[Rival], dict[str, Any]]] = {
        "woe_logistic": (WoeLogistic, {}),
        "lightgbm": (LightGbm, {}),
        "lightgbm_default": (LightGbm, {"n_draws": 0}),
        "ebm": (Ebm, {}),
    }
    if name not in kinds:
        raise DataError(f"a challenger is one of {', '.join(CHALLENGERS)}; got {name!r:.80}")
    kind, settings = kinds[name]
    known = kind().get_params()
    if unknown := sorted(set(options) - set(known)):
        raise DataError(f"{name} has no option {unknown[0]!r}; it has {', '.join(known)}")
    return kind(**{**settings, **options})
