"""Starting a keeper of the log, starting it anew when it ends, and ending it."""

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from bimetal.service.log.record import LogUnavailable

__all__ = ["HAS_KEEPERS", "keeping"]

HAS_KEEPERS = sys.platform != "win32"
"""Whether this system has the sockets and pipes that keepers need; elsewhere a thread writes."""
_AGAIN_SECONDS = 1.0
_END_SECONDS = 30.0
_MOST_OF_A_PATH = 100
"""Bytes that every Unix takes as the path of a socket."""
logger = logging.getLogger("bimetal.service")


@contextlib.contextmanager
def keeping(url: str) -> Iterator[str]:
    """Have a keeper of a log while the block runs; yield the path of its socket.

    Parameters
    ----------
    url : str
        See `open_log`; the log is there.

    Raises
    ------
    LogUnavailable
        When the keeper cannot begin.
    """
    folder = tempfile.mkdtemp(prefix="bimetal-log-")
    if len(os.fsencode(folder)) > _MOST_OF_A_PATH - len("/keeper"):
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="bimetal-log-", dir="/tmp")
    try:
        supervisor = _Supervisor(url, f"{folder}/keeper")
        try:
            yield supervisor.address
        finally:
            supervisor.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Supervisor:
    """Starts a keeper, and another when it ends."""

    def __init__(self, url: str, address: str) -> None:
        self.address = address
        # On its standard input: a command can be seen by others, and the address may hold a password.
        self._order = json.dumps({"url": url, "address": address}) + "\n"
        self._starting, self._is_stopping = threading.Lock(), threading.Event()
        self._process = self._started()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the keeper write what came, and wait for its end."""
        with self._starting:
            self._is_stopping.set()
            _close(self._process)
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():  # a disk that does not answer, say
            self._process.kill()
            self._thread.join()

    def _started(self) -> "subprocess.Popen[str]":
        with contextlib.suppress(FileNotFoundError):
            Path(self.address).unlink()  # of one that was killed
        command = [sys.executable, "-P", "-m", "bimetal.service.log.keeper"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self._order)
            process.stdin.flush()
        with process.stdout:
            if process.stdout.readline():
                return process
        process.wait()
        _close(process)
        raise LogUnavailable("the process that writes the decision log could not begin")

    def _watch(self) -> None:
        while True:
            status = self._process.wait()
            if self._is_stopping.is_set():
                return
            logger.error("the process that writes the decision log ended (%d)", status)
            while not self._has_begun_again():
                if self._is_stopping.wait(_AGAIN_SECONDS):
                    return

    def _has_begun_again(self) -> bool:
        with self._starting:
            if self._is_stopping.is_set():
                return False
            _close(self._process)
            try:
                self._process = self._started()
            except (LogUnavailable, OSError) as error:
                logger.error("%s", error)
                return False
        logger.warning("another process writes the decision log now")
        return True


def _close(process: "subprocess.Popen[str]") -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it has ended already
            process.stdin.close()
