"""``bimetal keys create | list | rotate | revoke``: API keys of ``bimetal serve``."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts, table
from bimetal.cli.options import names_of

__all__ = ["keys"]

keys = typer.Typer(
    name="keys",
    help="API keys of `bimetal serve`: make, list, rotate, revoke.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Option("--keys", help="The file of keys; made with mode 0600.")]
Number = Annotated[str, typer.Argument(help="As `keys list` shows it.", show_default=False)]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="score, batch, audit, admin.")]
Days = Annotated[float | None, typer.Option(help="Until it expires. [default: never]")]
ONCE = "shown once: only a hash of it is kept"


@keys.command()
@answering
def create(
    name: Annotated[str, typer.Argument(help="Whose it is.", show_default=False)],
    scope: Scopes = None,
    days: Days = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    file: File = Path("keys.db"),
    as_json: AsJson = False,
) -> Answer:
    """Make a key. It is shown once."""
    from bimetal.service.keys import KeyFile

    made = KeyFile(file).create(name, names_of(scope) or ("score",), days=days, rate=rate)
    return _made(*made)


@keys.command(name="list")
@answering
def list_(file: File = Path("keys.db"), as_json: AsJson = False) -> Answer:
    """List keys: whose, for what, until when. Never the keys themselves."""
    from bimetal.service.keys import KeyFile

    lines = [_values(key) for key in KeyFile(file).entries()]
    shown = table("id", "name", "scopes", "state", "created", "expires")
    for line in lines:
        cells = (line["id"], line["name"], " ".join(line["scopes"]), line["state"],
                 line["created"], line["expires"] or "never")  # fmt: skip
        shown.add_row(*map(escape, cells))
    return Answer({"keys": lines}, shown)


@keys.command()
@answering
def rotate(
    number: Number,
    overlap_hours: Annotated[float, typer.Option(min=0, help="The old one works on.")] = 24,
    days: Days = None,
    file: File = Path("keys.db"),
    as_json: AsJson = False,
) -> Answer:
    """Make a key's successor; for a while both are good."""
    from bimetal.service.keys import KeyFile

    return _made(*KeyFile(file).rotate(number, overlap_hours=overlap_hours, days=days))


@keys.command()
@answering
def revoke(number: Number, file: File = Path("keys.db"), as_json: AsJson = False) -> Answer:
    """End a key now; running services see it within two seconds."""
    from bimetal.service.keys import KeyFile

    values = _values(KeyFile(file).revoke(number))
    return Answer(values, facts(values))


def _made(key: Any, token: str) -> Answer:
    values = _values(key) | {"key": token}
    shown = {"key": token, "": ONCE, "id": key.id, "scopes": " ".join(sorted(key.scopes))}
    return Answer(values, facts(shown))


def _values(key: Any) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "state": key.state(time.time()),
        "created": _day(key.created),
        "expires": _day(key.expires),
        "revoked": _day(key.revoked),
        "rate": key.rate,
        "replaces": key.replaces,
    }


def _day(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
