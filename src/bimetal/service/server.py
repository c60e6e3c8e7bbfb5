"""uvicorn around the service: TLS, limits, workers, and a quiet log."""

import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bimetal.errors import DataError, MissingExtraError
from bimetal.service.gate import Gate
from bimetal.service.limits import Limits
from bimetal.service.log import LogUnavailable, open_log
from bimetal.service.log.keeping import HAS_KEEPERS, keeping
from bimetal.service.scorer import Scorer, scorer_of
from bimetal.service.service import Service, Settings

try:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from bimetal.service.app import create_app
    from bimetal.service.guarded import GuardedProtocol
except ImportError as error:
    raise MissingExtraError("uvicorn", "serve", "bimetal serve") from error

__all__ = ["Config", "serve"]

_SWITCH_SECONDS = 0.001
"""How long the thread of a batch may keep those waiting who answer (Python's own: 5 ms)."""
_LINES = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(message)s"},
        "bare": {"format": "%(message)s"},
    },
    "handlers": {
        "line": {"class": "logging.StreamHandler", "formatter": "line"},
        "bare": {"class": "logging.StreamHandler", "formatter": "bare"},
    },
    "loggers": {
        "bimetal.service": {"handlers": ["line"], "level": "INFO", "propagate": False},
        "bimetal.service.access": {"handlers": ["bare"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["line"], "level": "WARNING", "propagate": False},
    },
}


class Config(uvicorn.Config):
    """uvicorn's configuration of a service; each worker builds the service from it.

    Parameters
    ----------
    settings : Settings
    host : str
    port : int
    workers : int
        Processes. Each has its own models in memory; log and keys are shared, rates are divided.
    certificate, key : path-like, optional
        PEM files: TLS 1.2 or newer.

    Attributes
    ----------
    keeper : str or None
        Where the process listens that writes the log; set while the service runs.
    """

    build: Callable[[bytes, Limits], Scorer] = staticmethod(scorer_of)

    def __init__(
        self,
        settings: Settings,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        workers: int = 1,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
    ) -> None:
        self.keeper: str | None = None
        limits = settings.limits
        each = limits.requests_per_second / workers, max(1.0, limits.burst / workers)
        self.limits = replace(limits, requests_per_second=each[0], burst=each[1])
        self.settings = replace(settings, limits=self.limits, has_tls=certificate is not None)
        super().__init__(
            "bimetal.service",  # unused: see load_app
            host=host,
            port=port,
            workers=workers,
            http=GuardedProtocol,
            ws="none",
            interface="asgi3",
            lifespan="on",
            log_config=_LINES,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=limits.keep_alive_seconds,
            timeout_graceful_shutdown=limits.shutdown_seconds,
            h11_max_incomplete_event_size=limits.header_bytes,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )

    def load_app(self) -> Any:
        """Build the service in this process."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        log = open_log(self.settings.log, keeper=self.keeper)
        return create_app(Service(self.settings, log, self.build))

    def load(self) -> None:
        """Do what uvicorn does, then refuse TLS below 1.2."""
        super().load()
        if self.ssl is not None:
            self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


def serve(config: Config, told: Callable[[int], None] = lambda port: None) -> None:
    """Serve until a signal says to stop; requests in flight are finished.

    Parameters
    ----------
    config : Config
    told : callable
        Given the port, once the address is ours.

    Raises
    ------
    BimetalError
        When the folder, the keys, the log or the certificate cannot be used: before anything listens.
    OSError
        When the address is taken.
    """
    _require_usable(config)
    listening = config.bind_socket()
    with contextlib.closing(listening), _stopping_is_no_failure(), _kept(config):
        told(listening.getsockname()[1])
        if config.workers == 1:
            uvicorn.Server(config).run(sockets=[listening])
        else:
            _run_workers(config, listening)
    logging.getLogger("bimetal.service").info("stopped")


def _run_workers(config: Config, listening: socket.socket) -> None:
    with tempfile.TemporaryDirectory(prefix="bimetal-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        try:
            Multiprocess(config, sockets=[listening]).run()
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]


@contextlib.contextmanager
def _kept(config: Config) -> Iterator[None]:
    """Have the log written by a process of its own, where there can be one; else by a thread of each."""
    with contextlib.ExitStack() as stack:
        if HAS_KEEPERS:
            try:
                config.keeper = stack.enter_context(keeping(config.settings.log))
            except (LogUnavailable, OSError) as error:  # no folder for its socket, say
                logging.getLogger("bimetal.service").warning(
                    "no process of its own writes the log, which is slower: %s", error
                )
        yield


@contextlib.contextmanager
def _stopping_is_no_failure() -> Iterator[None]:
    """Let the process go on after uvicorn's graceful stop, at whose end it raises the signal again."""
    kept = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            kept[number] = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _require_usable(config: Config) -> None:
    settings = config.settings
    if not Path(settings.folder).is_dir():
        raise DataError(f"a folder of .bimetal files expected, '{settings.folder}' is none")
    Gate(settings.keys, settings.limits)
    open_log(settings.log).close()
    if config.ssl_certfile:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(config.ssl_certfile, config.ssl_keyfile)
        except (ssl.SSLError, OSError) as error:
            raise DataError(
                f"a PEM certificate and its key expected in '{config.ssl_certfile}' and "
                f"'{config.ssl_keyfile}', got: {error}"
            ) from None
