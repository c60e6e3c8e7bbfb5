"""``bimetal credit ifrs9``: a monthly panel in, default term structures and expected credit losses out."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.credit.ifrs9_tables import write_accounts, write_curves
from bimetal.cli.looks import facts, table
from bimetal.cli.options import names_of, require_folder
from bimetal.errors import DataError
from bimetal.files import atomic_write
from bimetal.finance.credit.hazard import HazardModel
from bimetal.finance.credit.panel import Panel, numbers_of, read_panel
from bimetal.finance.credit.provision import Accounts, Provision, provision
from bimetal.finance.credit.scenarios import read_scenarios
from bimetal.finance.credit.staging import Sicr
from bimetal.tables import read_table

__all__ = ["ifrs9"]

Data = Annotated[Path, typer.Argument(help="CSV, Parquet or Arrow (Feather).", show_default=False)]
Id = Annotated[str, typer.Option("--id", help="Column: the account.", show_default=False)]
Age = Annotated[str, typer.Option(help="Column: months on book.", show_default=False)]
Default = Annotated[
    str, typer.Option(help="Column: 1 in the month of default.", show_default=False)
]
Lgd = Annotated[str, typer.Option(help="Share lost: a number or a column.", show_default=False)]
Ead = Annotated[str, typer.Option(help="Balance: a number or a column.", show_default=False)]
Rate = Annotated[
    str, typer.Option(help="Effective rate a year: a number or a column.", show_default=False)
]
Prepay = Annotated[str | None, typer.Option(help="Column: 1 in the month of early repayment.")]
Left = Annotated[str, typer.Option(help="Months to maturity: a number or a column.")]
Dpd = Annotated[str | None, typer.Option(help="Column: days past due.")]
Month = Annotated[
    str | None,
    typer.Option(help="Column: calendar month; accounts of the latest are reported."),
]
Columns = Annotated[
    list[str] | None, typer.Option(help="Covariates: rate,score. [default: all other columns]")
]
Categorical = Annotated[list[str] | None, typer.Option(help="Whole numbers that are codes.")]
Scenarios = Annotated[Path | None, typer.Option(help="JSON: names, probabilities, shifts.")]
Out = Annotated[Path, typer.Option("--out", help="Term structures, a row an account and month.")]
Ledger = Annotated[
    Path | None, typer.Option("--accounts", help="A row an account: stage, PDs, allowance.")
]
Summary = Annotated[Path | None, typer.Option(help="Summary as JSON. [default: --out with .json]")]


@answering
def ifrs9(
    panel: Data,
    id_: Id,
    age: Age,
    default: Default,
    lgd: Lgd,
    ead: Ead,
    rate: Rate,
    prepay: Prepay = None,
    months_left: Left = "60",
    dpd: Dpd = None,
    month: Month = None,
    columns: Columns = None,
    categorical: Categorical = None,
    scenarios: Scenarios = None,
    standard: Annotated[str, typer.Option(help="ifrs9 or cecl.")] = "ifrs9",
    amortise: Annotated[
        bool, typer.Option("--amortise", help="Equal instalments to maturity; else balances stay.")
    ] = False,
    sicr_ratio: Annotated[float, typer.Option(help="Stage 2 from so many times the PD.")] = 2.0,
    sicr_increase: Annotated[float, typer.Option(help="And so much more of it.")] = 0.005,
    n_knots: Annotated[int, typer.Option(help="Knots of the curve of age.")] = 6,
    out: Out = Path("term_structure.parquet"),
    accounts: Ledger = None,
    summary: Summary = None,
    as_json: AsJson = False,
) -> Answer:
    """Estimate default term structures and expected credit losses (IFRS 9, CECL)."""
    path = summary or out.with_suffix(".json")
    for target in filter(None, (out, accounts, path)):
        require_folder(target)
    if standard not in ("ifrs9", "cecl"):
        raise DataError(f"--standard is ifrs9 or cecl, got {standard!r}")
    cases = read_scenarios(scenarios) if scenarios else ()
    given = read_table(panel)
    spoken = (id_, age, default, prepay, lgd, ead, rate, months_left, dpd, month)
    chosen = names_of(columns) or tuple(n for n in given.column_names if n not in spoken)
    book = read_panel(
        given,
        id=id_,
        age=age,
        default=default,
        prepay=prepay,
        columns=chosen,
        categorical=names_of(categorical),
    )
    model = HazardModel(n_knots=n_knots).fit(book)
    rows, left_out = _reported(book, given, month)
    there = given.take(rows)
    today = Accounts(
        age=book.age[rows],
        today=book.rows[rows],
        origination=book.rows[book.first()[book.account[rows]]],
        lgd=_number(there, "lgd", lgd),
        ead=_number(there, "ead", ead),
        rate=_number(there, "rate", rate),
        months_left=_number(there, "months-left", months_left),
        days_past_due=0 if dpd is None else _number(there, "dpd", dpd),
        is_impaired=book.default[rows],
    )
    found = provision(
        model,
        today,
        scenarios=cases,
        rule=Sicr(sicr_ratio, sicr_increase),
        standard=standard,  # type: ignore[arg-type]
        is_amortising=amortise,
    )
    ids = there.column(id_)
    write_curves(out, ids, found)
    if accounts:
        write_accounts(accounts, ids, found)
    values = {
        "panel": {
            "rows": len(book.age),
            "accounts": len(book.ids),
            "defaults": int(book.default.sum()),
            "prepayments": int(book.prepay.sum()),
            "oldest_age": model.oldest_,
            "covariates": [column.name for column in book.columns],
        },
        "reported": {"accounts": len(rows), **left_out},
        "standard": standard,
        "months": found.curve.n_months,
        "months_beyond_the_oldest_age": _beyond(book, rows, found, model),
        "sicr": {"ratio": sicr_ratio, "increase": sicr_increase},
        "scenarios": [
            {"name": case.name, "probability": case.probability, "allowance": found.by_scenario[case.name]}
            for case in cases
        ],
        "stages": found.allowance.table(),
        "out": str(out),
        "accounts_out": None if accounts is None else str(accounts),
        "summary": str(path),
    }  # fmt: skip
    with atomic_write(path) as file:
        file.write((json.dumps(values, indent=2, allow_nan=False) + "\n").encode())
    return Answer(values, Group(*_shown(values)))


def _reported(
    book: Panel, given: Any, month: str | None
) -> tuple[NDArray[np.intp], dict[str, int]]:
    """Return the last row of each account that is there today, and how many are not."""
    last = book.last()
    is_here = ~book.prepay[last]
    if month is None:  # who defaulted may long be written off: only a calendar could tell
        is_here &= ~book.default[last]
    else:
        when = np.array(given.column(month).to_pylist(), object)
        if any(moment is None for moment in when):
            raise DataError(f"the month '{month}' is missing in some row; leave those rows out")
        is_here &= when[last] == max(when)
    if not is_here.any():
        raise DataError("no account is there today: all are repaid, in default, or older rows")
    gone = {
        "defaulted_left_out": int((book.default[last] & ~is_here).sum()),
        "repaid_left_out": int((book.prepay[last] & ~is_here).sum()),
    }
    other = int((~is_here).sum()) - sum(gone.values())
    return last[is_here], {**gone, "not_in_the_latest_month": other}


def _number(there: Any, option: str, text: str) -> float | NDArray[np.float64]:
    """Read an option that is a number, or the name of a column."""
    if text in there.column_names:
        values = numbers_of(there, text)
        if np.isnan(values).any():
            raise DataError(f"--{option}: column '{text}' is missing in some row of today")
        return values
    try:
        return float(text)
    except ValueError:
        raise DataError(
            f"--{option} is a number or a column; '{text}' is neither, the columns are "
            f"{', '.join(there.column_names)}"
        ) from None


def _beyond(book: Panel, rows: NDArray[np.intp], found: Provision, model: HazardModel) -> int:
    """Return how far, at most, curves reach beyond the ages of the panel."""
    counts = (found.curve.marginal > 0).sum(axis=1)
    return int(np.maximum(book.age[rows] + counts - model.oldest_, 0).max(initial=0))


def _shown(values: dict[str, Any]) -> list[Any]:
    read, there = values["panel"], values["reported"]
    head = facts(
        {
            "panel": f"{amount(read['rows'])} account-months, {amount(read['defaults'])} defaults, "
            f"{amount(read['prepayments'])} prepayments",
            "reported": f"{amount(there['accounts'])} accounts, {values['months']} months, "
            f"up to {values['months_beyond_the_oldest_age']} beyond the oldest age seen",
            "written": f"{values['out']}, {values['summary']}",
        }
    )
    body = table("stage", ">accounts", ">exposure", ">allowance", ">coverage")
    for row in values["stages"]:
        share = "" if row["coverage"] is None else f"{row['coverage']:.2%}"
        body.add_row(
            row["stage"], amount(row["n"]), f"{row['ead']:,.0f}", f"{row['allowance']:,.0f}", share
        )
    if not values["scenarios"]:
        return [head, body]
    cases = table("scenario", ">probability", ">allowance if certain")
    for case in values["scenarios"]:
        cases.add_row(case["name"], f"{case['probability']:.0%}", f"{case['allowance']:,.0f}")
    return [head, body, cases]
