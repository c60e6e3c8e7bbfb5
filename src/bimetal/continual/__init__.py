"""Learning task after task, or day after day, without forgetting: binary nets with metaplastic weights.

`learners` are what learns, each method a file; `sequences` what they are shown; `harness` holds them
side by side; `stream` is the classifier for practice, `oversight` what audit and model risk need around
it. Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bimetal.continual.harness.compare import compare
    from bimetal.continual.harness.matrix import AccuracyMatrix
    from bimetal.continual.harness.run import run
    from bimetal.continual.harness.study import Study
    from bimetal.continual.harness.tuning import tune
    from bimetal.continual.learners.analytic import AnalyticHead
    from bimetal.continual.learners.methods import METHODS
    from bimetal.continual.learners.nets import row_net
    from bimetal.continual.oversight.audit import FlipLog, replay
    from bimetal.continual.oversight.champion import compete
    from bimetal.continual.oversight.monitors import Monitors
    from bimetal.continual.oversight.snapshots import Snapshots
    from bimetal.continual.sequences import SEQUENCES
    from bimetal.continual.stream.classifier import ContinualClassifier
    from bimetal.continual.stream.delays import DelayedLabels
    from bimetal.continual.stream.river import RiverClassifier

__all__ = [
    "METHODS",
    "SEQUENCES",
    "AccuracyMatrix",
    "AnalyticHead",
    "ContinualClassifier",
    "DelayedLabels",
    "FlipLog",
    "Monitors",
    "RiverClassifier",
    "Snapshots",
    "Study",
    "compare",
    "compete",
    "replay",
    "row_net",
    "run",
    "tune",
]

_HOMES = {
    "METHODS": "learners.methods",
    "SEQUENCES": "sequences",
    "AccuracyMatrix": "harness.matrix",
    "AnalyticHead": "learners.analytic",
    "ContinualClassifier": "stream.classifier",
    "DelayedLabels": "stream.delays",
    "FlipLog": "oversight.audit",
    "Monitors": "oversight.monitors",
    "RiverClassifier": "stream.river",
    "Snapshots": "oversight.snapshots",
    "Study": "harness.study",
    "compare": "harness.compare",
    "compete": "oversight.champion",
    "replay": "oversight.audit",
    "row_net": "learners.nets",
    "run": "harness.run",
    "tune": "harness.tuning",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'bimetal.continual' has no name '{name}'; it has {', '.join(__all__)}"
        )
    found = getattr(import_module(f"bimetal.continual.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
