"""What all pages share: templates with one style, and pictures put into the page as text."""

import base64
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bimetal.amounts import FILTERS
from bimetal.errors import MissingExtraError

__all__ = ["embedded", "machine", "rendered"]

FOLDER = Path(__file__).parent


def rendered(template: str, facts: Mapping[str, Any]) -> str:
    """Return a page: the template of this folder, filled in, everything in it escaped.

    Raises
    ------
    MissingExtraError
        When Jinja is not installed.
    """
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", "report", "the report") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment.get_template(template).render(facts)


def embedded(png: bytes) -> str:
    """Return a picture as an address that holds all of it.

    Examples
    --------
    >>> embedded(b"png")
    'data:image/png;base64,cG5n'
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def machine() -> str:
    """Return the machine and the versions that matter, in a line."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, NumPy {np.__version__}"
    )
