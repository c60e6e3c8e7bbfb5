"""Learning without forgetting: every method under one harness, on pictures.

* short: permuted MNIST, 10 tasks of 20,000 pictures and 600 steps, two hidden layers of 512 units; the
  averages after 5 and after 10 tasks. Strengths are chosen on a validation stream: other permutations,
  and 10,000 training pictures that no method is trained on, in place of the test pictures.
* fading: the same, where memories fade by half in 350,000 rows.
* narrow: half the width, with the strengths of short.
* fifty: 50 tasks, with the strength of short, nothing tuned for them; freezes: the published rule there.
* others: 5 tasks, the methods that are not in short.
* there and back: MNIST → Fashion-MNIST, and the other way round.
* pieces: one data set in 60 pieces of 1,000 pictures.
* clothes: MNIST → USPS → Fashion-MNIST; pairs: MNIST two digits at a time, which of the two; cifar: vehicles
  → animals of CIFAR-10 by features of patches; loans, book: LendingClub by month, GOOG by the half hour.
* classes: MNIST two digits at a time, ten classes at the end.

The long schedule is in continual_long.py, finance in continual_finance.py. Finished runs stay in
runs/continual and are taken from there when the script is started again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Any

from _frame import Row, options, report

from bimetal.continual.harness.compare import compare
from bimetal.continual.harness.study import Study
from bimetal.continual.learners.methods import METHODS
from bimetal.continual.sequences import SEQUENCES

STRENGTHS = {
    "metaplastic": (1.5, 2.0, 3.0), "published": (9.0, 12.0, 15.0), "ewc": (100.0, 300.0, 1000.0),
    "ewc_online": (100.0, 300.0, 1000.0), "ewc_online_row": (10.0, 30.0, 100.0),
    "ewc_row": (10.0, 30.0, 100.0),
    "si": (0.1, 0.3, 1.0), "si_row": (0.1, 0.3, 1.0), "bimu": (5.0, 15.0, 50.0), "analytic": (0.003, 0.01, 0.03),
}  # fmt: skip
"""What is tried for each method on the validation stream, equally many for all."""

TEN = ("metaplastic", "ewc", "row_plain", "ewc_row", "published", "si_row", "plain")
OTHERS = (
    "metaplastic",
    "analytic",
    "replay",
    "joint",
    "bimu",
    "si",
    "ewc_online",
    "ewc_online_row",
)
TABLES = ("metaplastic", "row_plain", "ewc_row", "replay", "joint", "analytic")
FEW = ("metaplastic", "row_plain", "plain", "ewc_row", "joint")


@dataclass(frozen=True)
class Part:
    """One comparison: what is learned, by whom, and how."""

    name: str
    sequence: str
    methods: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tunes: bool = False
    n_seeds: int = 3


TEN_TASKS = {"n_tasks": 10, "n_rows": 20_000}
FIFTY_TASKS = {"n_tasks": 50, "n_rows": 20_000, "evaluates": 10}
PARTS = (
    Part("short", "permuted_mnist", TEN, TEN_TASKS, tunes=True),
    Part("fading", "permuted_mnist", ("metaplastic_fading",), TEN_TASKS),
    Part("narrow", "permuted_mnist", ("metaplastic",), {**TEN_TASKS, "hidden": (256, 256)}),
    Part("classes", "split_mnist_class", ("metaplastic", "row_plain", "ewc_row", "replay", "analytic")),
    Part("there", "mnist_fashion", FEW, {"n_rows": 20_000}),
    Part("back", "fashion_mnist", FEW, {"n_rows": 20_000}),
    Part("clothes", "digits_clothes", FEW, {"n_rows": 20_000}),
    Part("pairs", "split_mnist_domain", FEW),
    Part("cifar", "cifar_features", FEW),
    Part("loans", "loan_vintages", TABLES, {"hidden": (128, 128)}),
    Part("book", "order_book_hours", TABLES, {"hidden": (128, 128)}),
    Part("pieces", "stream_fashion", ("metaplastic", "row_plain", "plain"), {"evaluates": 10}),
    Part("fifty", "permuted_mnist", ("metaplastic_fading",), FIFTY_TASKS),
    Part("others", "permuted_mnist", OTHERS, {"n_tasks": 5, "n_rows": 20_000}, tunes=True),
    Part("freezes", "permuted_mnist", ("published",), FIFTY_TASKS, n_seeds=1),
)  # fmt: skip
QUICK = {"n_tasks": 2, "n_rows": 1_000, "hidden": (64, 64), "n_epochs": 1}


def main() -> None:
    args = options(
        __doc__,
        only={"help": "some parts only, with commas: " + ",".join(part.name for part in PARTS)},
        workers={"type": int, "default": 2, "help": "processes (default 2)"},
    )
    wanted = args.only.split(",") if args.only else [part.name for part in PARTS]
    studies: dict[str, Study] = {}
    strengths: dict[str, float] = {}
    for part in PARTS:
        if part.name not in wanted:
            continue
        seeds = tuple(range(1 if args.quick else min(args.seeds, part.n_seeds)))
        study = studied(part, seeds, args, strengths)
        if part.name == "short":
            strengths = {tuning.method: tuning.best for tuning in study.tunings}
            strengths["metaplastic_fading"] = strengths.get("metaplastic", 2.0)
        studies[part.name] = study
        print(f"\n{part.name}: {study.facts['sequence']['title']}\n{study.table()}", flush=True)
        report(rows_of(studies), args.json, parts={n: summary(s) for n, s in studies.items()})


def studied(part: Part, seeds: tuple[int, ...], args: Any, strengths: Mapping[str, float]) -> Study:
    """Return the comparison of a part."""
    settings = {**part.settings, **(QUICK if args.quick else {})}
    methods = [METHODS[name] for name in part.methods]
    if part.tunes:
        methods = [replace(m, strengths=STRENGTHS.get(m.name, m.strengths)) for m in methods]
    return compare(
        SEQUENCES[part.sequence], methods, seeds,
        strengths={name: value for name, value in strengths.items() if name in part.methods},
        tunes=part.tunes and not args.quick, workers=args.workers,
        folder=None if args.quick else f"runs/continual/{part.name}", resumes=not args.quick,
        progress=lambda text: print(f"  {part.name}: {text}", flush=True) if "done" in text else None,
        **settings,
    )  # fmt: skip


def summary(study: Study) -> dict[str, Any]:
    """Return what is kept of a comparison: its table, its tuning, the matrices of its runs."""
    values = study.values()
    for run in values["runs"]:
        run.pop("sequence", None)
    return values


def after(study: Study, method: str, n_tasks: int) -> float:
    """Return the average over the first tasks, after the last of them, in percent: mean over seeds."""
    runs = study.whole(method)
    return 100 * sum(run.matrix.first(n_tasks).average_accuracy for run in runs) / len(runs)


def rows_of(studies: Mapping[str, Study]) -> list[Row]:
    """Return the figures that have goals."""
    rows: list[Row] = []
    if "short" in studies and studies["short"].facts["sequence"]["n_tasks"] == 10:
        rows += short_rows(studies["short"])
        if "narrow" in studies:
            lead = after(studies["narrow"], "metaplastic", 10) - after(studies["short"], "ewc", 10)
            rows.append(Row("256 x 2 of ours less EWC at 512 x 2", lead, "points", goal=0.0))
    for part, name, goal in (("fifty", "metaplastic_fading", 90.0), ("freezes", "published", None)):
        if part in studies:
            value = 100 * mean([run.matrix.last(5) for run in studies[part].whole(name)])
            rows.append(Row(f"last five of 50 tasks: {name}", value, "%", goal=goal))
    if "classes" in studies:
        value = 100 * mean(
            [run.matrix.average_accuracy for run in studies["classes"].whole("analytic")]
        )
        rows.append(Row("split MNIST, class-incremental: analytic head", value, "%", goal=93.0))
    differ = sum(row.n_differ or 0 for study in studies.values() for row in study.rows())
    rows.append(Row("test rows that a Program answers otherwise", differ, "rows", "lower", 0.0))
    return rows


def short_rows(short: Study) -> list[Row]:
    """Return what was asked of 5 and 10 permuted tasks."""
    rows = []
    for n, goal in ((5, 91.0), (10, 87.0)):
        ours = after(short, "metaplastic", n)
        rows.append(Row(f"permuted MNIST after {n}: ours", ours, "%", goal=goal))
        for name in ("ewc", "ewc_row", "si_row"):
            rows.append(
                Row(f"  points above {name}", ours - after(short, name, n), "points", goal=4.0)
            )
    ends = [(run.scores[0, 0], run.scores[-1, -1]) for run in short.whole("metaplastic")]
    fall = 100 * mean([first - last for first, last in ends])
    rows.append(Row("learning accuracy, first less last task", fall, "points", "lower", 3.0))
    return rows


if __name__ == "__main__":
    main()
