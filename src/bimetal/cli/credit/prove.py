"""``bimetal credit prove``: is the score monotone as promised? Proved on the whole grid, or refuted by two rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts, table
from bimetal.cli.options import require_folder
from bimetal.errors import DataError
from bimetal.explain.certificate import Certificate, certify, check_certificate
from bimetal.explain.monotone import Proof
from bimetal.finance.credit.policy import Policy
from bimetal.format import load
from bimetal.program import Program

__all__ = ["prove", "trends_of"]

Model = Annotated[Path, typer.Argument(help="A .bimetal file.", show_default=False)]
Given = Annotated[Path | None, typer.Option("--certificate", help="Check this one anew instead.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Certificate to write; by default MODEL.certificate.json."),
]
Trend = Annotated[
    list[str] | None,
    typer.Option(
        "--trend", help="income=up: the score never falls when it rises; else the policy's."
    ),
]
Witness = Annotated[
    Path | None, typer.Option(help="A certificate whose trees the model was made of, for --trend.")
]
Seconds = Annotated[float, typer.Option(help="For the solver, where one is needed.")]

WAYS = {"up": 1, "down": -1}


@answering
def prove(
    model: Model,
    certificate: Given = None,
    out: Out = None,
    trend: Trend = None,
    witness: Witness = None,
    seconds: Seconds = 60,
    as_json: AsJson = False,
) -> Answer:
    """Prove that the score only rises, or falls, with columns, and write a certificate anyone can check."""
    program = load(model)
    if certificate is not None:
        if trend or out or witness:
            raise DataError(
                "--certificate is checked as it stands; leave out --trend, --out, --witness"
            )
        found = Certificate.load(certificate)
        proofs = check_certificate(program, found, seconds)
        return _answer(model, certificate, found, proofs, is_new=False)
    out = out or model.with_suffix(".certificate.json")
    require_folder(out)
    blocks = Certificate.load(witness).blocks if witness else ()
    found = certify(program, trends_of(trend) or _promised(program), blocks, seconds=seconds)
    found.save(out)
    return _answer(model, out, found, found.proofs, is_new=True)


def trends_of(given: Sequence[str] | None) -> dict[str, int]:
    """Read ``column=up`` and ``column=down``.

    Raises
    ------
    DataError
        When the text is of another form.

    Examples
    --------
    >>> trends_of(["income=up", "debt=down"])
    {'income': 1, 'debt': -1}
    """
    trends = {}
    for text in given or ():
        name, _, way = text.rpartition("=")
        if not name or way not in WAYS:
            raise DataError(f"--trend expects column=up or column=down, got {text!r}")
        trends[name] = WAYS[way]
    return trends


def _promised(program: Program) -> Mapping[str, int]:
    spec = program.provenance.get("credit")
    trends = Policy.from_spec(spec).trends if isinstance(spec, dict) else {}
    if not trends:
        raise DataError("the model's policy promises no trends; name some with --trend income=up")
    return trends


def _answer(
    model: Path, path: Path, certificate: Certificate, proofs: Sequence[Proof], *, is_new: bool
) -> Answer:
    n_proved = sum(proof.verdict == "proved" for proof in proofs)
    values: dict[str, Any] = {
        "model": str(model),
        "program": certificate.program_id,
        "certificate": str(path),
        "sha256": certificate.id,
        "checked": not is_new,
        "proved": n_proved == len(proofs),
        "seconds": sum(proof.seconds for proof in proofs),
        "proofs": [proof.spec() for proof in proofs],
    }
    summary = facts(
        {
            "program": certificate.program_id,
            "certificate": f"{path} ({'written' if is_new else 'checked anew'})",
            "verdict": f"{n_proved} of {len(proofs)} trends proved",
        }
    )
    return Answer(values, Group(summary, _table(proofs)), 0 if values["proved"] else 1)


def _table(proofs: Sequence[Proof]) -> Table:
    shown = table("column", "promise", "verdict", "how", ">steps", ">least step", ">seconds", "why")
    for proof in proofs:
        shown.add_row(
            escape(proof.column),
            "never falls" if proof.direction > 0 else "never rises",
            proof.verdict,
            proof.method,
            amount(proof.n_steps),
            "" if proof.least_step is None else amount(proof.least_step),
            f"{proof.seconds:.2f}",
            escape(_remark(proof)),
        )
    return shown


def _remark(proof: Proof) -> str:
    """Show what differs in a counterexample, or why nothing is known."""
    if proof.counterexample is None:
        return proof.why
    pair = next((a, b) for a, b in zip(*proof.counterexample, strict=True) if a != b)
    return " → ".join(
        "missing" if v is None else str(np.float32(v)).removesuffix(".0") for v in pair
    )
