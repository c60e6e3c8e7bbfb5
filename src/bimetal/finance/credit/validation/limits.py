"""Limitations and assumptions: what these figures do not show, written from what was and was not given."""

from collections.abc import Iterator, Mapping
from typing import Any

from bimetal.finance.credit.validation.case import Case

__all__ = ["limitations"]

ALWAYS = (
    "Intervals speak of other rows drawn from the same population. They do not cover another year, "
    "another training seed, or a change of policy.",
    "Tests of calibration take defaults for independent given the probability. In a downturn many "
    "default together, and these tests then reject too often.",
    "Where outcomes are known only of applications that were accepted, these figures say nothing of "
    "those that were rejected.",
    "A light is a threshold that somebody chose, not a judgement. The thresholds stand in the summary.",
    "Trends and bounds that are proved hold for every possible row; everything else is measured on rows.",
)
FEW_BADS = 100


def limitations(facts: Mapping[str, Any], case: Case) -> list[str]:
    """Return sentences, those of this pack first."""
    return [*_of_data(case), *_not_computed(facts), *_of_fairness(facts), *ALWAYS]


def _of_data(case: Case) -> Iterator[str]:
    n_bad = int(case.sample.y.sum())
    fewest = min(n_bad, len(case.sample.y) - n_bad)
    if fewest < FEW_BADS:
        yield (
            f"There are only {fewest} rows of the rarer outcome: intervals are wide, and tests by grade "
            "find little."
        )
    if case.development is None:
        yield (
            "No rows of the development were given: stability and the fall of the AUC were not looked "
            "at, and the grades were made from the rows that they judge."
        )
    if case.model.form.rest is not None:
        yield (
            "The model has dense layers, whose points the card and the rules do not show; trends are "
            "then proved by enumeration or not at all."
        )


def _not_computed(facts: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in facts.items():
        if isinstance(value, Mapping) and "not_computed" in value:
            yield f"Not computed: {(path + key).replace('_', ' ')}, because {value['not_computed']}."
        elif isinstance(value, Mapping) and key not in ("lineage", "purpose"):
            yield from _not_computed(value, f"{path}{key}, ")


def _of_fairness(facts: Mapping[str, Any]) -> Iterator[str]:
    off = [s.section for s in facts["fairness"]["switches"] if not s.is_on]
    if off:
        yield f"Sections of fairness that are off: {', '.join(off)}. The reason stands in the section."
    groups = facts["fairness"].get("effects", {}).get("groups", ())
    hidden = sum(g.is_suppressed for attribute in groups for g in attribute.groups)
    if hidden:
        yield f"Too small to be shown: {hidden} of the groups."
