"""``bimetal audit verify | head | replay | show | export | erase``: what a decision log holds, and whether it holds."""

import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering, narrated
from bimetal.cli.looks import facts, table
from bimetal.cli.options import require_folder
from bimetal.errors import DataError
from bimetal.service.log import ChainedLog, Entry, Erasure, open_log
from bimetal.service.log.group import stamp
from bimetal.service.log.verifying import Anchor, Verdict

__all__ = ["anchors_of", "audit", "moment_of"]

audit = typer.Typer(
    name="audit",
    help="The decision log: is it whole, and does each decision come out again?",
    no_args_is_help=True,
)

Log = Annotated[
    str,
    typer.Argument(
        envvar="BIMETAL_LOG",
        help="A file, or postgresql+psycopg://user@host/database.",
        show_default=False,
    ),
]
Anchors = Annotated[
    list[str] | None,
    typer.Option("--anchor", help="A file of heads, or SEQUENCE:HASH; may be repeated."),
]
Request = Annotated[str | None, typer.Option(help="One request id.", show_default=False)]
From = Annotated[
    str | None, typer.Option("--from", help="2026-11-01 or 2026-11-01T09:30+01:00; UTC if no zone.")
]
To = Annotated[str | None, typer.Option("--to", help="Up to, not with, that moment.")]
Models = Annotated[
    Path | None, typer.Option(help="A folder with .bimetal files that the log does not hold.")
]
SHOWN = 20


@audit.command("verify")
@answering
def verify(log: Log, anchor: Anchors = None, as_json: AsJson = False) -> Answer:
    """Compute every hash again; exit code 1 if the chain does not hold."""
    from bimetal.service.log import verifying

    anchors = anchors_of(anchor or [])
    with closing(_opened(log)) as opened, narrated(not as_json) as progress:
        verdict = verifying.verify(
            opened, anchors, lambda n: progress(f"{amount(n)} entries verified")
        )
    values = {"log": _named(log), "is_sound": verdict.is_sound, **asdict(verdict)}
    return Answer(values, _verdict(verdict, len(anchors)), 0 if verdict.is_sound else 1)


@audit.command("head")
@answering
def head(
    log: Log,
    anchor: Annotated[
        Path | None,
        typer.Option(help="A file to append it to, kept where the log's writers cannot."),
    ] = None,
    as_json: AsJson = False,
) -> Answer:
    """Print the sequence and hash of the last entry, to be written down elsewhere."""
    with closing(_opened(log)) as opened:
        sequence, hash = opened.head()
    values = {"sequence": sequence, "hash": hash, "at": stamp(datetime.now(UTC))}
    if anchor is not None:
        with anchor.open("a") as file:
            file.write(json.dumps(values) + "\n")
    return Answer(values, f"{sequence}:{hash}")


@audit.command("replay")
@answering
def replay(
    log: Log,
    request: Request = None,
    since: From = None,
    until: To = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Every decision.")] = False,
    sample: Annotated[
        int | None, typer.Option(help="So many entries, drawn at random.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    models: Models = None,
    as_json: AsJson = False,
) -> Answer:
    """Make decisions again from archived model and recorded row; exit code 1 if a bit differs."""
    from bimetal.service.audit import models_in
    from bimetal.service.audit import replay as replayed

    if sum([request is not None, bool(since or until), all_of_them, sample is not None]) != 1:
        raise DataError("say which decisions: one of --request, --from/--to, --all or --sample")
    others = models_in(models) if models else {}
    with closing(_opened(log)) as opened, narrated(not as_json) as progress:
        if request is not None:
            entries: Iterator[Entry] = iter(_known(opened, request))
        elif sample is not None:
            entries = _drawn(opened, sample, seed)
        else:
            entries = opened.entries(*_range(opened, since, until))
        found = replayed(opened, entries, others, lambda n: progress(f"{amount(n)} decisions"))
    values = {"log": _named(log), "is_same": not found.differences, **asdict(found)}
    values |= {"seed": seed} if sample is not None else {}
    return Answer(values, _replayed(values), 1 if found.differences else 0)


@audit.command("show")
@answering
def show(log: Log, request: Annotated[str, typer.Argument()], as_json: AsJson = False) -> Answer:
    """Show what the log holds of a request."""
    with closing(_opened(log)) as opened:
        entries = [_shown(opened, entry) for entry in _known(opened, request)]
    pages = [facts({k: v for k, v in entry.items() if v is not None}) for entry in entries]
    return Answer({"entries": entries}, Group(*pages))


@audit.command("export")
@answering
def export(
    log: Log,
    out: Annotated[Path, typer.Option("--out", help=".parquet, .csv, .arrow or .jsonl.")],
    since: From = None,
    until: To = None,
    models: Models = None,
    as_json: AsJson = False,
) -> Answer:
    """Write decisions to a file, rows with the names of their columns and categories."""
    from bimetal.service.audit import models_in
    from bimetal.service.log import export as exporting

    require_folder(out)
    others = models_in(models) if models else {}
    with closing(_opened(log)) as opened, narrated(not as_json) as progress:
        start, stop = _range(opened, since, until)
        n = exporting.export(
            opened, out, start, stop, others, lambda n: progress(f"{amount(n)} decisions")
        )
    values = {"log": _named(log), "out": str(out), "n_decisions": n}
    return Answer(values, facts({"written": f"{amount(n)} decisions", "into": out}))


@audit.command("erase")
@answering
def erase(
    log: Log,
    request: Annotated[str, typer.Option(help="Whose row, reasons and warnings go.")],
    reason: Annotated[str, typer.Option(help="The legal ground; no personal data.")],
    who: Annotated[str | None, typer.Option(help="Who ordered it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: it cannot be undone.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Remove the personal part of a request for good; the chain stays verifiable and says so."""
    with closing(open_log(log, creates=False)) as opened:
        known = _known(opened, request)
        if not yes:
            numbers = [entry.sequence for entry in known]
            return Answer(
                {"request_id": request, "would_erase": numbers, "erased": []},
                f"entries {numbers} have personal parts; nothing is erased without --yes",
            )
        entry = opened.erase(request, reason, who)
    assert isinstance(entry.record, Erasure)
    erased = list(entry.record.erased)
    values = {"request_id": request, "erased": erased, "sequence": entry.sequence}
    shown = {"erased": erased, "says so": f"entry {entry.sequence}", "reason": reason}
    return Answer(values, facts(shown))


def anchors_of(given: list[str]) -> list[Anchor]:
    """Read anchors: ``SEQUENCE:HASH``, or files that `bimetal audit head --anchor` wrote.

    Raises
    ------
    DataError
        When something is neither.

    Examples
    --------
    >>> anchors_of(["3:" + "ab" * 32])[0].sequence
    3
    """
    found = []
    for text in given:
        sequence, _, hash = text.partition(":")
        if sequence.isdecimal() and len(hash) == 64:
            found.append(Anchor(int(sequence), hash))
        else:
            found += _anchors_in(Path(text))
    return [anchor for anchor in found if anchor.sequence > 0]


def _anchors_in(path: Path) -> list[Anchor]:
    if not path.is_file():
        raise DataError(f"--anchor is SEQUENCE:HASH or a file of heads, got '{path}'")
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line]
        return [Anchor(int(line["sequence"]), str(line["hash"])) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is no file of heads ({error})") from None


def moment_of(text: str) -> str:
    """Read a moment, as entries have it.

    Raises
    ------
    DataError
        When it is none.

    Examples
    --------
    >>> moment_of("2026-11-28")
    '2026-11-28T00:00:00.000000+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"a moment is 2026-11-01 or 2026-11-01T09:30+01:00, got {text!r}") from None
    return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _opened(log: str) -> ChainedLog:
    return open_log(log, creates=False, is_read_only=True)


def _named(log: str) -> str:
    """Return the address of a log without its password."""
    scheme, mark, rest = log.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _range(log: ChainedLog, since: str | None, until: str | None) -> tuple[int, int | None]:
    start = log.since(moment_of(since)) if since else 1
    return start, (log.since(moment_of(until)) if until else None)


def _drawn(log: ChainedLog, n: int, seed: int) -> Iterator[Entry]:
    last = log.head()[0]
    for sequence in sorted(random.Random(seed).sample(range(1, last + 1), min(n, last))):
        yield from log.entries(sequence, sequence + 1)


def _known(log: ChainedLog, request: str) -> list[Entry]:
    found = log.find(request)
    if not found:
        raise DataError(f"the log has no request '{request}'")
    return found


def _shown(log: ChainedLog, entry: Entry) -> dict[str, Any]:
    from bimetal.format import loads
    from bimetal.service.log.export import described

    if isinstance(entry.record, Erasure):
        return {"sequence": entry.sequence, "time": entry.time, **entry.record.values}
    return described(entry, loads(log.model(entry.record.file_hash)))


def _verdict(verdict: Verdict, n_anchors: int) -> Any:
    shown = {
        "verdict": "whole" if verdict.is_sound else "NOT whole",
        "entries": amount(verdict.n_entries),
        "erased": amount(verdict.n_erased),
        "late clocks": amount(verdict.n_late_clocks),
        "anchors": f"{verdict.n_anchors} of {n_anchors} found"
        if n_anchors
        else "none given: entries cut off at the end would not be noticed",
        "head": f"{verdict.sequence}:{verdict.hash}",
    }
    first = verdict.problems[:SHOWN]
    return Group(facts(shown), *(facts({problem.kind: problem.message}) for problem in first))


def _replayed(values: dict[str, Any]) -> Any:
    differences = values["differences"]
    shown = {
        "decisions": amount(values["n_decisions"]),
        "the same, bit for bit": amount(values["n_same"]),
        "erased": amount(values["n_erased"]),
        "without reasons": amount(values["n_unexplained"]),
        "differences": amount(len(differences)),
    }
    listed = table(">entry", "request", "what", "says", "recorded", "computed")
    for difference in differences[:SHOWN]:
        listed.add_row(*(escape(str(difference[name])) for name in
                         ("sequence", "request_id", "what", "by", "recorded", "computed")))  # fmt: skip
    return Group(facts(shown), *([listed] if differences else []))
