r"""XML as text, one element a line: names and values of strangers stay attributes and text.

An attribute keeps line breaks and tabs only when they are written as numbers (``&#10;``), and XML 1.0 has
no way at all to write most control characters: those are refused.
"""

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from bimetal.errors import ExportError

__all__ = ["apply", "const", "element", "indented", "mapped", "ref", "text"]

_SPACES = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


def _checked(given: str) -> str:
    wrong = [c for c in given if (c < " " and c not in _SPACES) or c in "\ufffe\uffff"]
    if wrong:
        raise ExportError(
            f"XML has no way to write the character {wrong[0]!r}, which is in {given!r:.80}; "
            "rename it in the table and in the model"
        )
    return given


def text(given: str) -> str:
    """Return text between tags.

    Examples
    --------
    >>> text("</Value> & co")
    '&lt;/Value&gt; &amp; co'
    """
    return escape(_checked(given), _SPACES)


def element(tag: str, attributes: dict[str, object], inside: str = "") -> str:
    r"""Return an element; `inside` is markup already. Attributes that are None are left out.

    Examples
    --------
    >>> element("Con", {"from": 'a"<b', "weight": -1})
    '<Con from=\'a"&lt;b\' weight="-1"/>'
    """
    shown = "".join(
        f" {name}={quoteattr(_checked(str(value)), _SPACES)}"
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{shown}>{inside}</{tag}>" if inside else f"<{tag}{shown}/>"


def indented(tag: str, attributes: dict[str, object], lines: list[str]) -> str:
    """Return an element whose children have lines of their own."""
    body = "\n".join(lines)
    return element(tag, attributes, f"\n{body}\n")


def ref(field: str) -> str:
    """Return a reference to a field."""
    return element("FieldRef", {"field": field})


def inline_table(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table with the columns ``key`` and ``value``."""
    lines = [
        f"<row><key>{text(key)}</key><value>{text(value)}</value></row>" for key, value in rows
    ]
    return indented("InlineTable", {}, lines)


def mapped(field: str, kind: str, rows: Iterable[tuple[str, str]], default: object = None) -> str:
    """Return the value that a table has for a field; `kind` is its type, `default` that of others."""
    attributes: dict[str, object] = {
        "outputColumn": "value",
        "dataType": kind,
        "defaultValue": default,
    }
    pair = element("FieldColumnPair", {"field": field, "column": "key"})
    return element("MapValues", attributes, pair + inline_table(rows))


def const(value: float) -> str:
    """Return a constant, a double."""
    return element("Constant", {"dataType": "double"}, repr(float(value)))


def apply(function: str, *arguments: str) -> str:
    """Return the application of a function of PMML."""
    return element("Apply", {"function": function}, "".join(arguments))
