"""What a study says, in sentences that do not flatter: who wins, by how much, and whether it is noise."""

from bimetal.amounts import signed
from bimetal.report.study import CEILING, CONTROL, Judged, Study

__all__ = ["headline", "remarks", "versus"]


def versus(judged: Judged) -> str:
    """Say how our model ranks beside this one, going by the paired interval.

    "even" means that the interval holds zero: these rows cannot tell.
    """
    low, high = judged.lead_interval
    if low > 0:
        return "better"
    return "worse" if high < 0 else "even"


def headline(study: Study) -> str:
    """Return the result in one or two sentences."""
    groups = {
        verdict: [m.name for m in study.models[1:] if m.name != CEILING and versus(m) == verdict]
        for verdict in ("better", "even", "worse")
    }
    phrases = {
        "better": "ranks better than",
        "even": "cannot be told apart on these rows from",
        "worse": "ranks worse than",
    }
    said = [f"{phrases[v]} {_listed(names)}" for v, names in groups.items() if names]
    return f"By AUC, this model {'; it '.join(said)}." if said else ""


def remarks(study: Study) -> list[str]:
    """Return what a careful reader should know, the unflattering first."""
    found = [
        _defeat(study, m) for m in study.models[1:] if versus(m) == "worse" and m.name != CEILING
    ]
    found += [_control(study), _probabilities(study), _ceiling(study), *_parts(study)]
    found.append(
        "The intervals come from drawing the held-out rows again (1,000 times, the same draws for every "
        "model). They do not cover another split of the data, another seed, or another year."
    )
    if study.portfolio.caveats:
        found.append(study.portfolio.caveats)
    return [remark for remark in found if remark]


def _defeat(study: Study, judged: Judged) -> str:
    low, high = judged.lead_interval
    return (
        f"{judged.name} wins: its AUC is {-judged.lead:.4f} higher (95\u00a0% interval {-high:.4f} "
        f"to {-low:.4f}). Where only the ranking counts, it is the better choice on this table."
    )


def _control(study: Study) -> str:
    control = study.named(CONTROL)
    if control is None:
        return ""
    low, high = control.lead_interval
    measured = f"{signed(control.lead)} AUC (95\u00a0% interval {signed(low)} to {signed(high)})"
    match versus(control):
        case "better":
            return f"Over a linear model on the very same bits, the binary part earns {measured}."
        case "even":
            return (
                f"Over a linear model on the very same bits, the binary part shows {measured}: on these "
                "rows it is not shown to earn its keep, and the linear model is simpler."
            )
        case _:
            return f"The binary part does harm here: {measured} against a linear model on the same bits."


def _probabilities(study: Study) -> str:
    real = [m for m in study.models if m.name != CEILING]
    best = min(real, key=lambda m: m.measures["brier"])
    ours = study.model.measures["brier"]
    if best is study.model:
        return f"Its probabilities are the closest to the outcomes, by Brier score ({ours:.4f})."
    return (
        f"By Brier score, {best.name} gives the probabilities closest to the outcomes "
        f"({best.measures['brier']:.4f}; this model {ours:.4f})."
    )


def _ceiling(study: Study) -> str:
    truth = study.named(CEILING)
    if truth is None:
        return ""
    return (
        f"Nothing can be expected to rank better than the true probability, whose AUC on these rows is "
        f"{truth.measures['auc']:.4f}; this model has {study.model.measures['auc']:.4f}."
    )


def _parts(study: Study) -> list[str]:
    weights = study.fit.get("weights", {})
    left_out = [name for name, weight in weights.items() if weight == 0]
    if not left_out:
        return []
    what = "part" if len(left_out) == 1 else "parts"
    return [
        f"Validation gave no weight to the {what} {_listed(left_out)}, which the Program leaves out."
    ]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
