"""Drifting streams, each row predicted before it is learned: `RiverClassifier` and what river has.

* turned: 20 columns, half of which matter; half way all labels turn over.
* recurring: regime A, then B elsewhere among the inputs, then A again.
* sea, agrawal: another rule from half way on (Street & Kim 2001; Agrawal et al. 1993), three and nine
  columns; rbf: four classes around centres half of which move; hyperplane: a plane that turns slowly.
* rare: 3 % of a class, 9 % from half way on.
* bank: 45,211 calls of a bank in the order in which they were made, 2008 to 2010 (needs BIMETAL_DATA).

The first 512 rows do not count. Defaults were chosen on seeds from 100 on, which no table names. Log
losses of rivals are of probabilities cut off at 1e-6: trees are sure now and then.
"""

import time
from collections.abc import Callable, Iterator
from itertools import chain
from statistics import mean, stdev
from typing import Any

import numpy as np
from _frame import Row, options, report
from river import forest, linear_model, multiclass, optim, preprocessing, tree
from river.datasets import synth
from sklearn.datasets import make_classification

from bimetal.continual.stream.river import RiverClassifier
from bimetal.errors import BimetalError
from bimetal.metrics import auc

Event = tuple[dict[str, Any], Any]
N_FREE = 512


def named(X: np.ndarray, y: np.ndarray) -> list[Event]:
    """Return rows as river has them."""
    return [
        ({f"x{j}": v for j, v in enumerate(row)}, label)
        for row, label in zip(X.tolist(), y.tolist(), strict=True)
    ]


def table(seed: int, n: int, **kind: Any) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(n, random_state=seed, **kind)


def turned(seed: int, n: int) -> list[Event]:
    X, y = table(seed, n, n_features=20, n_informative=8, n_redundant=4, flip_y=0.05)
    return named(X, np.where(np.arange(n) < n // 2, y, 1 - y))


def recurring(seed: int, n: int) -> list[Event]:
    kind = {"n_features": 12, "n_informative": 8, "n_redundant": 2, "flip_y": 0.05}
    (A, ya), (B, yb), k = table(seed, n, **kind), table(seed + 1000, n, **kind), n // 3
    moved = B + 2 * np.random.default_rng(seed).normal(size=12)
    X = np.concatenate([A[:k], moved[:k], A[k : 2 * k]])
    return named(X, np.concatenate([ya[:k], yb[:k], ya[k : 2 * k]]))


def rare(seed: int, n: int) -> list[Event]:
    X, y = table(
        seed, 2 * n, n_features=15, n_informative=7, weights=[0.9], class_sep=0.8, flip_y=0.02
    )
    share = np.where(np.arange(2 * n) < n, 0.3, 0.9)
    kept = (y == 0) | (np.random.default_rng(seed).random(2 * n) < share)
    return named(X[kept][:n], y[kept][:n])


def bank(seed: int, n: int) -> list[Event]:
    from bimetal.datasets import load

    del seed
    data = load("bank_marketing")
    names, columns = list(data.X.columns), [data.X[name].tolist() for name in data.X.columns]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return list(zip(rows, np.asarray(data.y).tolist(), strict=True))[: 5 * n]


def halves(make: Callable[[int], Any], n: int) -> list[Event]:
    return [(x, int(y)) for x, y in chain(make(0).take(n // 2), make(1).take(n // 2))]


def sea(seed: int, n: int) -> list[Event]:
    return halves(lambda i: synth.SEA(variant=3 * i, seed=seed + i, noise=0.1), n)


def agrawal(seed: int, n: int) -> list[Event]:
    return halves(lambda i: synth.Agrawal(classification_function=2 + 3 * i, seed=seed + i), n)


def rbf(seed: int, n: int) -> list[Event]:
    stream = synth.RandomRBFDrift(
        seed_model=seed, seed_sample=seed + 1, n_classes=4, n_features=10, n_centroids=20,
        change_speed=0.0005, n_drift_centroids=10,
    )  # fmt: skip
    return list(stream.take(n))


def hyperplane(seed: int, n: int) -> list[Event]:
    stream = synth.Hyperplane(
        seed=seed, n_features=10, n_drift_features=4, mag_change=0.001, noise_percentage=0.05
    )
    return [(x, int(y)) for x, y in stream.take(n)]


STREAMS = (turned, recurring, sea, agrawal, rbf, hyperplane, rare, bank)


def logistic() -> Any:
    one = linear_model.LogisticRegression(optim.SGD(0.05))
    numbers = preprocessing.StandardScaler()
    return numbers | multiclass.OneVsRestClassifier(one)


MODELS: dict[str, Callable[[int], Any]] = {
    "metaplastic": lambda seed: RiverClassifier(seed=seed),
    "no memory": lambda seed: RiverClassifier(strength=0.0, seed=seed),
    "logistic": lambda seed: logistic(),
    "Hoeffding tree": lambda seed: tree.HoeffdingTreeClassifier(),
    "adaptive tree": lambda seed: tree.HoeffdingAdaptiveTreeClassifier(seed=seed),
    "adaptive forest": lambda seed: forest.ARFClassifier(seed=seed),
}


def answers(model: Any, events: list[Event]) -> Iterator[dict[Any, float]]:
    for x, y in events:
        yield model.predict_proba_one(x)
        model.learn_one(x, y)


def numbers_only(x: dict[str, Any]) -> dict[str, float]:
    """Text as columns of 0 and 1, for models that read numbers."""
    return {
        k if not isinstance(v, str) else f"{k}={v}": 1.0 if isinstance(v, str) else v
        for k, v in x.items()
    }


def scores(model: Any, events: list[Event]) -> tuple[float, float, float, float]:
    """Return accuracy, log loss, AUC (two classes; else NaN) and CPU microseconds an event."""
    start = time.process_time()
    found = list(answers(model, events))
    spent = (time.process_time() - start) / len(events)
    pairs = [(p, y) for p, (_, y) in zip(found, events, strict=True)][N_FREE:]
    hit = mean(max(p, key=p.get, default=None) == y for p, y in pairs)
    own = [p.get(y, 0.0) / (sum(p.values()) or 1.0) for p, y in pairs]
    loss = mean(-np.log(max(p, 1e-6)) for p in own)
    classes = sorted({y for _, y in pairs})
    if len(classes) > 2:
        return hit, loss, float("nan"), spent * 1e6
    positive = np.array([p.get(classes[1], 0.0) for p, _ in pairs])
    return hit, loss, auc(np.array([y == classes[1] for _, y in pairs]), positive), spent * 1e6


def main() -> None:
    given = options(
        __doc__ or "",
        streams={"default": ",".join(s.__name__ for s in STREAMS), "help": "by name, with commas"},
        models={"default": ",".join(MODELS), "help": "by name, with commas"},
    )
    rows, n = [], 2_000 if given.quick else 10_000
    for make in (s for s in STREAMS if s.__name__ in given.streams.split(",")):
        try:
            streams = [make(seed, n) for seed in range(1 if make is bank else given.seeds)]
        except BimetalError as error:
            print(f"{make.__name__}: left out ({error})")
            continue
        for name in given.models.split(","):
            plain = name == "logistic"
            found = np.array([
                scores(MODELS[name](seed), [(numbers_only(x), y) for x, y in events] if plain else events)
                for seed, events in enumerate(streams)
            ])  # fmt: skip
            for what, unit, better, values in zip(
                ("accuracy", "log loss", "AUC", "CPU"), ("", "nats", "", "µs"),
                ("higher", "lower", "higher", "lower"), found.T, strict=True,
            ):  # fmt: skip
                if not np.isnan(values).any():
                    rows.append(
                        Row(f"{make.__name__}, {name}: {what}", float(mean(values)), unit, better)
                    )  # type: ignore[arg-type]
                    if len(values) > 1:
                        rows.append(
                            Row(
                                f"{make.__name__}, {name}: {what}, sd",
                                float(stdev(values)),
                                unit,
                                "lower",
                            )
                        )
            print(
                f"{make.__name__:<12} {name:<16}",
                "  ".join(f"{v:.4f}" for v in found.mean(0)),
                flush=True,
            )
    report(rows, given.json, seeds=given.seeds, n_rows=n)


if __name__ == "__main__":
    main()
