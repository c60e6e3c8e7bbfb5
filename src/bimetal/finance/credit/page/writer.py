"""A model as a web page that scores on the device: a folder to be served, or one file to be opened.

The scorer is the export of the Program, as WebAssembly where clang is here and as JavaScript always;
what explains it is ours (templates/). Nothing comes from anywhere else, and the page's policy allows
nothing else: no inline script, no eval, no other origin but the one that results may be sent to.
"""

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bimetal.errors import DataError
from bimetal.export import TARGETS, job_for
from bimetal.export import write as exported
from bimetal.export.clang import CLANG
from bimetal.export.wasm.build import LINKER
from bimetal.files import atomic_write
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page.bundle import bundled
from bimetal.finance.credit.page.facts import facts_of
from bimetal.finance.credit.page.icons import icon_png, icon_svg
from bimetal.finance.credit.page.settings import PageSettings

__all__ = ["ENGINES", "MODULES", "page_files", "single_page", "uses_wasm", "write_page"]

ENGINES = ("auto", "wasm", "js")
"""auto: WebAssembly with JavaScript behind it where clang is here, otherwise JavaScript alone."""

MODULES = (
    *("dom.js", "values.js", "explain.js", "counterfactual.js", "dial.js", "form.js", "result.js"),
    *("signing.js", "receipt.js", "scorers.js", "app.js"),
)
"""The page's modules; each imports only from those before it."""
_LINKS = """<link rel="manifest" href="manifest.webmanifest">
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="apple-touch-icon" href="icon-180.png">
<link rel="stylesheet" href="style.css">"""


def write_page(
    model: CreditModel,
    folder: str | os.PathLike[str],
    settings: PageSettings | None = None,
    engine: str = "auto",
) -> list[Path]:
    """Write the page into a folder, which is made if it is not there.

    Parameters
    ----------
    model : CreditModel
        A scorecard: points and rules, with references for reasons.
    folder : path-like
        What a server then serves over https. Files of these names are replaced, each at once; the
        page's own worker takes a new version only when all of its files have arrived.
    settings : PageSettings, optional
        Words, order of fields, where results may be sent.
    engine : {"auto", "wasm", "js"}
        What scores.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ExportError
        When the model has dense layers, or numbers too large for a page.
    MissingToolError
        When `engine` is "wasm" and clang or wasm-ld is not here.
    DataError
        When the settings do not fit the model, or the policy has no references.
    OSError
        When the folder cannot be written.
    """
    contents = page_files(model, settings, engine)
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with atomic_write(where / name) as file:
            file.write(content)
    return [where / name for name in contents]


def page_files(
    model: CreditModel, settings: PageSettings | None = None, engine: str = "auto"
) -> dict[str, bytes]:
    """Return the files of the page by name; ``headers.json`` holds what a server should send with them.

    Raises what `write_page` does.
    """
    settings = settings or PageSettings()
    has_wasm = uses_wasm(engine)
    content = facts_of(model, settings)
    policy = _policy(settings, has_wasm, "'self'", "'self'", "page")
    scripts = '<script type="module" src="app.js"></script>'
    pages = {
        "index.html": _index(settings, policy, content, _LINKS, scripts),
        "style.css": _template("style.css"),
        **{name: _template(name) for name in MODULES},
        "scorers.js": _engines(has_wasm, is_single=False),
        "manifest.webmanifest": _manifest(settings),
        "icon.svg": icon_svg(),
    }
    made = {name: text.encode() for name, text in pages.items()}
    made |= {f"icon-{size}.png": icon_png(size) for size in (180, 512)}
    made |= {"icon-192.png": icon_png(192, is_round=True)}
    made |= _scorers(model, has_wasm)
    made["sw.js"] = _worker(model, made).encode()
    return made | {"headers.json": _headers(policy)}


def single_page(
    model: CreditModel, settings: PageSettings | None = None, engine: str = "auto"
) -> bytes:
    """Return the page as one file that can be opened from a folder; nothing is installed or kept.

    Raises
    ------
    DataError
        When results are to be posted to a path, which a file has not; and what `write_page` raises.
    """
    settings = settings or PageSettings()
    if settings.verify_url.startswith("/"):
        raise DataError(
            f"a page of one file has no server, so verify_url must be an https address, got {settings.verify_url!r}"
        )
    has_wasm = uses_wasm(engine)
    modules = {name: _template(name) for name in MODULES}
    modules["scorers.js"] = _engines(has_wasm, is_single=True)
    codes = [*_scorer_scripts(model, has_wasm), bundled(modules)]
    style = _template("style.css")
    hashes = " ".join(_hash_of(code) for code in codes)
    policy = _policy(settings, has_wasm, hashes, _hash_of(style), "'none'")
    icon = base64.b64encode(icon_svg().encode()).decode()
    links = f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">\n<style>{style}</style>'
    kinds = ["text/javascript"] * (len(codes) - 1) + ["module"]
    scripts = "\n".join(
        f'<script type="{kind}">{code}</script>' for kind, code in zip(kinds, codes, strict=True)
    )
    text = _index(settings, policy, facts_of(model, settings), links, scripts)
    return text.replace('id="facts"', 'id="facts" data-single', 1).encode()


def uses_wasm(engine: str) -> bool:
    """Tell whether a page of an engine of `ENGINES` has WebAssembly, on this machine."""
    if engine not in ENGINES:
        raise DataError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    return engine == "wasm" or (
        engine == "auto" and all(tool.find() is not None for tool in (CLANG, LINKER))
    )


def _template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _index(
    settings: PageSettings, policy: str, content: Mapping[str, Any], links: str, scripts: str
) -> str:
    """Fill the page in one pass, so that no text is looked into for places of its own."""
    parts = {
        "policy": html.escape(policy),
        "title": html.escape(settings.title),
        "lender": html.escape(settings.lender),
        "links": links,
        "facts": _json_in_html(content),
        "scripts": scripts,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _template("index.html"))


def _json_in_html(content: Mapping[str, Any]) -> str:
    """Return JSON in which no tag can begin or end."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(settings: PageSettings, has_wasm: bool, scripts: str, styles: str, trusted: str) -> str:
    """Return the Content-Security-Policy: our own scripts and styles, and one address to post to."""
    is_single = styles != "'self'"
    wasm = " 'wasm-unsafe-eval'" if has_wasm else ""
    parts = urlsplit(settings.verify_url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.scheme else ""
    connect = " ".join(filter(None, ("" if is_single else "'self'", origin))) or "'none'"
    served = "" if is_single else "; manifest-src 'self'; worker-src 'self'"
    return (
        f"default-src 'none'; script-src {scripts}{wasm}; style-src {styles}; "
        f"img-src {'data:' if is_single else chr(39) + 'self' + chr(39)}; connect-src {connect}{served}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        f"trusted-types {trusted}"
    )


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _headers(policy: str) -> bytes:
    headers = {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return json.dumps(headers, indent=1).encode()


def _engines(has_wasm: bool, is_single: bool) -> str:
    if is_single:
        lines = [
            '["WebAssembly", () => globalThis.scorer_wasm.load()],',
            '["JavaScript", async () => globalThis.scorer],',
        ]
    else:
        lines = [
            '["WebAssembly", async () => (await import("./scorer_wasm.js")).load()],',
            '["JavaScript", async () => (await import("./scorer.js")).default],',
        ]
    text = "\n  ".join(lines if has_wasm else lines[1:])
    return _template("scorers.js").replace("/*ENGINES*/", text)


def _scorers(model: CreditModel, has_wasm: bool) -> dict[str, bytes]:
    """Return the exported Program as modules; a plain server knows ``.js`` better than ``.mjs``."""
    made = {"scorer.js": _exported(model, "js", "scorer", "module")[".mjs"]}
    if has_wasm:
        files_of = _exported(model, "wasm", "scorer_wasm", "module")
        made["scorer_wasm.js"] = files_of[".mjs"]
        made |= {f"scorer_wasm{end}": files_of[end] for end in (".wasm", "_simd.wasm")}
    return made


def _scorer_scripts(model: CreditModel, has_wasm: bool) -> list[str]:
    targets = [("js", "scorer"), *([("wasm", "scorer_wasm")] if has_wasm else [])]
    return [_exported(model, target, name, "script")[".js"].decode() for target, name in targets]


def _exported(model: CreditModel, target: str, name: str, form: str) -> dict[str, bytes]:
    chosen = TARGETS[target]
    return exported(chosen, job_for(model.program, chosen, name, name, {"form": form}))


def _manifest(settings: PageSettings) -> str:
    icons = [
        {"src": "icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"},
        {"src": "icon-192.png", "sizes": "192x192", "type": "image/png", "purpose": "any"},
        {"src": "icon-512.png", "sizes": "512x512", "type": "image/png", "purpose": "maskable"},
        {"src": "icon-512.png", "sizes": "512x512", "type": "image/png", "purpose": "any"},
    ]
    manifest = {
        "name": f"{settings.title} – {settings.lender}" if settings.lender else settings.title,
        "short_name": settings.title,
        "id": "./",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "lang": "en",
        "background_color": "#f2f5f8",
        "theme_color": "#12355b",
        "icons": icons,
    }
    return json.dumps(manifest, indent=1)


def _worker(model: CreditModel, made: Mapping[str, bytes]) -> str:
    """Return the service worker; its cache is named by the model's file and by the page's files."""
    digests = [[name, hashlib.sha256(content).hexdigest()] for name, content in made.items()]
    whole = hashlib.sha256(json.dumps(digests).encode()).hexdigest()
    text = _template("sw.js").replace("/*CACHE*/", f"{model.file_hash}-{whole[:16]}")
    return text.replace("/*FILES*/", json.dumps(digests))
