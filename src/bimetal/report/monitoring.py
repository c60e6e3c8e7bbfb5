"""The page of monitoring: ``monitoring.html`` and ``monitoring.json`` in a folder."""

import os
from pathlib import Path

from bimetal.files import atomic_write
from bimetal.finance.credit.monitoring import Monitoring
from bimetal.report.sheet import rendered
from bimetal.report.validation import pictures

__all__ = ["write_monitoring"]

TEMPLATE = "monitoring.html.j2"
ORDER = ("red", "amber", "green")


def write_monitoring(seen: Monitoring, folder: str | os.PathLike[str]) -> Path:
    """Write ``monitoring.html`` and ``monitoring.json`` into a folder, which is made if needed.

    Parameters
    ----------
    seen : Monitoring
        The facts.
    folder : str or path-like
        Where to.

    Returns
    -------
    pathlib.Path
        The page: it needs no network and no other file.

    Raises
    ------
    MissingExtraError
        When matplotlib or Jinja is not installed.
    OSError
        When a file cannot be written.
    """
    from bimetal.report.credit_plots import MONITORING_PLOTS

    target = Path(folder)
    findings = sorted(seen.findings, key=lambda f: ORDER.index(f["light"]))
    page = rendered(
        TEMPLATE,
        {
            "facts": seen.facts,
            "called": [f for f in findings if f["light"] != "green"],
            "quiet": [f for f in findings if f["light"] == "green"],
            "exit_code": seen.exit_code,
            "plots": pictures(seen.facts, MONITORING_PLOTS),
        },
    )
    target.mkdir(parents=True, exist_ok=True)
    for name, text in (("monitoring.json", seen.json()), ("monitoring.html", page)):
        with atomic_write(target / name) as file:
            file.write(text.encode())
    return target / "monitoring.html"
