"""How the defaults of the boundary-free net were chosen: on validation streams of permuted MNIST alone.

Other permutations than in continual.py, and the last 10,000 training pictures, which nothing is trained on,
in place of the test pictures; seed 0 of those streams, 20,000 pictures and 600 steps a task.

* threshold: of hidden units in standard deviations, 10 tasks, for two widths.
* adaptivity: of the step, from one rate for a layer (0) to Adam's (1), 10 tasks.
* half_life: of memories in rows, and m beside it, 25 tasks: the mean of the last five, and what was learned.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from _frame import Row, options, report

from bimetal.continual.harness.run import run
from bimetal.continual.harness.workers import Progress, done
from bimetal.continual.learners.gradient import GradientLearner
from bimetal.continual.learners.learner import Setting
from bimetal.continual.learners.metaplastic import METAPLASTIC, grouped
from bimetal.continual.learners.nets import row_net
from bimetal.continual.sequences import SEQUENCES
from bimetal.nn import Metaplastic

Choice = Mapping[str, Any]
TRIALS: dict[str, list[Choice]] = {
    "threshold": [{"threshold": t, "hidden": (w, w)} for w in (256, 512) for t in (1.0, 1.5, 2.0, 2.5)],
    "adaptivity": [{"adaptivity": a} for a in (0.0, 0.25, 0.5, 0.75, 1.0)],
    "half_life": [
        {"half_life": h, "strength": m, "n_tasks": 25}
        for h, m in ((350_000, 2.0), (230_000, 2.0), (150_000, 2.0), (230_000, 1.5), (350_000, 3.0), (None, 2.0))
    ],
}  # fmt: skip


def build(
    setting: Setting,
    strength: float,
    threshold: float | None,
    adaptivity: float,
    half_life: float | None,
) -> GradientLearner:
    """Return a learner of these choices."""
    net = row_net(setting.n_in, setting.n_classes, setting.hidden, threshold, seed=setting.seed)
    steps = None if half_life is None else half_life / setting.batch_size
    make = partial(_optimizer, setting.learning_rate, strength, adaptivity, steps)
    return GradientLearner(setting, net, make)


def _optimizer(
    rate: float, m: float, adaptivity: float, steps: float | None, net: Any
) -> Metaplastic:
    return Metaplastic(
        grouped(net), rate, m=m, relative=True, adaptivity=adaptivity, half_life=steps
    )


def tried(job: tuple[Choice, int], progress: Progress) -> dict[str, float]:
    """Return average, mean of the last five, and mean of what was learned, in percent."""
    choice, n_tasks = job
    make = partial(
        build,
        threshold=choice.get("threshold"),
        adaptivity=choice.get("adaptivity", 0.5),
        half_life=choice.get("half_life"),
    )
    maker = SEQUENCES["permuted_mnist"]
    stream = maker.make(0, split="validation", n_tasks=n_tasks, n_rows=20_000)
    method = replace(METAPLASTIC, make=make)
    found = run(
        stream, method, choice.get("strength", 2.0), evaluates="last", checks="never",
        progress=progress, hidden=choice.get("hidden", (512, 512)),
    )  # fmt: skip
    last = found.scores[-1]
    return {
        "average": 100 * float(last.mean()),
        "last five": 100 * float(last[-5:].mean()),
        "learned": 100 * float(np.diagonal(found.scores).mean()),
    }


def main() -> None:
    args = options(
        __doc__,
        only={"help": "some choices only, with commas: " + ",".join(TRIALS)},
        workers={"type": int, "default": 2, "help": "processes (default 2)"},
    )
    wanted = args.only.split(",") if args.only else list(TRIALS)
    rows = []
    for name in wanted:
        choices = TRIALS[name][:2] if args.quick else TRIALS[name]
        jobs = [(choice, 2 if args.quick else choice.get("n_tasks", 10)) for choice in choices]
        results = dict(done(tried, jobs, args.workers))
        for i, choice in enumerate(choices):
            words = ", ".join(f"{k} {v}" for k, v in choice.items() if k != "n_tasks")
            rows += [Row(f"{words}: {what}", value, "%") for what, value in results[i].items()]
        report(rows, args.json)


if __name__ == "__main__":
    main()
