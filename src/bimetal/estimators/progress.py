"""Progress of a long fit, drawn by rich where the user asked for it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from bimetal.errors import MissingExtraError
from bimetal.estimators.ingredients import Progress

__all__ = ["shown"]


@contextmanager
def shown(is_verbose: bool) -> Iterator[Progress]:
    """Yield a progress callback: a bar on the terminal, or nothing at all."""
    if not is_verbose:
        yield lambda text, share: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError as error:
        raise MissingExtraError("rich", "cli", "verbose=True") from error
    layout = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn())
    with Progress(*layout, console=Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=1.0)

        def show(text: str, share: float) -> None:
            bar.update(task, description=text, completed=None if math.isnan(share) else share)

        yield show
        bar.update(task, description="done", completed=1.0)
