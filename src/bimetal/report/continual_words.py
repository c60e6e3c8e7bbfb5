"""What a comparison of continual methods says, in sentences that do not flatter."""

from bimetal.amounts import amount
from bimetal.continual.harness.study import Study
from bimetal.continual.harness.table import CEILING, Row, contenders

__all__ = ["continual_headline", "continual_remarks", "percent"]

NOTHING = "nothing"  # as `Uses.words` has it


def percent(share: float | None) -> str:
    r"""Return a share in percent, with one decimal.

    Examples
    --------
    >>> percent(0.8912).replace("\u00a0", " ")
    '89.1 %'
    """
    return "" if share is None else f"{100 * share:.1f}\u00a0%".replace("-", "−")


def continual_headline(study: Study) -> str:
    """Return the result in one or two sentences: who knows most at the end, and what he was told."""
    rows = contenders(study.rows())
    if not rows:
        return "Nothing was finished."
    free = [row for row in rows if row.uses == NOTHING]
    told = [row for row in rows if row.uses != NOTHING]
    n = int(study.facts["sequence"]["n_tasks"])
    said = [f"After {n} task{'s' * (n > 1)}, {_known(rows[0], study)}"]
    other = next((group[0] for group in (free, told) if group and group[0] is not rows[0]), None)
    if other is not None:
        kind = (
            "of those that were told nothing" if other in free else "of those that were told more"
        )
        said.append(f"the best {kind}, “{other.title}”, {percent(_average(other))}")
    return "; ".join(said) + "."


def _known(row: Row, study: Study) -> str:
    what = (
        "by AUC" if study.facts["sequence"]["metric"] == "auc" else "of all their test rows right"
    )
    told = "was told nothing" if row.uses == NOTHING else f"was told of or kept: {row.uses}"
    return f"“{row.title}”, which {told}, has {percent(_average(row))} {what}"


def continual_remarks(study: Study) -> list[str]:
    """Return what a careful reader should know."""
    said = [
        _stopped(study), _seeds(study), _strengths(study), _fast_ends(study), _differing(study), _without(study), _ceiling(study),
        "Average: over all tasks after the last one. Learned: over tasks, right after each was learned. "
        "BWT (backward transfer): what later tasks did to what was known of the earlier ones, in points. "
        "A method that learns little forgets little: read the two together.",
        "State is all that must be kept to go on learning, at its largest: weights, optimizer, importances, "
        "stored rows. CPU seconds are those of learning alone, on one thread.",
    ]  # fmt: skip
    return [remark for remark in said if remark]


def _stopped(study: Study) -> str:
    parts = [
        f"“{run.method}” with seed {run.setting.seed} had learned {run.n_finished} tasks"
        for run in study.runs
        if not run.is_whole
    ]
    if not study.was_interrupted:
        return ""
    under_way = f" {'; '.join(parts)}: it is not in the table." if parts else ""
    return f"The comparison was stopped before its end; what was not reached is missing.{under_way}"


def _seeds(study: Study) -> str:
    n = len(study.facts["seeds"])
    fewer = [row.name for row in study.rows() if len(row.seeds) < n]
    if n == 1:
        return "One seed: no deviation can be told, and a small lead may be chance."
    told = f"Means ± standard deviations over {n} seeds; a seed decides the stream, weights and orders alike."
    return told + (f" Fewer seeds were finished of: {', '.join(fewer)}." if fewer else "")


def _strengths(study: Study) -> str:
    tuning = study.facts["tuning"]
    with_strength = [row for row in study.rows() if row.strength_name]
    if not with_strength:
        return ""
    given = [row.name for row in with_strength if row.name in study.facts["strengths"]]
    by_hand = f" Given by hand: {', '.join(given)}." if given else ""
    if tuning is None:
        return f"Strengths were not tuned: each method has the middle one of its list.{by_hand}"
    counts = sorted({len(found.strengths) for found in study.tunings})
    what = f"{counts[0]} strengths" if len(counts) == 1 else "several strengths"
    n_seeds = len(tuning["seeds"])
    return (
        f"Strengths were chosen on a validation stream, which the table is not made on: {what} a method, "
        f"{n_seeds} seed{'s' * (n_seeds > 1)} each.{by_hand}"
    )


def _fast_ends(study: Study) -> str:
    names = [found.method for found in study.tunings if found.is_at_an_end]
    if not names:
        return ""
    return (
        f"The best strength of {', '.join(names)} was the first or last that was tried: one beyond it may do "
        "better still."
    )


def _differing(study: Study) -> str:
    counted = [row.n_differ for row in study.rows() if row.n_differ is not None]
    if not counted:
        return ""
    if sum(counted) == 0:
        return "Every Program that was made of a net at the end answers all test rows with the class of the net."
    return (
        f"{amount(sum(counted))} test rows are put into another class by a Program than by its net: a norm at "
        "the end rounds otherwise in torch."
    )


def _without(study: Study) -> str:
    names = [row.name for row in study.rows() if row.n_differ is None]
    return (
        f"No Program: {', '.join(names)}; its weights are real, or it does not lower."
        if names
        else ""
    )


def _ceiling(study: Study) -> str:
    title = next((row.title for row in study.rows() if row.name == CEILING), None)
    if title is None:
        return ""
    return f"“{title}” keeps all rows of all tasks: it is what forgetting nothing would give, and no rival."


def _average(row: Row) -> float:
    return row.mean("average_accuracy") or 0.0
