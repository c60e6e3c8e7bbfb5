"""A certificate: what was proved of a Program, the witness by which, and a hash over it all, in a JSON file.

Whoever doubts it has the Program and this file, and proves everything anew (`check_certificate`): neither
the file nor whoever wrote it is trusted. The hash guards against damage, not against an author.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bimetal.errors import FormatError, ProgramError
from bimetal.explain.blocks import Block
from bimetal.explain.form import points_of
from bimetal.explain.monotone import METHODS, Proof, prove_monotone
from bimetal.files import atomic_write
from bimetal.program import Program
from bimetal.strict_json import parse_object, require

__all__ = ["Certificate", "certify", "check_certificate"]

KIND = "bimetal monotonicity certificate 1"


@dataclass(frozen=True)
class Certificate:
    """What was proved of a Program.

    Attributes
    ----------
    program_id : str
        Of which Program.
    version : str
        The bimetal that proved it.
    made : str
        When, in UTC.
    trends : mapping of str to int
        What was asked.
    proofs : tuple of Proof
        What was found, in the same order.
    blocks : tuple of Block
        The witness; empty when none was given.
    """

    program_id: str
    version: str
    made: str
    trends: Mapping[str, int]
    proofs: tuple[Proof, ...]
    blocks: tuple[Block, ...]

    @property
    def is_proved(self) -> bool:
        """Whether every trend is proved."""
        return all(proof.verdict == "proved" for proof in self.proofs)

    @property
    def id(self) -> str:
        """sha256 of all the rest, in canonical JSON."""
        return hashlib.sha256(_canonical(self._body()).encode()).hexdigest()

    def _body(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "program": self.program_id,
            "version": self.version,
            "made": self.made,
            "trends": dict(self.trends),
            "proofs": [proof.spec() for proof in self.proofs],
            "blocks": [block.spec() for block in self.blocks],
        }

    def spec(self) -> dict[str, Any]:
        """Return what the file holds: JSON values."""
        return {**self._body(), "sha256": self.id}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all."""
        with atomic_write(path) as file:
            file.write(_canonical(self.spec()).encode() + b"\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Certificate":
        """Read it from a file; nothing in it is believed yet.

        Raises
        ------
        FormatError
            When the file is damaged, or no certificate.
        OSError
            When it cannot be read.
        """
        return cls.loads(Path(path).read_bytes())

    @classmethod
    def loads(cls, data: bytes) -> "Certificate":
        """Read it from bytes. Raises what `load` does."""
        given = parse_object(data, "a certificate")
        require(given.get("kind") == KIND, f"a certificate ({KIND!r})", given.get("kind"))
        try:
            read = cls(
                given["program"],
                given["version"],
                given["made"],
                dict(given["trends"]),
                tuple(_proof(spec) for spec in given["proofs"]),
                tuple(Block.from_spec(spec) for spec in given["blocks"]),
            )
            is_whole = read.spec() == given
        except (KeyError, TypeError, ValueError, ProgramError) as error:
            raise FormatError(f"expected a whole certificate, got {error!s:.200}") from error
        require(is_whole, f"the sha256 {read.id}, that of its content", given.get("sha256"))
        return read


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _proof(spec: Any) -> Proof:
    proof = Proof.from_spec(spec)
    methods = proof.method.split("+") if proof.method else []
    require(all(name in METHODS for name in methods), f"methods of {list(METHODS)}", methods)
    verdicts = ("proved", "refuted", "undecided")
    require(proof.verdict in verdicts, f"one of {verdicts}", proof.verdict)
    numbers = [value for row in proof.counterexample or () for value in row]
    is_numeric = all(value is None or type(value) in (int, float) for value in numbers)
    require(is_numeric, "numbers and null in a counterexample", numbers)
    return proof


def certify(
    program: Program,
    trends: Mapping[str, int],
    blocks: Sequence[Block] = (),
    *,
    seconds: float = 60,
    made: datetime | None = None,
) -> Certificate:
    """Prove trends and put down what was found, whatever it is: see `Certificate.is_proved`.

    Parameters
    ----------
    program, trends, blocks, seconds
        See `prove_monotone`, which also says what is raised.
    made : datetime, optional
        When; by default now.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.program import Encode, Link, Readout
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0], "u2"), np.array([0], "u1"), np.array([18], "f4"),
    ...                 no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> program = Program((Column("age"),), (encode, points, link))
    >>> certificate = certify(program, {"age": 1})
    >>> [proof.verdict for proof in check_certificate(program, certificate)]
    ['proved']
    """
    when = (made or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    proofs = prove_monotone(program, trends, blocks, seconds)
    return Certificate(program.id, version("bimetal"), when, dict(trends), proofs, tuple(blocks))


def check_certificate(
    program: Program, certificate: Certificate, seconds: float = 60
) -> tuple[Proof, ...]:
    """Prove anew what a certificate says is proved, and ask again what it says is refuted.

    Parameters
    ----------
    program : Program
        The one in use.
    certificate : Certificate
        As read from anywhere.
    seconds : float
        For the solver, where it was needed.

    Returns
    -------
    tuple of Proof
        As proved here; of what was undecided, as it stands there.

    Raises
    ------
    ProgramError
        When the certificate is of another Program, a block is no tree of it, or a verdict cannot be
        confirmed.
    DataError
        When it names columns that are not there.
    """
    if certificate.program_id != program.id:
        raise ProgramError(
            f"the certificate is of program {certificate.program_id:.12}, but this one is "
            f"{program.id:.12}; certify this one anew"
        )
    asked = {proof.column: proof.direction for proof in certificate.proofs}
    if asked != certificate.trends or len(asked) < len(certificate.proofs):
        raise ProgramError(f"proofs of {dict(certificate.trends)} expected, got {asked}")
    claims = [proof for proof in certificate.proofs if proof.verdict == "proved"]
    proved = iter(_proved_anew(program, certificate, claims, seconds))
    return tuple(
        next(proved) if proof.verdict == "proved" else _asked_again(program, proof)
        for proof in certificate.proofs
    )


def _proved_anew(
    program: Program, certificate: Certificate, claims: Sequence[Proof], seconds: float
) -> tuple[Proof, ...]:
    trends = {claim.column: claim.direction for claim in claims}
    methods = {name for claim in claims for name in claim.method.split("+")}
    named = [name for name in METHODS if name in methods or name == "signs"]
    proofs = prove_monotone(program, trends, certificate.blocks, seconds, named)
    for claim, proof in zip(claims, proofs, strict=True):
        if proof.verdict != "proved":
            raise ProgramError(
                f"the certificate says that the score is monotone in '{claim.column}', by "
                f"{claim.method}; here it is {proof.verdict} {proof.why}".rstrip()
            )
    return proofs


def _asked_again(program: Program, claim: Proof) -> Proof:
    if claim.verdict == "refuted" and not _is_shown(program, claim):
        raise ProgramError(
            f"the certificate refutes the trend of '{claim.column}' by two rows that do not show it"
        )
    return claim


def _is_shown(program: Program, claim: Proof) -> bool:
    """Tell whether the two rows differ in the column only, and the score goes the wrong way."""
    pair, names = claim.counterexample or (), [column.name for column in program.columns]
    if [len(row) for row in pair] != [len(names)] * 2:
        return False
    low, high = pair
    changed = [name for name, a, b in zip(names, low, high, strict=True) if a != b]
    if changed != [claim.column]:
        return False
    rows = np.array(pair, np.float32)  # None becomes NaN: missing
    before, after = points_of(program, rows).tolist()
    is_rise = bool(np.less(*rows[:, names.index(claim.column)]))
    step = claim.direction * (after - before)
    return is_rise and step < 0 and step == claim.least_step
