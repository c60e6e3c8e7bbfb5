"""Where a model and its figures come from: hashes of files, ids, versions, seeds, time."""

import hashlib
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from bimetal.finance.credit.model import CreditModel

__all__ = ["PACKAGES", "file_facts", "lineage", "versions"]

PACKAGES = ("bimetal", "numpy", "scipy", "scikit-learn", "lightgbm", "interpret-core", "optbinning",
            "torch", "fairlearn", "narwhals", "pyarrow")  # fmt: skip
PIECE = 1 << 20


def file_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return name, bytes and sha256 of a file, read in pieces.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    digest, n_bytes = hashlib.sha256(), 0
    with Path(path).open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            n_bytes += len(piece)
    return {"name": Path(path).name, "bytes": n_bytes, "sha256": digest.hexdigest()}


def versions() -> dict[str, str]:
    """Return Python, machine and the packages that are installed here."""
    found = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def lineage(
    model: CreditModel,
    samples: Mapping[str, Any],
    files: Mapping[str, str | os.PathLike[str]],
    seed: int,
) -> dict[str, Any]:
    """Return all of it as JSON values.

    Parameters
    ----------
    model : CreditModel
    samples : mapping of str to (rows, labels)
        By role: "validation", "development".
    files : mapping of str to path
        By role.
    seed : int
        Of resampling and shuffling.
    """
    provenance = {k: v for k, v in model.program.provenance.items() if k != "credit"}
    return {
        "model_id": model.id,
        "policy_id": model.policy_id,
        "file_sha256": model.file_hash,
        "format_version": model.program.version,
        "provenance": provenance,
        "samples": {role: _sample(*sample) for role, sample in samples.items()},
        "files": {role: file_facts(path) for role, path in files.items()},
        "seed": seed,
        "versions": versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _sample(rows: Any, y: Any) -> dict[str, Any]:
    """Count rows and outcomes; hash what the model reads of them, and the outcomes."""
    digest = hashlib.sha256(np.ascontiguousarray(rows, "<f4").tobytes())
    digest.update(np.ascontiguousarray(y, "<i1").tobytes())
    n, n_bad = len(rows), int(np.sum(y))
    return {"n": n, "n_bad": n_bad, "bad_rate": n_bad / n, "sha256_of_rows": digest.hexdigest()}
