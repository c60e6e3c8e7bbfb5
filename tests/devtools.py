"""A headless Chromium held by its DevTools pipe: NUL-ended JSON on two file descriptors, no package needed.

It opens pages at a size, in light or dark, types and clicks as a person does, goes offline, and takes
pictures. Documentation of the messages: chromedevtools.github.io/devtools-protocol.
"""

import base64
import functools
import http.server
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bimetal.export.js.browser import CHROMIUM, FLAGS

TIMEOUT = 30.0
SIZES = {"phone": (390, 844), "tablet": (820, 1180)}


class Browser:
    """A Chromium and one page in it."""

    def __init__(self, folder: Path) -> None:
        ours, theirs_out = os.pipe()
        theirs_in, self._out = os.pipe()
        self._in = ours
        words = [
            str(CHROMIUM.find()),
            *FLAGS,
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
        ]
        # Chromium reads from descriptor 3 and writes to 4.
        shell = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "-", *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer, self._number, self.events = b"", 0, list[dict[str, Any]]()
        self._session: str | None = None
        self.new_page()

    def new_page(self) -> None:
        """Open a page that shares nothing with those before: no workers, no stores, no complaints."""
        context = self.tell("Target.createBrowserContext", session=None)["browserContextId"]
        target = self.tell(
            "Target.createTarget", url="about:blank", browserContextId=context, session=None
        )["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True, session=None)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.tell(f"{domain}.enable")

    def close(self) -> None:
        """End it and its children."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def tell(self, method: str, session: str | None = "", **params: Any) -> Any:
        """Send a message and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise TimeoutError("Chromium did not answer")
            data = os.read(self._in, 2**16)
            if not data:
                raise RuntimeError("Chromium ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def look(self, size: str = "phone", scheme: str = "light") -> None:
        """Take the size of a device and a colour scheme; motion is reduced, so that pictures stand still."""
        width, height = SIZES[size]
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2, mobile=True,
        )  # fmt: skip
        features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]
        self.tell(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features],
        )

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page says that it is ready or has trouble."""
        self.tell("Page.navigate", url=url)
        self.wait(
            "document.documentElement.dataset.ready || !document.querySelector('#trouble').hidden"
        )

    def run(self, code: str) -> Any:
        """Return what an expression comes to; promises are waited for."""
        found = self.tell(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True
        )  # fmt: skip
        if "exceptionDetails" in found:
            raise RuntimeError(f"{code}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, code: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                if self.run(f"Boolean({code})"):
                    return
            except RuntimeError:  # the page is on its way to another
                pass
            time.sleep(0.02)
        raise TimeoutError(f"never came true: {code}")

    def press(self, key: str, **modifiers: int) -> None:
        """Press a key: Tab, Enter, ArrowDown or the space."""
        codes = {"Tab": (9, None), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, None)}
        code, text = codes.get(key, (0, None))
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code, **modifiers}
        self.tell(
            "Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {})
        )
        self.tell("Input.dispatchKeyEvent", type="keyUp", **given)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.tell("Input.insertText", text=text)

    def offline(self, is_offline: bool) -> None:
        """Cut the network, or mend it."""
        self.tell(
            "Network.emulateNetworkConditions",
            offline=is_offline, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip

    def complaints(self) -> list[str]:
        """Return what the browser had to say: exceptions, errors, violated policies."""
        found = []
        for event in self.events:
            if event.get("sessionId") != self._session:
                continue
            params = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"].get("exception", params)))
            if event.get("method") == "Log.entryAdded" and params["entry"]["level"] in (
                "error",
                "warning",
            ):
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            if event.get("method") == "Audits.issueAdded":
                found.append(json.dumps(params["issue"]))
        return found

    def picture(self, path: Path, whole: bool = True) -> None:
        """Take a picture of the page, all of its height."""
        size = self.tell("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        given = {"clip": clip, "captureBeyondViewport": True} if whole else {}
        data = self.tell("Page.captureScreenshot", format="png", **given)["data"]
        path.write_bytes(base64.b64decode(data))


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with the headers that stand in its ``headers.json``, and keeps what is posted."""

    def __init__(self, *args: Any, said: list[bytes], directory: Path) -> None:
        self.said = said
        super().__init__(*args, directory=str(directory))

    def end_headers(self) -> None:
        headers = Path(self.directory) / "headers.json"
        for name, value in json.loads(headers.read_text()).items() if headers.exists() else ():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def do_POST(self) -> None:  # the name that http.server calls
        self.said.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Serve a folder on this machine alone; give the address, and what is posted there."""
    said: list[bytes] = []
    handler = functools.partial(_Handler, said=said, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", said
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a Chromium that keeps its files in `folder`."""
    held = Browser(folder)
    try:
        yield held
    finally:
        held.close()
