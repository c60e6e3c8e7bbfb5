"""Policy: what a lender decides around a score, kept with the model and hashed on its own.

The Program says how likely a default is. Everything else that makes a decision stands here: the
cut-off, what goes to a human, whom an applicant is compared with, how reasons read, what may change.
It travels in the provenance of the .bimetal file under "credit": the Program's id stays that of the
function, and the policy has an id of its own.
"""

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from bimetal.columns.column import listed
from bimetal.errors import DataError
from bimetal.finance.credit.dates import DateSpec
from bimetal.finance.credit.scaling import Scaling

__all__ = ["MOST_REFERENCES", "Policy"]

MOST_REFERENCES = 32
_VERSION = 1


@dataclass(frozen=True)
class Policy:
    """What turns points into a decision and into words.

    Parameters
    ----------
    name : str
        Of the product or portfolio.
    scaling : Scaling
        How points read as a score.
    cutoff : int
        Points from which an application is approved.
    refer : (int, int) or None
        Points ``low <= points < high`` go to a human; ``low <= cutoff <= high``.
    coverage : float or None
        What the band states: the share of applicants whose outcome the sets cover (see `conformal`).
    references : tuple of tuple of float or None
        At most `MOST_REFERENCES` raw rows of approved applicants near the cut-off, None where
        missing: reasons say what set an applicant apart from them.
    groups : mapping of str to tuple of str
        Columns that are one reason. A column in no group is its own.
    texts, codes : mapping of str to str
        How a group (or column) reads in a notice, and its code in the lender's systems.
    immutable : tuple of str
        Columns that no advice may change.
    one_way : mapping of str to {"up", "down"}
        Columns that can only rise (age) or fall.
    limits : mapping of str to (float or None, float or None)
        Least and greatest value that an application may state.
    trends : mapping of str to {1, -1}
        How the *score* moves when a column rises: promised, and proved by `prove_monotone`.
    dates : tuple of DateSpec
        Columns of the application that are dates, and the numbers they become.
    unknown_category : {"other", "refuse"}
        What becomes of a category that training never saw.
    jurisdiction : str
        Which sections a validation pack switches on.
    max_reasons : int
        At most 4: the commentary to Regulation B, 12 CFR 1002.9(b)(2), holds more to be unhelpful.

    Raises
    ------
    DataError
        When a part contradicts another, or is no JSON value.

    Examples
    --------
    >>> policy = Policy(cutoff=56_000, texts={"income": "Income insufficient for the amount"})
    >>> Policy.from_spec(policy.spec()) == policy
    True
    """

    name: str = "credit"
    scaling: Scaling = field(default_factory=Scaling)
    cutoff: int = 0
    refer: tuple[int, int] | None = None
    coverage: float | None = None
    references: tuple[tuple[float | None, ...], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    immutable: tuple[str, ...] = ()
    one_way: Mapping[str, Literal["up", "down"]] = field(default_factory=dict)
    limits: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    trends: Mapping[str, int] = field(default_factory=dict)
    dates: tuple[DateSpec, ...] = ()
    unknown_category: Literal["other", "refuse"] = "other"
    jurisdiction: str = "none"
    max_reasons: int = 4

    def __post_init__(self) -> None:
        _require(type(self.cutoff) is int, "cutoff", "whole points", self.cutoff)
        if self.refer is not None:
            low, high = self.refer
            whole = type(low) is int and type(high) is int
            _require(
                whole and low <= self.cutoff <= high,
                "refer",
                f"(low, high) in whole points with low <= cutoff ({self.cutoff}) <= high",
                self.refer,
            )
        _require(
            self.coverage is None or 0 < self.coverage < 1, "coverage", "in (0, 1)", self.coverage
        )
        _require(
            len(self.references) <= MOST_REFERENCES,
            "references",
            f"at most {MOST_REFERENCES} rows",
            len(self.references),
        )
        _require(
            type(self.max_reasons) is int and 1 <= self.max_reasons <= 4,
            "max_reasons",
            "1 to 4",
            self.max_reasons,
        )
        _require(
            self.unknown_category in ("other", "refuse"),
            "unknown_category",
            "'other' or 'refuse'",
            self.unknown_category,
        )
        self._check_maps()

    def _check_maps(self) -> None:
        for name, way in self.one_way.items():
            _require(way in ("up", "down"), f"one_way of '{name}'", "'up' or 'down'", way)
        for name, sign in self.trends.items():
            _require(sign in (1, -1), f"the trend of '{name}'", "1 or -1", sign)
        for name, (low, high) in self.limits.items():
            ordered = low is None or high is None or low <= high
            _require(ordered, f"the limits of '{name}'", "(least, greatest)", (low, high))
        for what, said in (("text", self.texts), ("code", self.codes)):
            for name, text in said.items():
                _require(isinstance(text, str), f"the {what} of '{name}'", "text", text)
        grouped = [column for columns in self.groups.values() for column in columns]
        twice = sorted({c for c in grouped if grouped.count(c) > 1})
        _require(not twice, "groups", "each column in one group", twice)

    def require_columns(self, names: tuple[str, ...]) -> None:
        """Refuse a policy that speaks of columns which the model does not have.

        Raises
        ------
        DataError
            Naming them.
        """
        spoken: dict[str, Any] = {
            "dates": [spec.name for spec in self.dates],
            "groups": [c for columns in self.groups.values() for c in columns],
            "immutable": self.immutable,
            "one_way": self.one_way,
            "limits": self.limits,
            "trends": self.trends,
        }
        for what, columns in spoken.items():
            unknown = [c for c in columns if c not in names]
            _require(not unknown, f"{what} of the policy", f"columns of {listed(names)}", unknown)
        for texts in ("texts", "codes"):
            known = {*names, *self.groups}
            unknown = [c for c in getattr(self, texts) if c not in known]
            _require(not unknown, f"{texts} of the policy", "columns or groups", unknown)
        for row in self.references:
            _require(len(row) == len(names), "a reference row", f"{len(names)} values", len(row))

    def decide(self, points: int) -> Literal["approve", "refer", "decline"]:
        """Return the decision for points.

        Examples
        --------
        >>> policy = Policy(cutoff=100, refer=(90, 110))
        >>> [policy.decide(p) for p in (89, 90, 109, 110)]
        ['decline', 'refer', 'refer', 'approve']
        """
        if self.refer is not None and self.refer[0] <= points < self.refer[1]:
            return "refer"
        return "approve" if points >= self.cutoff else "decline"

    def dates_among(self, names: Collection[str]) -> list[DateSpec]:
        """Return the dates that a table with such columns has not as numbers."""
        return [d for d in self.dates if d.column in names or d.name not in names]

    @property
    def approval_points(self) -> int:
        """Points from which no human and no cut-off stands in the way."""
        return self.cutoff if self.refer is None else self.refer[1]

    def spec(self) -> dict[str, Any]:
        """Return the policy as JSON values: the inverse of `from_spec`."""
        plain = [f.name for f in fields(self) if f.name not in ("scaling", "dates")]
        spec: dict[str, Any] = {name: _plain(getattr(self, name)) for name in plain}
        dates = [date.spec() for date in self.dates]
        return {"version": _VERSION} | spec | {"scaling": self.scaling.spec(), "dates": dates}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Policy":
        """Build a policy from JSON values.

        Raises
        ------
        DataError
            When a key is unknown, or a value does not fit.
        """
        _require(isinstance(spec, Mapping), "a policy", "a JSON object", spec)
        given = dict(spec)
        version = given.pop("version", _VERSION)
        _require(version == _VERSION, "version of the policy", str(_VERSION), version)
        unknown = sorted(set(given) - {f.name for f in fields(cls)})
        _require(not unknown, "keys of a policy", listed([f.name for f in fields(cls)]), unknown)
        try:
            if "scaling" in given:
                given["scaling"] = Scaling(**given["scaling"])
            if given.get("refer") is not None:
                given["refer"] = tuple(given["refer"])
            for name in ("groups", "limits"):
                given[name] = {k: tuple(v) for k, v in dict(given.get(name) or {}).items()}
            given["references"] = tuple(tuple(row) for row in given.get("references") or ())
            given["dates"] = tuple(DateSpec.from_spec(d) for d in given.get("dates") or ())
            given["immutable"] = tuple(given.get("immutable") or ())
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise DataError(f"a policy's parts must fit: {error}") from error

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON: two policies that decide alike in words and numbers share it."""
        text = json.dumps(self.spec(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    is_nan = isinstance(value, float) and not math.isfinite(value)
    _require(not is_nan, "a number of the policy", "finite (None where missing)", value)
    return value


def _require(holds: bool, what: str, expected: str, came: object) -> None:
    if not holds:
        raise DataError(f"{what}: {expected} expected, got {came!r:.200}")
