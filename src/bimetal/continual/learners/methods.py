"""The methods by name, in the order of tables; to add one, write a file and name its `Method` here."""

from bimetal.continual.learners.analytic import ANALYTIC
from bimetal.continual.learners.bimu import BIMU
from bimetal.continual.learners.ewc import EWC, EWC_ONLINE, EWC_ONLINE_ROW, EWC_ROW
from bimetal.continual.learners.joint import JOINT
from bimetal.continual.learners.learner import Method
from bimetal.continual.learners.metaplastic import FADING, METAPLASTIC, PLAIN, PUBLISHED, ROW_PLAIN
from bimetal.continual.learners.replay import REPLAY
from bimetal.continual.learners.si import SI, SI_ROW

__all__ = ["METHODS"]

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        METAPLASTIC, FADING, ROW_PLAIN, PUBLISHED, PLAIN, EWC, EWC_ONLINE, EWC_ROW, EWC_ONLINE_ROW, SI, SI_ROW, REPLAY,
        BIMU, JOINT, ANALYTIC,
    )
}  # fmt: skip
