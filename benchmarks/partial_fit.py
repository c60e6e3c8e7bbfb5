"""Frozen, learning on, and fitted anew: what `BinaryClassifier.partial_fit` is worth month by month.

    BIMETAL_DATA=... python benchmarks/partial_fit.py loans --refit     # 5 minutes on one core
    BIMETAL_DATA=... python benchmarks/partial_fit.py calls --delay 3

Loans are lendingclub_2018 (fitted on January to March, then April to December), calls bank_marketing
(fitted on May to July 2008). With --refit two more models are fitted anew each quarter, on the last three
months and on all.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from bimetal.continual.oversight.champion import Frozen, compete
from bimetal.continual.oversight.competition import Chunk, Competition
from bimetal.datasets import load
from bimetal.encoders import TreeEncoder
from bimetal.estimators import BinaryClassifier

STREAMS = {"loans": ("lendingclub_2018", "2018-04"), "calls": ("bank_marketing", "2008-08")}
LEAST_ROWS = 50


class Quarterly:
    """Fitted anew after every third month, on the last `window` months or on all."""

    def __init__(self, model: Any, past: Sequence[Chunk], window: int | None = None) -> None:
        self.model, self.chunks, self.window, self.n = model, list(past), window, 0

    def predict_proba(self, X: Any) -> Any:
        return self.model.predict_proba(X)

    def partial_fit(self, X: Any, y: Any) -> None:
        import pandas as pd

        self.chunks.append(Chunk("", X, y))
        self.n += 1
        if self.n % 3 == 0:
            own = self.chunks[-self.window :] if self.window else self.chunks
            rows = pd.concat([chunk.X for chunk in own], ignore_index=True)
            self.model = clone(self.model).fit(rows, np.concatenate([chunk.y for chunk in own]))


def months(name: str) -> list[Chunk]:
    data = load(name, offline=True)
    assert data.time is not None
    month = data.time.astype("datetime64[M]")
    rows = {str(m): np.flatnonzero(month == m) for m in np.unique(month)}
    return [Chunk(m, data.X.iloc[i].reset_index(drop=True), data.y[i]) for m, i in rows.items()]


def run(stream: str, delay: int, refits: bool) -> Competition:
    import pandas as pd

    name, first = STREAMS[stream]
    chunks = months(name)
    past = [c for c in chunks if np.datetime64(c.name) < np.datetime64(first)]
    ahead = [
        c
        for c in chunks
        if np.datetime64(c.name) >= np.datetime64(first) and len(c.y) >= LEAST_ROWS
    ]
    model = BinaryClassifier(encoder=TreeEncoder(missing="always"), random_state=0)
    model.fit(
        pd.concat([c.X for c in past], ignore_index=True), np.concatenate([c.y for c in past])
    )
    rivals: dict[str, Any] = {"partial_fit": model}
    if refits:
        rivals |= {"refit 3 months": Quarterly(model, past, 3), "refit all": Quarterly(model, past)}
    return compete(Frozen(model), rivals, ahead, delay=delay)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stream", choices=STREAMS)
    parser.add_argument("--delay", type=int, default=0, help="months until labels are known")
    parser.add_argument("--refit", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = run(given.stream, given.delay, given.refit)
    for found.metric in ("auc", "log_loss"):
        print(found)
        print(
            {name: round(float(found.cumulative(name)[-1]), 4) for name in found.names},
            "over all rows\n",
        )


if __name__ == "__main__":
    main()
