"""A certificate is checked by proving anew: what was changed in it, or in the Program, is named."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from test_monotone import forest, random_program

from bimetal.errors import DataError, FormatError, ProgramError
from bimetal.explain.blocks import Block
from bimetal.explain.certificate import Certificate, certify, check_certificate
from bimetal.explain.monotone import Proof

TRENDS = {"x0": 1, "x1": -1}
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
PROGRAM, BLOCKS = forest()


@pytest.fixture(scope="module")
def proved() -> Certificate:
    return certify(PROGRAM, TRENDS, BLOCKS, made=NOW)


@pytest.fixture(scope="module")
def refuted() -> Certificate:
    return certify(random_program(0), TRENDS, made=NOW)


def verdicts(proofs: tuple[Proof, ...]) -> list[str]:
    return [proof.verdict for proof in proofs]


def test_save_and_load_is_identity(
    proved: Certificate, refuted: Certificate, tmp_path: Path
) -> None:
    for certificate in (proved, refuted):
        certificate.save(tmp_path / "c.json")
        read = Certificate.load(tmp_path / "c.json")
        assert read == certificate and read.id == certificate.id
        assert json.loads((tmp_path / "c.json").read_bytes())["made"] == "2026-11-28T12:00:00+00:00"
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


def test_what_is_proved_is_proved_again_and_what_is_refuted_shown_again(
    proved: Certificate, refuted: Certificate
) -> None:
    assert proved.is_proved and verdicts(check_certificate(PROGRAM, proved)) == ["proved"] * 2
    assert not refuted.is_proved
    assert verdicts(check_certificate(random_program(0), refuted)) == verdicts(refuted.proofs)
    assert "refuted" in verdicts(refuted.proofs)


def test_undecided_claims_nothing(proved: Certificate) -> None:
    open_ = replace(proved.proofs[0], verdict="undecided", least_step=None, why="no time")
    certificate = replace(proved, proofs=(open_, proved.proofs[1]))
    assert verdicts(check_certificate(PROGRAM, certificate)) == ["undecided", "proved"]


def test_a_certificate_of_another_program_is_refused(proved: Certificate) -> None:
    with pytest.raises(
        ProgramError, match=r"the certificate is of program .* certify this one anew"
    ):
        check_certificate(random_program(0), proved)


def test_a_lie_is_found_although_its_hash_is_right(refuted: Certificate) -> None:
    lie = replace(
        refuted,
        proofs=tuple(
            replace(p, verdict="proved", method="signs+blocks", least_step=0, counterexample=None)
            for p in refuted.proofs
        ),
    )
    with pytest.raises(
        ProgramError, match=r"the score is monotone in 'x0', by signs\+blocks; here"
    ):
        check_certificate(random_program(0), Certificate.loads(json.dumps(lie.spec()).encode()))


def test_a_proof_does_not_hold_without_its_witness(proved: Certificate) -> None:
    assert any("blocks" in p.method for p in proved.proofs)
    bare = replace(
        proved,
        blocks=(),
        proofs=tuple(replace(p, method="signs+blocks") for p in proved.proofs),
    )
    with pytest.raises(ProgramError, match="here it is undecided"):
        check_certificate(PROGRAM, bare)


@pytest.mark.parametrize("change", ["points", "leaf", "literal"])
def test_a_witness_that_was_changed_is_found(proved: Certificate, change: str) -> None:
    block = next(b for b in proved.blocks if len(b.leaves) > 4)
    (path, points), rest = block.leaves[0], block.leaves[1:]
    changed = {
        "points": Block((*rest, (path, points + 400))),
        "leaf": Block(rest),
        "literal": Block((*rest, (path[:-1], points))),
    }[change]
    blocks = tuple(changed if b is block else b for b in proved.blocks)
    with pytest.raises(ProgramError):
        check_certificate(PROGRAM, replace(proved, blocks=blocks))


def first_refuted(certificate: Certificate) -> Proof:
    return next(p for p in certificate.proofs if p.verdict == "refuted")


def tampered(certificate: Certificate, **changes: Any) -> Certificate:
    wrong = first_refuted(certificate)
    proofs = tuple(replace(p, **changes) if p is wrong else p for p in certificate.proofs)
    return replace(certificate, proofs=proofs)


@pytest.mark.parametrize("change", ["step", "rows", "order", "short", "none"])
def test_two_rows_that_do_not_show_it_are_refused(refuted: Certificate, change: str) -> None:
    claim = first_refuted(refuted)
    low, high = claim.counterexample or ((), ())
    options: dict[str, dict[str, Any]] = {
        "step": {"least_step": -10_000},
        "rows": {"counterexample": (low, low)},
        "order": {"counterexample": (high, low)},
        "short": {"counterexample": (low[:1], high)},
        "none": {"counterexample": None},
    }
    with pytest.raises(ProgramError, match="by two rows that do not show it"):
        check_certificate(random_program(0), tampered(refuted, **options[change]))


def test_each_trend_needs_its_proof(proved: Certificate) -> None:
    with pytest.raises(ProgramError, match="proofs of"):
        check_certificate(PROGRAM, replace(proved, proofs=proved.proofs[:1]))
    with pytest.raises(ProgramError, match="proofs of"):
        check_certificate(PROGRAM, replace(proved, proofs=(*proved.proofs, proved.proofs[0])))


def test_a_column_that_is_not_there_is_named(proved: Certificate) -> None:
    ghost = replace(
        proved, trends={"ghost": 1}, proofs=(replace(proved.proofs[0], column="ghost"),)
    )
    with pytest.raises(DataError, match="'ghost'"):
        check_certificate(PROGRAM, ghost)


def damaged(certificate: Certificate, **changes: Any) -> bytes:
    return json.dumps({**certificate.spec(), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"made": "2020-01-01T00:00:00+00:00"},
        {"kind": "bimetal monotonicity certificate 9"},
        {"proofs": [{"column": "x0"}]},
        {"proofs": 5},
        {"blocks": [[[[0], "1"]]]},
        {"trends": None},
        {"sha256": "0" * 64},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_damaged_file_is_refused(proved: Certificate, changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="expected"):
        Certificate.loads(damaged(proved, **changes))


@pytest.mark.parametrize(
    "changes",
    [{"method": "magic"}, {"verdict": "surely"}, {"counterexample": [["1"], ["2"]]}],
    ids=str,
)
def test_a_proof_of_an_unknown_kind_is_refused_whatever_its_hash(
    proved: Certificate, changes: dict[str, Any]
) -> None:
    spec = {**proved.proofs[0].spec(), **changes}
    with pytest.raises(FormatError):
        Certificate.loads(damaged(proved, proofs=[spec]))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"kind": 1}', b"\xff" * 20])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Certificate.loads(data)
