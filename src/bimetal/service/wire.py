"""What is answered, as typed structures: encoded in a microsecond, and the source of the OpenAPI schemas."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bimetal.service.desk import Decided
from bimetal.service.scorer import Outcome, Scorer

__all__ = ["Batch", "Device", "ModelRef", "Reason", "Scored", "answer_of", "encode"]


class ModelRef(Struct, frozen=True):
    """Which model answered: enough to find its bytes again."""

    name: str
    id: Annotated[str, Meta(description="Of the Program: the function from row to points.")]
    policy_id: Annotated[str | None, Meta(description="Of the cut-off, texts and limits.")]
    file_hash: Annotated[str, Meta(description="sha256 of the model file.")]


class Reason(Struct, frozen=True):
    """One principal reason."""

    group: str
    code: str
    text: str
    points: Annotated[
        float, Meta(description="Score points against approved applicants near the cut-off.")
    ]
    columns: list[str]


class Change(Struct, frozen=True, rename={"before": "from"}):
    """One field that would be different: the bin it is in, and the one it would be in."""

    field: str
    before: str
    to: str
    text: str


class Counterfactual(Struct, frozen=True):
    """A nearest application that would be approved."""

    score: float
    changes: list[Change]


class Scored(Struct, frozen=True, omit_defaults=True):
    """A decision, durable before it was sent."""

    request_id: str
    model: ModelRef
    points: Annotated[int | None, Meta(description="The exact score, in whole units.")]
    score: float | None
    probability: Annotated[float, Meta(ge=0, le=1, description="Of bad; a float32 value.")]
    decision: Annotated[str | None, Meta(description="approve, refer or decline.")]
    cutoff: Annotated[float | None, Meta(description="On the scale of the score.")]
    reasons: Annotated[list[Reason], Meta(max_length=4)]
    warnings: list[str]
    predicted: Annotated[
        str | int | float | bool | None, Meta(description="The class, of a plain classifier.")
    ] = None
    repeated: Annotated[
        bool, Meta(description="This application was decided before; this is that decision.")
    ] = False
    counterfactuals: list[Counterfactual] | None = None


class Batch(Struct, frozen=True):
    """The decisions of a batch, in its order."""

    request_id: str
    model: ModelRef
    results: list[Scored]


class Device(Struct, frozen=True):
    """A result of a device, recomputed and decided here."""

    result: Scored
    device_key_thumbprint: str
    nonce: str
    time: str


def answer_of(decided: Decided, outcome: Outcome, scorer: Scorer) -> Scored:
    """Return the answer for a decision; `scorer` is the model that made it, `outcome` what it said."""
    record = decided.record
    return Scored(
        record.request_id,
        ModelRef(record.model_name, record.model_id, record.policy_id, record.file_hash),
        outcome.points,
        outcome.score,
        outcome.probability,
        outcome.decision,
        None if scorer.cutoff is None else scorer.cutoff / scorer.unit,
        [Reason(r.group, r.code, r.text, r.points, list(r.columns)) for r in outcome.reasons],
        list(record.warnings),
        outcome.label,
        decided.is_repeated,
    )


encode = msgspec.json.encode
