"""All that a learner goes on from, as bytes: weights, optimizer, counters, memories, random numbers.

`Restorable` is what snapshots and logs ask of a model. Estimators have it of their own; `Whole` gives it
to the learners of the comparison (`GradientLearner` and those below it), by walking through what they
hold. Nothing is unpickled (see `tree.py`), so a state from elsewhere can do no harm.
"""

from dataclasses import is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from bimetal.continual.learners.gradient import GradientLearner
from bimetal.continual.learners.learner import Learner
from bimetal.continual.learners.nets import task_norms
from bimetal.continual.oversight.tree import Tree, dumps, loads
from bimetal.errors import CheckpointError, DataError
from bimetal.program import Program

__all__ = ["Restorable", "Whole"]

SKIP = {"kind": "skip"}
PLAIN = (bool, int, float, str, type(None))


@runtime_checkable
class Restorable(Protocol):
    """What can be put back exactly where it was: the same answers, and the same way of learning on."""

    @property
    def program_(self) -> Program:
        """What is deployed now."""

    def get_state(self) -> bytes:
        """Return all that learning goes on from."""

    def set_state(self, state: bytes) -> None:
        """Go to a state of `get_state`."""


class Whole:
    """A learner that can be put back: its whole state as bytes, the random numbers of torch included.

    Parameters
    ----------
    learner : Learner
        With a Program to deploy.

    Examples
    --------
    >>> from bimetal.continual.learners.learner import Setting
    >>> from bimetal.continual.learners.metaplastic import make_metaplastic
    >>> whole = Whole(make_metaplastic(Setting(n_in=8, n_classes=2, hidden=(16,)), 2.0))
    >>> before, state = whole.program_.id, whole.get_state()
    >>> rows = torch.randint(0, 2, (50, 8), dtype=torch.uint8)
    >>> for _ in range(20):
    ...     whole.learner.observe(rows, rows[:, 0].long())
    >>> whole.set_state(state)
    >>> whole.program_.id == before
    True
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    @property
    def program_(self) -> Program:
        """What is deployed now: of several (norms of each task) the last.

        Raises
        ------
        DataError
            When the learner has no Program: its weights are real.
        """
        programs = self.learner.programs()
        if not programs:
            raise DataError(
                f"{type(self.learner).__name__} lowers to no Program, so there is nothing to compare bit by "
                "bit; snapshots and logs are for learners that deploy one"
            )
        return programs[-1]

    def get_state(self) -> bytes:
        """Return the whole state; the same state gives the same bytes.

        Raises
        ------
        CheckpointError
            When the learner holds something that cannot be kept so.
        """
        learner = self.learner
        tree: dict[str, Tree] = {
            "learner": type(learner).__name__,
            "rng": torch.get_rng_state(),
            "rest": {name: _kept(value, name) for name, value in self._rest().items()},
        }
        if isinstance(learner, GradientLearner):
            tree["norms"] = [[len(each.norms), each.current] for each in task_norms(learner.net)]
            tree["is_training"] = learner.net.training
            tree["net"] = _kept(dict(learner.net.state_dict()), "net")
            tree["optimizer"] = _kept(learner.optimizer.state_dict(), "optimizer")
        return dumps(tree)

    def set_state(self, state: bytes) -> None:
        """Put everything back, torch's own random numbers as well.

        Raises
        ------
        CheckpointError
            When the bytes are no state, or one of another learner.
        """
        tree = loads(state)
        kind = tree.get("learner") if isinstance(tree, dict) else None
        if kind != type(self.learner).__name__:
            raise CheckpointError(
                f"a state of a {type(self.learner).__name__} expected, got one of a {kind}; "
                "set it on a learner made by the same method"
            )
        try:
            self._put_back(tree)
        except (RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(
                f"the state does not fit this learner: {str(error)[:300]}; build it with the same setting"
            ) from None

    def _put_back(self, tree: Tree) -> None:
        learner = self.learner
        if isinstance(learner, GradientLearner):
            for norms, (n, current) in zip(task_norms(learner.net), tree["norms"], strict=True):
                norms.norms = norms.norms[:n]
                norms.begin(n - 1)
                norms.current = current
            learner.net.load_state_dict(_restored(None, tree["net"]))
            learner.net.train(tree["is_training"])
            learner.optimizer = learner._make_optimizer(learner.net)
            learner.optimizer.load_state_dict(_restored(None, tree["optimizer"]))
        for name, value in tree["rest"].items():
            setattr(learner, name, _restored(getattr(learner, name), value))
        torch.set_rng_state(tree["rng"])

    def _rest(self) -> dict[str, Any]:
        apart = {"setting", "net", "optimizer"}
        return {name: value for name, value in vars(self.learner).items() if name not in apart}


def _kept(value: Any, name: str) -> Tree:
    """Return a value as a tree; modules are kept with the net, functions never change."""
    match value:
        case nn.Module() | torch.optim.Optimizer():
            return SKIP
        case Tensor():
            return value.detach()
        case torch.Generator():
            return {"kind": "generator", "state": value.get_state()}
        case np.random.Generator():
            return {"kind": "numpy", "state": value.bit_generator.state}
        case list() | tuple():
            return {"kind": type(value).__name__, "items": [_kept(item, name) for item in value]}
        case dict():
            return {
                "kind": "dict",
                "items": [[key, _kept(item, name)] for key, item in value.items()],
            }
        case _ if isinstance(value, PLAIN):
            return {"kind": "plain", "value": value}
        case _ if type(value).__module__.startswith("bimetal.") and hasattr(value, "__dict__"):
            return {
                "kind": "object",
                "items": {k: _kept(v, f"{name}.{k}") for k, v in vars(value).items()},
            }
        case _ if callable(value):
            return SKIP
    raise CheckpointError(
        f"'{name}' is a {type(value).__name__}, which a state cannot hold; keep tensors, numbers, text and "
        "generators of random numbers in a learner"
    )


def _restored(old: Any, tree: Tree) -> Any:
    if isinstance(tree, Tensor):
        return _restored_tensor(old, tree)
    items = tree.get("items")
    match tree["kind"]:
        case "skip":
            return old
        case "plain":
            return tree["value"]
        case "generator":
            old.set_state(tree["state"])
            return old
        case "numpy":
            old.bit_generator.state = tree["state"]
            return old
        case "dict":
            return {key: _restored((old or {}).get(key), item) for key, item in items}
        case "object":
            return _restored_object(old, items)
        case kind:
            is_alike = isinstance(old, list | tuple) and len(old) == len(items)
            olds = old if is_alike else [None] * len(items)
            new = [_restored(each, item) for each, item in zip(olds, items, strict=True)]
            return tuple(new) if kind == "tuple" else new


def _restored_tensor(old: Any, new: Tensor) -> Tensor:
    if not isinstance(old, nn.Parameter):
        return new
    old.data.copy_(new)
    return old


def _restored_object(old: Any, items: dict[str, Tree]) -> Any:
    new = {name: _restored(getattr(old, name), item) for name, item in items.items()}
    if is_dataclass(old):  # they are frozen, and made anew
        return replace(old, **new)  # type: ignore[type-var]
    for name, value in new.items():
        setattr(old, name, value)
    return old
