"""uvicorn's HTTP protocol with two bounds of its own: headers come in time, and are not endless.

uvicorn waits as long as it takes for a first request and for the rest of its headers. A client that
sends a byte a minute (slow loris) would hold its connection for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from bimetal.service.limits import Limits

__all__ = ["Corked", "GuardedProtocol"]


class GuardedProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """Closes a connection whose headers are late or too large; the limits come with the config."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._limits: Limits = config.limits
        self._timer: asyncio.TimerHandle | None = None
        self._n_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers."""
        super().connection_made(Corked(transport, self.loop))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to headers that are not complete."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
            return
        self._n_bytes += len(data)
        if self._n_bytes > self._limits.header_bytes:
            self._close()
        elif self._timer is None:
            self._wait()

    def shutdown(self) -> None:
        """Stop: a connection with nothing to say is cut, lest a TLS farewell be waited for."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self.transport.get_write_buffer_size() == 0:
            self.transport.abort()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._limits.header_seconds, self._close)

    def _stop(self) -> None:
        self._n_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class Corked:
    """A transport that sends what is written in one turn of the event loop in one piece.

    uvicorn writes the headers of an answer and its body apart; each would be a system call, a packet, and
    a client woken for nothing.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, with what else is written in this turn."""
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to be sent."""
        size: int = self._transport.get_write_buffer_size()
        return size + sum(map(len, self._pieces))

    def close(self) -> None:
        """Send what was written, then close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))
