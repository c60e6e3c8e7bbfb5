"""``bimetal credit page | verify``: a page that scores on the device, and what came back from one."""

from pathlib import Path
from typing import Annotated

import typer

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts
from bimetal.cli.options import require_folder
from bimetal.errors import DataError
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page.verify import MAX_AGE_S, verify_result

__all__ = ["page", "verify"]

Model = Annotated[Path, typer.Argument(help="A credit model (.bimetal).", show_default=False)]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="A folder; with --single-file a file.", show_default=False),
]
Settings = Annotated[
    Path | None, typer.Option(help="JSON: title, lender, labels, hints, units, sections, …")
]
Url = Annotated[
    str, typer.Option("--verify-url", help="Where a result may be sent: /v1/models/NAME/verify")
]
EngineOption = Annotated[str, typer.Option(help="auto, wasm or js.")]
Single = Annotated[
    bool, typer.Option("--single-file", help="One file to open from a folder; not installable.")
]
Result = Annotated[Path, typer.Argument(help="A signed result (JSON).", show_default=False)]
KnownKey = Annotated[
    list[str] | None, typer.Option("--known-key", help="Thumbprint of an enrolled device.")
]
MaxAge = Annotated[float, typer.Option(min=0, help="Seconds after which a result is too old.")]
LARGEST = 2**20


@answering
def page(
    model: Model,
    out: Out,
    settings: Settings = None,
    verify_url: Url = "",
    engine: EngineOption = "auto",
    single_file: Single = False,
    as_json: AsJson = False,
) -> Answer:
    """Write a web page that scores on the device, offline: form, score, reasons, signed result."""
    from dataclasses import replace

    from bimetal.files import atomic_write
    from bimetal.finance.credit.page.settings import PageSettings
    from bimetal.finance.credit.page.writer import single_page, uses_wasm, write_page

    credit = CreditModel.load(model)
    words = PageSettings.read(settings) if settings else PageSettings()
    words = replace(words, verify_url=verify_url) if verify_url else words
    if single_file:
        require_folder(out)
        content = single_page(credit, words, engine)
        with atomic_write(out) as file:
            file.write(content)
        written = [out]
    else:
        written = write_page(credit, out, words, engine)
    has_wasm = uses_wasm(engine)
    values = {
        "model": str(model),
        "file_hash": credit.file_hash,
        "out": str(out),
        "engine": "wasm" if has_wasm else "js",
        "files": [{"file": str(path), "bytes": path.stat().st_size} for path in written],
    }
    n_bytes = sum(path.stat().st_size for path in written)
    shown = {
        "page": f"{out}, {len(written)} files, {amount(n_bytes)} bytes",
        "scores with": "WebAssembly, and JavaScript where a device has none"
        if has_wasm
        else "JavaScript",
        "model": credit.file_hash,
        "next": f"open {out}"
        if single_file
        else "serve the folder over https, with the headers in headers.json",
    }
    return Answer(values, facts(shown))


@answering
def verify(
    model: Model,
    result: Result,
    known_key: KnownKey = None,
    max_age_s: MaxAge = MAX_AGE_S,
    as_json: AsJson = False,
) -> Answer:
    """Recompute a signed result of the page; it does not prove that the answers were true."""
    if result.stat().st_size > LARGEST:
        raise DataError(f"'{result}': a signed result of at most {LARGEST} bytes expected")
    credit = CreditModel.load(model)
    found = verify_result(
        credit, result.read_bytes(), known_keys=tuple(known_key or ()), max_age_s=max_age_s
    )
    values = {
        "points": found.points,
        "score": found.score,
        "probability": found.probability,
        "decision": found.decision,
        "device_key_thumbprint": found.device_key_thumbprint,
        "is_known_device": found.is_known_device,
        "time": found.time.isoformat(),
        "nonce": found.nonce,
        "values": found.values,
    }
    shown = {
        "recomputed": f"score {found.score:g}, {found.decision}, probability of default {found.probability:.4f}",
        "device": found.device_key_thumbprint
        + ("" if found.is_known_device else " (not among --known-key)"),
        "time": f"{found.time:%Y-%m-%d %H:%M:%S} UTC, by the device",
        "not proved": "that the answers behind the bits are true",
    }
    return Answer(values, facts(shown))
