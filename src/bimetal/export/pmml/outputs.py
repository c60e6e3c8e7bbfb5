"""From points to answers as output fields: the float64 steps of docs/program.md in PMML's arithmetic.

No engine's own exp or softmax is asked: both are spelt out step by step, so that an engine whose
arithmetic is that of doubles answers bit for bit, up to the last rounding to float32, which is spelt
out too (adding and taking off 1.5 · 2**29 units leaves 24 bits, halves to even). Only the sign of a
zero is lost.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bimetal.export.pmml.xml import apply, const, element, mapped, ref
from bimetal.ops import Link
from bimetal.program import Program
from bimetal.reference.link import EXP_TERMS, LN2_HIGH, LN2_LOW, LOG2_E

__all__ = ["Field", "answer_fields", "label_fields"]

Field = tuple[str, str]
"""The name of an output field and its expression."""


def plus(*terms: str) -> str:
    """Return a sum of expressions from left to right."""
    total = terms[0]
    for term in terms[1:]:
        total = apply("+", total, term)
    return total


def times(a: str, b: str) -> str:
    """Return a product."""
    return apply("*", a, b)


def choose(test: str, then: str, otherwise: str) -> str:
    """Return one of two expressions."""
    return apply("if", test, then, otherwise)


def answer_fields(op: Link, points: Sequence[str], tag: str) -> Iterator[Field]:
    """Yield the fields that end with the answers; all but ``answer_…`` are steps on the way."""
    if op.kind == "table":
        yield from _staircase(op, points[0], tag)
        return
    z = [f"z_{c}{tag}" for c in range(len(points))]
    for name, p, scale, offset in zip(
        z, points, op.scale.tolist(), op.offset.tolist(), strict=True
    ):
        yield name, plus(const(offset), times(const(scale), ref(p)))
    if op.kind == "identity":
        for c, name in enumerate(z):
            yield from _rounded(name, c, tag)
        return
    yield from (_sigmoid(z[0], tag) if op.kind == "sigmoid" else _softmax(z, tag))
    for c in range(2 if op.kind == "sigmoid" else len(z)):
        yield from _rounded(f"p_{c}{tag}", c, tag)


def _staircase(op: Link, points: str, tag: str) -> Iterator[Field]:
    for c, side in enumerate((np.float32(1) - op.values, op.values)):
        values = side.tolist()
        text = const(values[0])
        for knot, value in zip(op.knots.tolist(), values[1:], strict=True):
            text = choose(apply("greaterOrEqual", ref(points), const(knot)), const(value), text)
        yield f"answer_{c}{tag}", text


def _rounded(name: str, c: int, tag: str) -> Iterator[Field]:
    """Yield the steps that round a double to float32, as a double."""
    x, q, unit = ref(name), ref(f"q_{c}{tag}"), ref(f"unit_{c}{tag}")
    yield f"q_{c}{tag}", times(const(2.0**52 + 1), x)
    # 2**floor(log2 |x|) (Rump, Ogita & Oishi 2008, algorithm 3.5), at least 2**-126
    spread = apply("abs", apply("-", q, times(const(1 - 2.0**-53), q)))
    yield f"unit_{c}{tag}", apply("max", spread, const(2.0**-126))
    shift = times(const(1.5 * 2.0**29), unit)
    yield f"answer_{c}{tag}", apply("-", plus(x, shift), shift)


def _sigmoid(z: str, tag: str) -> Iterator[Field]:
    e = ref(f"e_0{tag}")
    yield from _exponential(apply("-", const(0.0), apply("abs", ref(z))), 0, tag)
    below = plus(const(1.0), e)
    large, small = apply("/", const(1.0), below), apply("/", e, below)
    rises = apply("greaterOrEqual", ref(z), const(0.0))
    yield f"p_0{tag}", choose(rises, small, large)
    yield f"p_1{tag}", choose(rises, large, small)


def _softmax(z: Sequence[str], tag: str) -> Iterator[Field]:
    n = len(z)
    yield f"top{tag}", apply("max", *map(ref, z))
    for c, name in enumerate(z):
        yield from _exponential(apply("-", ref(name), ref(f"top{tag}")), c, tag)
    yield f"total_0{tag}", ref(f"e_0{tag}")
    for c in range(1, n):
        yield f"total_{c}{tag}", plus(ref(f"total_{c - 1}{tag}"), ref(f"e_{c}{tag}"))
    for c in range(n):
        yield f"p_{c}{tag}", apply("/", ref(f"e_{c}{tag}"), ref(f"total_{n - 1}{tag}"))


def _exponential(x: str, c: int, tag: str) -> Iterator[Field]:
    """Yield the steps of e**x for x <= 0; the last is ``e_…``."""
    x_, k, r = (ref(f"{name}_{c}{tag}") for name in "xkr")
    yield f"x_{c}{tag}", apply("max", x, const(-700.0))
    yield f"k_{c}{tag}", apply("floor", plus(times(x_, const(LOG2_E)), const(0.5)))
    high = apply("-", x_, times(k, const(LN2_HIGH)))
    yield f"r_{c}{tag}", apply("-", high, times(k, const(LN2_LOW)))
    p = const(EXP_TERMS[0])
    for term in EXP_TERMS[1:]:
        p = plus(times(p, r), const(term))
    yield f"e_{c}{tag}", times(p, apply("pow", const(2.0), k))


def label_fields(program: Program, tag: str) -> Iterator[Field]:
    """Yield the steps to the label of the largest answer, the first of equals."""
    answers = [ref(f"answer_{c}{tag}") for c in range(program.n_outputs)]
    yield f"best{tag}", apply("max", *answers)
    first = const(len(answers) - 1)
    for c in range(len(answers) - 2, -1, -1):
        first = choose(apply("greaterOrEqual", answers[c], ref(f"best{tag}")), const(c), first)
    yield f"class{tag}", first
    labels = ((str(c), str(label)) for c, label in enumerate(program.classes))
    yield f"class_label{tag}", mapped(f"class{tag}", "string", labels)


def output_field(name: str, expression: str, target: str, is_final: bool) -> str:
    """Return an output field; it names a target, without which some engines pass it over."""
    is_label = name.startswith("class_label")
    attributes: dict[str, object] = {
        "name": name,
        "feature": "transformedValue",
        "targetField": target,
        "optype": "categorical" if is_label else "continuous",
        "dataType": "string" if is_label else "double",
        "isFinalResult": None if is_final else "false",
    }
    return element("OutputField", attributes, expression)
