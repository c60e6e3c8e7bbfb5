"""The tables that ``bimetal credit ifrs9`` writes: term structures, and what is set aside for each account."""

from pathlib import Path
from typing import Any

import numpy as np

from bimetal.finance.credit.provision import Provision
from bimetal.tables import open_sink
from bimetal.tables.kinds import arrow

__all__ = ["write_accounts", "write_curves"]

BATCH = 20_000
"""Accounts written at once."""


def write_curves(out: Path, ids: Any, found: Provision) -> None:
    """Write a row an account and month; `ids` is a pyarrow column."""
    pa, months = arrow(), found.curve.n_months
    numbers = {
        "marginal_pd": found.curve.marginal,
        "cumulative_pd": found.curve.cumulative,
        "survival": found.curve.survival[:, 1:],
        "ead": found.ead,
    }
    fields = [("account", ids.type), ("month", pa.int32()), *((n, pa.float64()) for n in numbers)]
    schema = pa.schema(fields)
    with open_sink(out, schema) as write:
        for start in range(0, len(ids), BATCH):
            some = slice(start, min(start + BATCH, len(ids)))
            n = some.stop - start
            which = pa.array(np.repeat(np.arange(start, some.stop), months))
            columns = [
                ids.take(which).combine_chunks(),
                pa.array(np.tile(np.arange(1, months + 1, dtype=np.int32), n)),
                *(pa.array(values[some].ravel()) for values in numbers.values()),
            ]
            write(pa.record_batch(columns, schema=schema))


def write_accounts(out: Path, ids: Any, found: Provision) -> None:
    """Write a row an account; `ids` is a pyarrow column."""
    pa = arrow()
    made = pa.table(
        {
            "account": ids,
            "stage": found.stage,
            "pd_now": found.pd_now,
            "pd_origination": found.pd_origination,
            "pd_12_months": found.curve.within(12),
            "ead": found.allowance.ead,
            "allowance": found.allowance.amount,
        }
    )
    with open_sink(out, made.schema) as write:
        for batch in made.combine_chunks().to_batches():
            write(batch)
