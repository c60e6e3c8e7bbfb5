"""Metaplastic learners: the truly boundary-free default, the published protocol, and no remedy at all.

One file holds all three because they differ in one number or two: what is remembered of steps
(`bimetal.nn.Metaplastic`) and what the body is told (`bimetal.continual.learners.nets`).
"""

from typing import Any

from torch import nn

from bimetal.continual.learners.gradient import GradientLearner
from bimetal.continual.learners.learner import Method, Setting, Uses
from bimetal.continual.learners.nets import batch_net, row_net
from bimetal.nn import latent_weights
from bimetal.nn.metaplastic import Metaplastic
from bimetal.nn.optim import real_parameters

__all__ = [
    "FADING",
    "METAPLASTIC",
    "PLAIN",
    "PUBLISHED",
    "ROW_PLAIN",
    "grouped",
    "make_metaplastic",
]

WEIGHT_DECAY = 1e-7
"""Published, coupled; it is kept so that the published rows are what was published."""


ADAPTIVITY = 0.5
"""Half way between one rate for all weights and Adam's: chosen on a validation stream, see benchmarks/continual_choices.py."""

HALF_LIFE = 350_000.0
"""Rows: what nothing renews in so many has half its strength, and the net stays free to learn."""


def grouped(net: nn.Module) -> list[dict[str, Any]]:
    """Return latent weights and all other parameters that learn as two groups for an optimizer."""
    groups: list[dict[str, Any]] = [{"params": latent_weights(net)}]
    real = [p for p in real_parameters(net) if p.requires_grad]
    return groups + ([{"params": real, "m": 0.0}] if real else [])


def make_metaplastic(
    setting: Setting, strength: float, *, half_life_rows: float | None = None
) -> GradientLearner:
    """Return the default: rows normed by themselves, scale-free consolidation, one optimizer state.

    Parameters
    ----------
    setting : Setting
        Of the comparison; nothing in it but sizes, the seed and the learning rate is used.
    strength : float
        m, in units of one over the mean magnitude of a layer.
    half_life_rows : float, optional
        Rows after which a memory that nothing renews has half its strength; by default it never fades.
    """

    def optimizer(net: nn.Module) -> Metaplastic:
        steps = None if half_life_rows is None else half_life_rows / setting.batch_size
        return Metaplastic(
            grouped(net), setting.learning_rate, m=strength, relative=True, adaptivity=ADAPTIVITY, half_life=steps
        )  # fmt: skip

    net = row_net(setting.n_in, setting.n_classes, setting.hidden, seed=setting.seed)
    return GradientLearner(setting, net, optimizer)


def _make_fading(setting: Setting, strength: float) -> GradientLearner:
    return make_metaplastic(setting, strength, half_life_rows=HALF_LIFE)


def _make_row_plain(setting: Setting, strength: float) -> GradientLearner:
    del strength
    return make_metaplastic(setting, 0.0)


def _make_published(setting: Setting, strength: float) -> GradientLearner:
    def optimizer(net: nn.Module) -> Metaplastic:
        return Metaplastic(
            grouped(net), setting.learning_rate, m=strength, weight_decay=WEIGHT_DECAY
        )

    net = batch_net(setting.n_in, setting.n_classes, setting.hidden, seed=setting.seed)
    return GradientLearner(setting, net, optimizer, resets_optimizer=True)


METAPLASTIC = Method(
    name="metaplastic",
    title="metaplastic, boundary-free",
    source="ours, after Laborieux et al. 2021",
    uses=Uses(),
    strengths=(1.0, 1.5, 2.0, 3.0, 4.0),
    strength_name="relative m",
    make=make_metaplastic,
)
FADING = Method(
    name="metaplastic_fading",
    title="the same, memories fade by half in 350,000 rows",
    source="ours",
    uses=Uses(),
    strengths=(1.0, 1.5, 2.0, 3.0, 4.0),
    strength_name="relative m",
    make=_make_fading,
)
ROW_PLAIN = Method(
    name="row_plain",
    title="the same net, no metaplasticity",
    source="ours",
    uses=Uses(),
    strengths=(0.0,),
    strength_name="",
    make=_make_row_plain,
)
PUBLISHED = Method(
    name="published",
    title="metaplastic, published protocol",
    source="Laborieux et al. 2021",
    uses=Uses(boundaries=True, task_ids=True),
    strengths=(1.35, 5.0, 9.0, 12.0, 15.0),
    strength_name="m",
    make=_make_published,
)
PLAIN = Method(
    name="plain",
    title="plain BNN, a norm for each task",
    source="Courbariaux & Hubara et al. 2016",
    uses=Uses(boundaries=True, task_ids=True),
    strengths=(0.0,),
    strength_name="",
    make=_make_published,
)
