"""Credit scoring: a binarized scorecard from application data to a decision that can be explained and replayed.

>>> from bimetal.finance import credit
>>> credit.Scaling(pdo=20).score(60_000)
np.float64(600.0)

Names are imported when they are first used: a service that scores never looks for what trains.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bimetal.finance.credit.classing import fine_classing
    from bimetal.finance.credit.model import CreditModel
    from bimetal.finance.credit.monitoring import monitor
    from bimetal.finance.credit.policy import Policy
    from bimetal.finance.credit.profile import Profile
    from bimetal.finance.credit.scaling import Scaling
    from bimetal.finance.credit.scorecard import BinaryScorecard
    from bimetal.finance.credit.validation.pack import validate

__all__ = [
    "BinaryScorecard",
    "CreditModel",
    "Policy",
    "Profile",
    "Scaling",
    "fine_classing",
    "monitor",
    "validate",
]

_HOMES = {
    "BinaryScorecard": "scorecard",
    "CreditModel": "model",
    "Policy": "policy",
    "Profile": "profile",
    "Scaling": "scaling",
    "fine_classing": "classing",
    "monitor": "monitoring",
    "validate": "validation.pack",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module '{__name__}' has no name '{name}'; it has {', '.join(__all__)}"
        )
    found: Any = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
