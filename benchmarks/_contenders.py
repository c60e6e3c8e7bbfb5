"""Who competes in continual_finance.py: nets that learn on, and models trained anew, or once.

A contender follows a stream period by period and yields, after each, what it answers by and how many
bytes it keeps to go on: weights and moments of an optimizer, or stored rows and a model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
import torch

from bimetal.continual.learners.gradient import GradientLearner
from bimetal.continual.learners.learner import Setting
from bimetal.continual.learners.metaplastic import make_metaplastic
from bimetal.continual.sequence import Task

Score = Callable[[np.ndarray], np.ndarray]
State = tuple[Score, int]
N_NETS = 4


@dataclass(frozen=True)
class Case:
    """A sequence, which of its periods is the stress, and how all nets learn in it."""

    sequence: str
    stress: int
    chunk: int
    window: int
    batch_size: int
    n_epochs: int
    learning_rate: float
    strength: float
    tree: tuple[int, int]  # leaves, trees: on a window
    full_tree: tuple[int, int]  # and on all rows
    hidden: tuple[int, ...] = (256,)
    n_rows: int | None = None


Follow = Callable[[list[Task], Case, int], Iterator[State]]
Fit = Callable[[np.ndarray, np.ndarray, Case, int], State]


@dataclass(frozen=True)
class Contender:
    """A name in tables, and how it follows (tasks, case, seed)."""

    name: str
    follow: Follow


def learns_on(
    strength: float | None = None, half_life_periods: float | None = None, n_nets: int = N_NETS
) -> Follow:
    """Nets that see each chunk of rows and keep none; None stands for the strength of the case."""

    def follow(tasks: list[Task], case: Case, seed: int) -> Iterator[State]:
        m = case.strength if strength is None else strength
        rows = half_life_periods and half_life_periods * case.window * case.n_epochs
        nets = committee(tasks[0].x_train.shape[1], case, seed, n_nets, m, rows)
        rng = np.random.default_rng(seed)
        for task in tasks:
            for start in range(0, len(task.y_train), case.chunk):
                part = slice(start, start + case.chunk)
                show(nets, task.x_train[part], task.y_train[part], rng)
            yield net_scores(nets), sum(net.state_bytes() for net in nets)

    return follow


def trained_anew(fit: Fit, *, window: bool) -> Follow:
    """A model trained anew after each period, on the last rows or on all of them, which it keeps."""

    def follow(tasks: list[Task], case: Case, seed: int) -> Iterator[State]:
        for n in range(1, len(tasks) + 1):
            x = np.vstack([task.x_train for task in tasks[:n]])
            y = np.hstack([task.y_train for task in tasks[:n]])
            last = slice(-case.window if window else None, None)
            score, n_bytes = fit(x[last], y[last], case, seed)
            kept = len(y[last]) * (-(-x.shape[1] // 8) + 1)  # a bit each, and a byte for the class
            yield score, n_bytes + kept

    return follow


def trained_once(fit: Fit) -> Follow:
    """A model of the first period that is left as it is."""

    def follow(tasks: list[Task], case: Case, seed: int) -> Iterator[State]:
        state = fit(tasks[0].x_train, tasks[0].y_train, case, seed)
        for _ in tasks:
            yield state

    return follow


def fit_nets(n_nets: int) -> Fit:
    """The same binary nets, without metaplasticity; what is kept of them is a bit a weight."""

    def fit(x: np.ndarray, y: np.ndarray, case: Case, seed: int) -> State:
        nets = committee(x.shape[1], case, seed, n_nets, 0.0)
        show(nets, x, y, np.random.default_rng(seed))
        return net_scores(nets), sum(p.numel() for net in nets for p in net.net.parameters()) // 8

    return fit


def fit_trees(*, is_full: bool) -> Fit:
    """LightGBM on the same bits, of a size for a window or for all rows."""

    def fit(x: np.ndarray, y: np.ndarray, case: Case, seed: int) -> State:
        n_leaves, n_trees = case.full_tree if is_full else case.tree
        settings = {
            "objective": "binary", "learning_rate": 0.05, "num_leaves": n_leaves, "feature_fraction": 0.6,
            "min_data_in_leaf": 20, "lambda_l2": 1.0, "verbosity": -1, "num_threads": 1, "seed": seed,
        }  # fmt: skip
        model = lightgbm.train(settings, lightgbm.Dataset(x.astype(np.float32), y), n_trees)
        return lambda rows: model.predict(rows.astype(np.float32)), len(model.model_to_string())

    return fit


def committee(
    n_in: int, case: Case, seed: int, n: int, m: float, half_life: float | None = None
) -> list[GradientLearner]:
    """Return nets that differ in the seed of their weights."""
    setting = Setting(
        n_in=n_in, n_classes=2, hidden=case.hidden, learning_rate=case.learning_rate,
        batch_size=case.batch_size, n_epochs=case.n_epochs,
    )  # fmt: skip
    settings = [replace(setting, seed=N_NETS * seed + i) for i in range(n)]
    return [make_metaplastic(each, m, half_life_rows=half_life) for each in settings]


def show(
    nets: list[GradientLearner], x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> None:
    """Show rows for so many passes, in an order drawn for each pass and net."""
    rows, classes = torch.from_numpy(x), torch.from_numpy(y)
    for net in nets:
        for _ in range(net.setting.n_epochs):
            order = torch.from_numpy(rng.permutation(len(y)))
            for batch in order.split(net.setting.batch_size):
                net.observe(rows[batch], classes[batch])


def net_scores(nets: list[GradientLearner]) -> Score:
    """Return what a committee answers by: log-odds, averaged."""

    def score(rows: np.ndarray) -> np.ndarray:
        total = sum(net.scores(torch.from_numpy(rows)) for net in nets) / len(nets)
        return (total[:, 1] - total[:, 0]).numpy()

    return score


OURS, PLAIN = "metaplastic × 4", "no metaplasticity × 4"
NET_WINDOW, TREE_WINDOW = "nets × 4 anew on a window", "LightGBM anew on a window"
TREE_ALL = "LightGBM anew on all rows"
CONTENDERS = (
    Contender(OURS, learns_on()),
    Contender("metaplastic × 1", learns_on(n_nets=1)),
    Contender("metaplastic × 1, half-life 4 periods", learns_on(None, 4, n_nets=1)),
    Contender(PLAIN, learns_on(0.0)),
    Contender(NET_WINDOW, trained_anew(fit_nets(N_NETS), window=True)),
    Contender(TREE_WINDOW, trained_anew(fit_trees(is_full=False), window=True)),
    Contender("net × 1 anew on all rows", trained_anew(fit_nets(1), window=False)),
    Contender(TREE_ALL, trained_anew(fit_trees(is_full=True), window=False)),
    Contender("nets × 4 of the first period", trained_once(fit_nets(N_NETS))),
    Contender("LightGBM of the first period", trained_once(fit_trees(is_full=False))),
)
