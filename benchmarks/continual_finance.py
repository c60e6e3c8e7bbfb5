"""What a credit score still knows of the stress, some calm years later; and where it need not be kept.

* regimes: simulated credit, calm → stress → calm → rising rates → calm. What makes borrowers default
  turns in stress and turns back, and the columns of the economy tell the periods apart. After each period
  every contender is asked about a frozen hold-out of the stress period.
* volatility: the US market 1991-2018. What makes tomorrow's move large is much the same in all periods:
  nets that learn on forget nothing there, with or without metaplasticity. (A window of 1,000 rows does
  cost some AUC: such a model has few rows.)

Who may keep all rows is best served by LightGBM on all of them. The other question is what to do without.

Contenders learn in time order and see the same bits. Nets that learn on see each quarter's rows for three
passes and then no more; those that are trained anew keep the rows of a window, as many as a period has,
and pass over them three times. "× 4" is a committee of four nets. Strengths and sizes of trees are chosen
with --tune, on validation streams of seeds that no table is made on, and stand below as constants.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, stdev

import torch
from _contenders import (
    CONTENDERS,
    NET_WINDOW,
    OURS,
    PLAIN,
    TREE_ALL,
    TREE_WINDOW,
    Case,
    Contender,
    learns_on,
)
from _frame import Row, options, report

from bimetal.continual.sequence import Sequence, Task
from bimetal.continual.sequences import SEQUENCES
from bimetal.errors import BimetalError
from bimetal.metrics import auc

REGIMES = Case("regimes_aba", 1, 2_500, 14_000, 100, 3, 0.005, 4.0, (3, 400), (15, 200))
VOLATILITY = Case("volatility_regimes", 3, 250, 1_000, 50, 3, 0.001, 4.0, (4, 40), (2, 600))
QUICK = {"n_rows": 1_500, "window": 1_500, "hidden": (64,), "chunk": 500}

TUNING_SEEDS = (1000, 1001)
STRENGTHS = (1.0, 2.0, 3.0, 4.0, 6.0)
TREES = ((2, 600), (3, 400), (4, 40), (7, 200), (15, 200))


@dataclass(frozen=True)
class Run:
    """R[i][j]: AUC on the hold-out of period j after period i."""

    contender: str
    seed: int
    aucs: tuple[tuple[float, ...], ...]
    cpu_s: float
    n_bytes: int

    @property
    def recent(self) -> float:
        return self.aucs[-1][-1]

    def stress(self, case: Case) -> float:
        return self.aucs[-1][case.stress]


def followed(contender: Contender, tasks: list[Task], case: Case, seed: int) -> Run:
    """Let a contender learn, and ask it about all periods after each; only its learning is timed."""
    states, aucs, cpu_s, n_bytes = contender.follow(tasks, case, seed), [], 0.0, 0
    for _ in tasks:
        begin = time.process_time()
        score, n_bytes = next(states)
        cpu_s += time.process_time() - begin
        aucs.append(tuple(auc(task.y_test, score(task.x_test)) for task in tasks))
    return Run(contender.name, seed, tuple(aucs), cpu_s, n_bytes)


def stream(case: Case, seed: int, split: str = "test") -> Sequence:
    return SEQUENCES[case.sequence].make(seed, split=split, n_rows=case.n_rows)


def study(case: Case, seeds: range) -> tuple[list[Run], Sequence]:
    """Run all contenders on the streams of all seeds."""
    runs = []
    for seed in seeds:
        sequence = stream(case, seed)
        tasks = list(sequence)
        for contender in CONTENDERS:
            run = followed(contender, tasks, case, seed)
            costs = f"{run.cpu_s:.1f} CPU s"
            print(f"{case.sequence}, seed {seed}, {run.contender}: recent {run.recent:.3f}, "
                  f"stress {run.stress(case):.3f}, {costs}", flush=True)  # fmt: skip
            runs.append(run)
    return runs, sequence


def tune(case: Case) -> None:
    """Print how each strength, and each size of trees, does on the validation streams."""
    streams = [list(stream(case, seed, "validation")) for seed in TUNING_SEEDS]
    case = replace(case, window=len(streams[0][-1].y_train))
    for m in STRENGTHS:
        print_tuned(f"m = {m:g}", Contender("", learns_on(m)), case, streams)
    for name in (TREE_WINDOW, TREE_ALL):
        trees = next(contender for contender in CONTENDERS if contender.name == name)
        for size in TREES:
            sized = replace(case, tree=size, full_tree=size)
            print_tuned(f"{name}, {size[0]} leaves, {size[1]} trees", trees, sized, streams)


def print_tuned(name: str, contender: Contender, case: Case, streams: list[list[Task]]) -> None:
    """Print what is chosen by: the mean AUC over all periods at the end; and the recent one."""
    runs = [
        followed(contender, tasks, case, seed)
        for seed, tasks in zip(TUNING_SEEDS, streams, strict=True)
    ]
    recent, stress = mean(r.recent for r in runs), mean(r.stress(case) for r in runs)
    average = mean(mean(r.aucs[-1]) for r in runs)
    line = f"{case.sequence}, {name}: all periods {average:.4f}, recent {recent:.4f}"
    print(f"{line}, stress {stress:.4f}", flush=True)


# --- what is printed -----------------------------------------------------------------------------


def spread(values: list[float]) -> str:
    return f"{mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0:.3f}"


def table(runs: list[Run], case: Case, names: list[str]) -> str:
    """Return a line a contender: recent AUC, the stress hold-out after each later period, costs."""
    later = range(case.stress, len(names))
    heads = [f"stress after {names[i].split(' from')[0]}" for i in later]
    lines = [f"\n{case.sequence}: AUC, mean ± sd over seeds"]
    lines.append(" | ".join([f"{'':<36}", "recent", *heads, "all periods", "CPU s", "kB kept"]))
    for contender in CONTENDERS:
        mine = [run for run in runs if run.contender == contender.name]
        cells = [spread([run.recent for run in mine])]
        cells += [spread([run.aucs[i][case.stress] for run in mine]) for i in later]
        cells.append(spread([mean(run.aucs[-1]) for run in mine]))
        cells.append(f"{mean(run.cpu_s for run in mine):.1f}")
        cells.append(f"{mean(run.n_bytes for run in mine) / 1e3:,.0f}")
        lines.append(" | ".join([f"{contender.name:<36}", *cells]))
    return "\n".join(lines)


def figures(runs: list[Run], case: Case) -> list[Row]:
    """Return what each holds, and ours beside the models that are trained anew on a window."""

    def of(name: str, what: Callable[[Run], float]) -> float:
        return mean(what(run) for run in runs if run.contender == name)

    def stress(run: Run) -> float:
        return run.stress(case)

    rows = []
    for contender in CONTENDERS:
        name = f"{case.sequence}, {contender.name}"
        rows.append(Row(f"{name}: recent", of(contender.name, lambda r: r.recent), "AUC"))
        rows.append(Row(f"{name}: stress", of(contender.name, stress), "AUC"))
    if case.sequence != REGIMES.sequence:
        for name in (OURS, PLAIN, TREE_WINDOW):
            lost = of(name, lambda r: r.aucs[case.stress][case.stress]) - of(name, stress)
            rows.append(Row(f"{case.sequence}: {name} forgets", lost, "AUC", "lower"))
        return rows
    for rival in (NET_WINDOW, TREE_WINDOW):
        kept = of(OURS, stress) - of(rival, stress)
        recent = of(OURS, lambda r: r.recent) - of(rival, lambda r: r.recent)
        rows.append(Row(f"stress, {OURS} less {rival}", kept, "AUC", goal=0.05))
        rows.append(Row(f"recent, {OURS} less {rival}", recent, "AUC", goal=-0.01))
    return rows


def main() -> None:
    args = options(
        __doc__.splitlines()[0],
        tune={"action": "store_true", "help": "try strengths on validation streams, and stop"},
        only={"choices": [REGIMES.sequence, VOLATILITY.sequence], "help": "one of the two parts"},
    )
    torch.set_num_threads(1)
    cases = [case for case in (REGIMES, VOLATILITY) if args.only in (None, case.sequence)]
    if args.quick:
        cases = [replace(case, **QUICK) for case in cases]
    rows, studies, tables = [], {}, []
    for case in cases:
        if args.tune:
            tune(case)
            continue
        try:
            runs, sequence = study(case, range(1 if args.quick else min(args.seeds, 3)))
        except BimetalError as error:  # the market's tables may not be at hand
            print(f"{case.sequence} left out: {error}")
            continue
        tables.append(table(runs, case, [task.name for task in sequence]))
        rows += figures(runs, case)
        values = {"case": vars(case), "note": sequence.note, "runs": [vars(run) for run in runs]}
        studies[case.sequence] = values
    if not args.tune:
        print("\n".join(tables))
        report(rows, args.json, studies=studies)


if __name__ == "__main__":
    main()
