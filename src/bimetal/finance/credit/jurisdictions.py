"""Which sections on fairness a jurisdiction switches on: data, not code, and not legal advice.

``jurisdictions.json`` beside this file holds an entry for each, with its law and the reason. A bank may
force any section on or off; who chose and why is printed with the section.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bimetal.errors import DataError

__all__ = ["NOTE", "SECTIONS", "Jurisdiction", "Switch", "jurisdiction_named", "jurisdictions", "switches"]  # fmt: skip

SECTIONS = ("effects", "treatment", "reasons")
"""Disparate impact (the effects test); disparate treatment; reasons given to those turned down."""
NOTE = "Not legal advice: counsel decides what applies."


@dataclass(frozen=True)
class Jurisdiction:
    """An entry of the table.

    Attributes
    ----------
    id, title, law, why : str
    effects, treatment, reasons : bool
        Sections that are on by default.
    """

    id: str
    title: str
    law: str
    effects: bool
    treatment: bool
    reasons: bool
    why: str


@dataclass(frozen=True)
class Switch:
    """Whether a section is on, by whose choice, and why."""

    section: str
    is_on: bool
    chosen_by: str
    why: str


@cache
def jurisdictions() -> tuple[Jurisdiction, ...]:
    """Return all entries."""
    text = (files(__package__) / "jurisdictions.json").read_text(encoding="utf-8")
    return tuple(Jurisdiction(**entry) for entry in json.loads(text)["entries"])


def jurisdiction_named(name: str) -> Jurisdiction:
    """Return an entry by its id.

    Raises
    ------
    DataError
        When there is none.

    Examples
    --------
    >>> us = jurisdiction_named("us-federal")
    >>> us.effects, us.reasons
    (False, True)
    """
    known = {j.id: j for j in jurisdictions()}
    if name not in known:
        raise DataError(f"a jurisdiction is one of {', '.join(known)}; got {name!r:.40}")
    return known[name]


def switches(
    name: str, force_on: Sequence[str] = (), force_off: Sequence[str] = ()
) -> tuple[Switch, ...]:
    """Return every section's switch.

    Parameters
    ----------
    name : str
        Of the jurisdiction.
    force_on, force_off : sequence of str
        Sections that the user switches, whatever the jurisdiction says.

    Raises
    ------
    DataError
        When a name is unknown, or a section is forced both ways.
    """
    entry, both = jurisdiction_named(name), set(force_on) & set(force_off)
    unknown = [s for s in (*force_on, *force_off) if s not in SECTIONS]
    if unknown or both:
        raise DataError(
            f"sections {', '.join(SECTIONS)}, each forced one way, expected, got "
            f"{sorted(set(unknown) | both)}"
        )
    return tuple(
        Switch(
            s,
            s in force_on,
            "the user",
            f"forced by the user; by default ({entry.id}): {entry.why}",
        )
        if s in (*force_on, *force_off)
        else Switch(s, getattr(entry, s), f"jurisdiction {entry.id}", entry.why)
        for s in SECTIONS
    )
