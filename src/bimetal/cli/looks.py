"""How tables look on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

__all__ = ["facts", "table"]


def table(*headers: str) -> Table:
    """Return an empty table; a header that begins with ``>`` heads a column of numbers."""
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in headers:
        shown.add_column(
            header.lstrip(">"), justify="right" if header[0] == ">" else "left", overflow="fold"
        )
    return shown


def facts(values: Mapping[str, Any]) -> Table:
    """Return two columns: names in grey, values as they are."""
    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in values.items():
        shown.add_row(escape(str(name)), escape(str(value)))
    return shown
