"""How tables and numbers look on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

__all__ = ["amount", "facts", "ratio", "table"]


def amount(n: float) -> str:
    """Show a whole number in groups of three digits.

    Examples
    --------
    >>> amount(12345)
    '12,345'
    """
    return f"{round(n):,}"


def table(*headers: str) -> Table:
    """Return an empty table; a header that begins with ``>`` heads a column of numbers."""
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in headers:
        shown.add_column(header.lstrip(">"), justify="right" if header[0] == ">" else "left")
    return shown


def facts(values: Mapping[str, Any]) -> Table:
    """Return two columns: names in grey, values as they are."""
    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in values.items():
        shown.add_row(escape(str(name)), escape(str(value)))
    return shown


def ratio(times: float | None) -> str:
    """Show how many times as fast: two digits that count.

    Examples
    --------
    >>> ratio(23.456), ratio(1.234), ratio(None)
    ('23 ×', '1.2 ×', '')
    """
    if times is None:
        return ""
    return f"{times:,.0f} ×" if times >= 9.95 else f"{times:.2g} ×"
