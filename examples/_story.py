"""What the examples share: a place to run on if its tools are here, and lines to read."""

from typing import Any

from bimetal.errors import MissingToolError
from bimetal.export import verify
from bimetal.program import Program

__all__ = ["proved", "tell"]


def tell(title: str, **facts: Any) -> None:
    """Print a heading and the facts below it."""
    print(f"\n{title}")
    for name, fact in facts.items():
        print(f"  {name.replace('_', ' '):<22} {fact}")


def proved(program: Program, on: str, vectors: int, **options: Any) -> str:
    """Build and run the Program in a place and say how it compares with the reference."""
    try:
        found = verify(program, on, vectors=vectors, **options)
    except MissingToolError as error:
        return f"not run here: {error}"
    if not found.is_exact:
        raise SystemExit(f"{on} differs from the reference: {found}")
    counted = f", {found.instructions:,.0f} instructions a row" if found.instructions else ""
    return f"{found.n_rows:,} rows equal the reference, bit for bit{counted}"
