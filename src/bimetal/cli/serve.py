"""``bimetal serve``: a folder of models behind HTTP, every decision logged before it is answered."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bimetal.cli.answer import Answer, AsJson, answering, say
from bimetal.cli.options import names_of
from bimetal.errors import DataError

__all__ = ["serve"]

Models = Annotated[
    Path, typer.Argument(help="A folder of .bimetal files; new ones are seen.", show_default=False)
]
Keys = Annotated[Path, typer.Option(help="The file of API keys: see `bimetal keys`.")]
Log = Annotated[
    str | None,
    typer.Option(
        help="Of decisions: a file, sqlite:///…, postgresql+psycopg://… "
        "[default: $BIMETAL_LOG or decisions.db]"
    ),
]
Shadow = Annotated[
    list[str] | None, typer.Option(help="cards=challenger: scored and logged, never answered.")
]
Proxy = Annotated[
    bool, typer.Option("--behind-proxy", help="Plain HTTP beyond this machine: TLS ends elsewhere.")
]
NoKeys = Annotated[
    bool, typer.Option("--no-keys", help="Ask for no key; on this machine only, to try things out.")
]


@answering
def serve(
    models: Models,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8000,
    keys: Keys = Path("keys.db"),
    no_keys: NoKeys = False,
    log: Log = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM; TLS 1.2 or newer.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM.")] = None,
    behind_proxy: Proxy = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    shadow: Shadow = None,
    rate: Annotated[float, typer.Option(help="Requests a second of one key; 0: any.")] = 1_000,
    concurrency: Annotated[int, typer.Option(help="Requests at once, a process.")] = 256,
    batch_rows: Annotated[int, typer.Option(help="Applications in a batch, at most.")] = 10_000,
    deadline: Annotated[float, typer.Option(help="Seconds to answer in.")] = 15,
    public_metrics: Annotated[bool, typer.Option(help="/metrics without a key.")] = False,
    access_log: Annotated[bool, typer.Option(help="A line a request, without data.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Serve models over HTTP: scores, decisions, reasons; see docs/service.md."""
    from bimetal.service.limits import Limits
    from bimetal.service.server import Config
    from bimetal.service.server import serve as run
    from bimetal.service.service import Settings

    _require_safe(host, tls_cert, tls_key, behind_proxy, no_keys)
    limits = Limits(
        requests_per_second=rate,
        burst=max(1.0, 2 * rate),
        concurrency=concurrency,
        batch_rows=batch_rows,
        deadline_seconds=deadline,
    )
    settings = Settings(
        folder=str(models),
        keys=None if no_keys else str(keys),
        log=log or os.environ.get("BIMETAL_LOG") or "decisions.db",
        shadows=_pairs(names_of(shadow)),
        has_public_metrics=public_metrics,
        has_access_log=access_log,
        limits=limits,
    )
    config = Config(
        settings, host=host, port=port, workers=workers, certificate=tls_cert, key=tls_key
    )
    scheme = "http" if tls_cert is None else "https"
    run(
        config,
        told=lambda at: say(f"serving '{models}' on {scheme}://{host}:{at}; stop with Ctrl+C"),
    )
    return Answer({"stopped": True}, "stopped; what was asked before was answered")


def _require_safe(
    host: str, cert: Path | None, key: Path | None, behind_proxy: bool, no_keys: bool
) -> None:
    if (cert is None) != (key is None):
        raise DataError("--tls-cert and --tls-key come together")
    if _is_here(host):
        return
    if no_keys:
        raise DataError(f"--no-keys serves this machine only, not '{host}'; make keys instead")
    if cert is None and not behind_proxy:
        raise DataError(
            f"'{host}' can be reached from elsewhere: give --tls-cert and --tls-key, "
            "or --behind-proxy where TLS ends before this service"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pairs(given: Any) -> dict[str, tuple[str, ...]]:
    pairs: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, mark, other = text.partition("=")
        if not (mark and name and other):
            raise DataError(f"--shadow MODEL=OTHER expected, got '{text}'")
        pairs[name] = (*pairs.get(name, ()), other)
    return pairs
