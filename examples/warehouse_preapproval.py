"""Pre-approval inside the warehouse: the model is one SELECT, so no application leaves the database.

Data that may not be copied out of a warehouse can be scored where it lies. The model becomes one SQL
statement; the scores it gives are those of the engine, bit for bit.

    python examples/warehouse_preapproval.py
"""

import argparse
from pathlib import Path

import numpy as np
from _story import proved, tell

import bimetal
from bimetal import export
from bimetal.datasets import load_or_simulate
from bimetal.errors import MissingToolError
from bimetal.export.tools import package, require


def main() -> None:
    """Train, write the statement, run it beside the table, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=500, help="to run in each database")
    parser.add_argument("--out", type=Path, default=Path("runs/warehouse"))
    given = parser.parse_args()

    data = load_or_simulate("german_credit", offline=True)
    model = bimetal.BinaryClassifier(n_members=2, max_rules=60, random_state=0).fit(
        data.X[:700], data.y[:700]
    )
    program = model.program_
    given.out.mkdir(parents=True, exist_ok=True)
    [written] = export.export(
        program, given.out / "preapproval.sql", dialect="duckdb", table="applications"
    )
    tell("Written", statement=f"{written} ({written.stat().st_size:,} bytes)")
    tell("In DuckDB", **score_in_duckdb(model, data.X[700:], written.read_text()))
    tell(
        "Proved",
        duckdb=proved(program, "duckdb", given.vectors),
        postgresql=proved(program, "postgresql", given.vectors),
        sqlite=proved(program, "sqlite", given.vectors),
    )


def score_in_duckdb(
    model: bimetal.BinaryClassifier, X: object, statement: str
) -> dict[str, object]:
    """Put the applications into a database, run the statement there, and compare with the engine."""
    try:
        require([package("duckdb", "pip install duckdb")], "scoring in DuckDB")
    except MissingToolError as error:
        return {"not run here": error}
    import duckdb

    with duckdb.connect() as warehouse:
        warehouse.register("applications", X)
        scores = warehouse.execute(statement).fetchnumpy()
    answer = next(name for name in scores if name.startswith(("answer", "probability")))
    there = np.stack([scores[name] for name in scores if name.startswith(answer.split("_")[0])], 1)
    here = model.predict_proba(X)
    equal = (there.astype(np.float32) == here.astype(np.float32)).all()
    return {"applications": len(here), "columns": ", ".join(scores), "equal to the engine": equal}


if __name__ == "__main__":
    main()
