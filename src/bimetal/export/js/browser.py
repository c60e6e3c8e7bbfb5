"""A headless Chromium without any package: it opens a page that tells a small server what came of it.

The page waits for its own promises and workers in real time, says one text, and the browser is ended.
"""

import functools
import http.server
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bimetal.errors import ExportError
from bimetal.export.js.face import template
from bimetal.export.tools import command

__all__ = ["CHROMIUM", "page_text", "said_at", "said_by", "serving"]

CHROMIUM = command("chromium", "apt-get install chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update"),
)
TIMEOUT = 180


class _Said:
    """What a page said, once it said it."""

    def __init__(self) -> None:
        self.text = ""
        self.is_there = threading.Event()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what is posted to /said."""

    def __init__(self, *args: Any, said: _Said, directory: Path) -> None:
        self.said = said
        super().__init__(*args, directory=str(directory))

    def do_POST(self) -> None:  # the name that http.server calls
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        if not self.said.is_there.is_set():
            self.said.text = body.decode()
            self.said.is_there.set()

    def log_message(self, *args: object) -> None:
        pass


def page_text(scripts: Sequence[tuple[str, str]], policy: str) -> str:
    """Return a page of (type, text) scripts with a policy; in them say(text) ends the visit."""
    tags = (
        f'<script type="{kind or "text/javascript"}">\n{text}\n</script>' for kind, text in scripts
    )
    page = template("page.html").replace("/*POLICY*/", policy)
    return page.replace("/*SCRIPTS*/", "\n".join(tags))


def said_by(page: str, folder: Path) -> str:
    """Return what a page says that is served from a folder, as ``page.html`` beside its files.

    Raises
    ------
    ExportError
        When it says nothing, or Chromium does not start.
    """
    (folder / "page.html").write_text(page, encoding="utf-8")
    with serving(folder) as (address, said):
        return said_at(f"{address}/page.html", folder, said)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, _Said]]:
    """Serve a folder on this machine alone; give the address, and what is said to it."""
    said = _Said()
    handler = functools.partial(_Handler, said=said, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", said
        finally:
            server.shutdown()
            thread.join()


def said_at(url: str, folder: Path, said: _Said) -> str:
    """Open an address in Chromium, which keeps its own files in `folder`, until something is said."""
    words = [str(CHROMIUM.find()), *FLAGS, f"--user-data-dir={folder / 'profile'}", url]
    with (folder / "chromium.txt").open("wb") as log:
        browser = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(browser, said)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
    if not said.is_there.is_set():
        end = (folder / "chromium.txt").read_text(errors="replace").strip()[-1000:]
        raise ExportError(f"the page said nothing to within {TIMEOUT} seconds; Chromium: {end}")
    return said.text


def _wait(browser: "subprocess.Popen[bytes]", said: _Said) -> None:
    for _ in range(TIMEOUT * 10):
        if said.is_there.wait(0.1) or browser.poll() is not None:
            return
