"""Believe a signed result as far as it can be believed: recompute it from the bits it came with.

The signature proves that the holder of this device's key made the result, and the recomputation that
the score belongs to the bits. Neither proves that the bits are true: who holds the phone may say
anything about himself. Income, identity and the bureau's record are to be checked as they are for any
application.
"""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.columns.column import listed
from bimetal.errors import BimetalError, DataError, MissingExtraError
from bimetal.explain.grid import Bin, ColumnBins, encode_of, has_missing_bit
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page.payload import Payload, ResultError, read_payload
from bimetal.program import EQ
from bimetal.strict_json import parse_object

__all__ = ["MAX_AGE_S", "Verified", "verify_result"]

MAX_AGE_S = 86_400.0
"""A day: a phone may have been offline."""
CLOCK_SKEW_S = 300.0
"""How far ahead of ours a device's clock may be."""


@dataclass(frozen=True, eq=False)
class Verified:
    """A result that was recomputed.

    Attributes
    ----------
    points : int
        Ours, equal to the device's.
    score : float
    probability : float
        Of bad.
    decision : str
    device_key_thumbprint : str
        Names the key that signed (RFC 7638).
    is_known_device : bool
        Whether that name is among `known_keys`.
    time : datetime
        By the device's clock.
    nonce : str
        To be stored, so that the same result is not taken twice.
    values : mapping or None
        The applicant's answers, if he sent them; they make the same bits.
    row : numpy.ndarray
        float32 (n_columns,): a raw row with these bits, by which the model gives reasons. Its
        numbers stand for their bins; they are not the applicant's.
    """

    points: int
    score: float
    probability: float
    decision: str
    device_key_thumbprint: str
    is_known_device: bool
    time: datetime
    nonce: str
    values: Mapping[str, Any] | None
    row: NDArray[np.float32]


def verify_result(
    model: CreditModel,
    payload: Mapping[str, Any] | str | bytes,
    *,
    known_keys: Container[str] | None = None,
    seen_nonces: Container[str] = (),
    now: datetime | None = None,
    max_age_s: float = MAX_AGE_S,
) -> Verified:
    """Check a signed result of the page, and recompute it.

    Parameters
    ----------
    model : CreditModel
        The one that the page was made from.
    payload : mapping, str or bytes
        As the page made it; `RESULT_SCHEMA` describes it.
    known_keys : container of str, optional
        Thumbprints of devices that were enrolled; an unknown one is told, not refused.
    seen_nonces : container of str
        Nonces taken before. The caller keeps them, and puts a unique constraint on them where
        several requests may come at once.
    now : datetime, optional
        An aware one; by default the clock's.
    max_age_s : float, default a day
        Older results are refused, by the device's clock.

    Returns
    -------
    Verified
        Points, decision and probability are ours.

    Raises
    ------
    ResultError
        A DataError whose `cause` is "malformed", "model" (another one), "signature", "stale",
        "future", "replayed", "bits" (of another length, or that no row can give), "limits" (all values
        of a bin are outside the policy's), "values" (they make other bits), "points" or "decision".
    MissingExtraError
        When `cryptography` is not installed.
    """
    sent = read_payload(payload)
    _require_model(model, sent)
    _require_signature(sent)
    _require_fresh(sent, now or datetime.now(UTC), max_age_s, seen_nonces)
    bits = _bits(model, sent)
    row = _row_of(model, bits)
    said = model.assess(row[None])
    _require_equal(sent, int(said.points[0]), str(said.decision[0]))
    return Verified(
        points=int(said.points[0]),
        score=float(said.score[0]),
        probability=float(said.probability[0]),
        decision=str(said.decision[0]),
        device_key_thumbprint=sent.thumbprint,
        is_known_device=known_keys is not None and sent.thumbprint in known_keys,
        time=sent.time,
        nonce=sent.nonce,
        values=_values(model, sent, bits),
        row=row,
    )


def _require_model(model: CreditModel, sent: Payload) -> None:
    parts = {"program": model.id, "policy": model.policy_id, "file": model.file_hash}
    for name, ours in parts.items():
        came = getattr(sent, name)
        if came != ours:
            raise ResultError(
                "model",
                f"a result of the {name} {ours[:12]}… expected, got one of {came[:12]}…; the page is "
                "older or newer than this model: verify with the file it was made from",
            )


def _require_signature(sent: Payload) -> None:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils
    except ImportError as error:
        raise MissingExtraError("cryptography", "serve", "verifying a signed result") from error
    x, y = int.from_bytes(sent.x, "big"), int.from_bytes(sent.y, "big")
    r, s = (int.from_bytes(half, "big") for half in (sent.signature[:32], sent.signature[32:]))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(utils.encode_dss_signature(r, s), sent.text, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise ResultError(
            "signature",
            "a signature of this key over this result expected, got another; it was changed on its way",
        ) from None


def _require_fresh(sent: Payload, now: datetime, max_age_s: float, seen: Container[str]) -> None:
    if now.tzinfo is None:
        raise DataError(f"a time with a zone expected (datetime.now(UTC), say), got {now!r}")
    age = (now - sent.time).total_seconds()
    if age > max_age_s:
        raise ResultError(
            "stale",
            f"a result of the last {max_age_s:g} seconds expected, got one {age:.0f} seconds old; "
            "score again and send that",
        )
    if age < -CLOCK_SKEW_S:
        raise ResultError(
            "future",
            f"a result of the past expected, got one of {-age:.0f} seconds ahead; set the "
            "device's clock and score again",
        )
    if sent.nonce in seen:
        raise ResultError("replayed", "a new result expected, got one taken before; score again")


def _bits(model: CreditModel, sent: Payload) -> NDArray[np.bool_]:
    n = len(model.form.encode.column)
    if len(sent.bits) != -(-n // 8):
        raise ResultError("bits", f"{n} bits in {-(-n // 8)} bytes expected, got {len(sent.bits)}")
    bits = np.unpackbits(np.frombuffer(sent.bits, np.uint8), bitorder="little").astype(bool)
    if bits[n:].any():
        raise ResultError("bits", f"{n} bits and zeros behind them expected, got ones there")
    return bits[:n]


def _row_of(model: CreditModel, bits: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a raw row that has these bits: there is one, unless they were made up."""
    row = np.zeros(model.program.n_columns, np.float32)
    for column in model.form.columns:
        k = int(column.bin_of(bits[None])[0])
        if k < 0 or not _can_be_given(model, column, k):
            raise ResultError(
                "bits",
                f"bits that some value of '{column.name}' gives expected, got a pattern that none does",
            )
        _require_within(model, column, column.bins[k])
        row[column.index] = column.bins[k].value
    return row


def _can_be_given(model: CreditModel, column: ColumnBins, k: int) -> bool:
    """Tell whether a page would have taken a value of a bin."""
    kind, encode = column.bins[k].kind, encode_of(model.program)
    if kind == "missing":
        return has_missing_bit(encode, column.index)
    if kind != "other" or model.policy.unknown_category == "other":
        return True
    tested = set(encode.value[(encode.column == column.index) & (encode.kind == EQ)].tolist())
    untested = next((c for c in range(len(column.column.categories)) if c not in tested), None)
    if untested is None:
        return False
    row = np.zeros((1, model.program.n_columns), np.float32)
    row[0, column.index] = untested  # all that no bit asks for have the same bits
    return bool((model.form.bits(row)[0, column.positions] == column.bits[k]).all())


def _require_within(model: CreditModel, column: ColumnBins, at: Bin) -> None:
    least, greatest = model.policy.limits.get(column.name, (None, None))
    is_below = least is not None and at.kind == "range" and at.high <= least
    is_above = greatest is not None and at.kind == "range" and at.low > greatest
    if is_below or is_above:
        low, high = (
            -math.inf if least is None else least,
            math.inf if greatest is None else greatest,
        )
        raise ResultError(
            "limits", f"'{column.name}' of {low:g} to {high:g} expected, got {at.label}"
        )


def _require_equal(sent: Payload, points: int, decision: str) -> None:
    if sent.points != points:
        raise ResultError(
            "points",
            f"{points} points expected of these bits, got {sent.points}: they were changed",
        )
    if sent.decision != decision:
        raise ResultError(
            "decision", f"'{decision}' expected of {points} points, got '{sent.decision}'"
        )


def _values(model: CreditModel, sent: Payload, bits: NDArray[np.bool_]) -> Mapping[str, Any] | None:
    """Return the answers, once they are seen to make the bits."""
    if not sent.values:
        return None
    names = [column.name for column in model.program.columns]
    try:
        values = parse_object(sent.values.encode(), "the answers")
        if set(values) != set(names):
            raise DataError(f"answers to {listed(names)} expected, got {listed(sorted(values))}")
        given = np.empty((1, len(names)), object)
        given[0] = [values[name] for name in names]
        row = model.rows(given)
    except BimetalError as error:
        raise ResultError("values", f"answers that the model reads expected: {error}") from None
    if not np.array_equal(model.form.bits(row)[0], bits):
        raise ResultError("values", "answers that make the bits expected, got others")
    return values
