"""What the rivals of metaplasticity have in common: Adam, and one of two bodies.

`on_batch_net` is the published body and protocol (norms of each task, the task told at test time, the
optimizer anew with each task), `on_row_net` the body of our default, which is told nothing. What a
rival adds to either is a `Guard`.
"""

from collections.abc import Callable

from torch import nn

from bimetal.continual.learners.gradient import GradientLearner, Guard
from bimetal.continual.learners.learner import Setting
from bimetal.continual.learners.metaplastic import ADAPTIVITY, WEIGHT_DECAY, grouped
from bimetal.continual.learners.nets import batch_net, row_net
from bimetal.nn.metaplastic import Metaplastic

__all__ = ["MakeGuard", "adam", "on_batch_net", "on_row_net", "row_net_of"]

MakeGuard = Callable[[nn.Module], Guard]


def adam(
    setting: Setting, weight_decay: float = 0.0, adaptivity: float = 1.0
) -> Callable[[nn.Module], Metaplastic]:
    """Return what makes the optimizer of the rivals: `Metaplastic` with m = 0, which is Adam.

    With the `adaptivity` of our default it is that optimizer without what consolidates.

    Examples
    --------
    >>> net = row_net_of(Setting(4, 2, hidden=(8,)))
    >>> adam(Setting(4, 2))(net).param_groups[0]["m"]
    0.0
    """

    def make(net: nn.Module) -> Metaplastic:
        rate = setting.learning_rate
        return Metaplastic(
            grouped(net), rate, m=0.0, weight_decay=weight_decay, adaptivity=adaptivity
        )

    return make


def row_net_of(setting: Setting, threshold: float | None = None) -> nn.Sequential:
    """Return the body that knows no task, of the sizes of a setting.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    threshold : float, optional
        Of hidden units; 0 makes them signs. By default that of `row_net`.

    Examples
    --------
    >>> len(row_net_of(Setting(4, 2, hidden=(8,))))
    4
    """
    return row_net(setting.n_in, setting.n_classes, setting.hidden, threshold, seed=setting.seed)


def on_row_net(
    setting: Setting, make_guard: MakeGuard | None = None, threshold: float | None = None
) -> GradientLearner:
    """Return a learner on the body that knows no task; one optimizer state throughout.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    make_guard : callable, optional
        Net → what protects its weights.
    threshold : float, optional
        See `row_net_of`.

    Examples
    --------
    >>> on_row_net(Setting(4, 2, hidden=(8,))).state_bytes()
    208
    """
    net = row_net_of(setting, threshold)
    optimizer = adam(
        setting, adaptivity=ADAPTIVITY
    )  # as our default has, so that the remedies compare
    return GradientLearner(setting, net, optimizer, make_guard(net) if make_guard else None)


def on_batch_net(setting: Setting, make_guard: MakeGuard | None = None) -> GradientLearner:
    """Return a learner by the published protocol: norms of each task, Adam anew with each task.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    make_guard : callable, optional
        Net → what protects its weights.

    Examples
    --------
    >>> learner = on_batch_net(Setting(4, 2, hidden=(8,)))
    >>> learner.begin_task(1)
    >>> len(learner.programs())
    2
    """
    net = batch_net(setting.n_in, setting.n_classes, setting.hidden, seed=setting.seed)
    guard = make_guard(net) if make_guard else None
    make = adam(setting, WEIGHT_DECAY)
    return GradientLearner(setting, net, make, guard, resets_optimizer=True)
