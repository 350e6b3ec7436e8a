"""An SCPI instrument that exists only on loopback: one line in, one line out, as those on a bench answer.

Owns the socket and its threads. What is measured is the caller's; each connection gets a reading of its own, so that
two readers do not take each other's averages.
"""

from __future__ import annotations

import contextlib
import math
import socketserver
import threading
from collections.abc import Callable
from typing import Self

Reading = Callable[[], float]
"""Watts now; NaN where there is none."""
NOT_A_NUMBER = "9.91E37"
"""Source: SCPI-1999, volume 1, 7.2.1.5."""
_LONGEST = 4096


class Loopback:
    """A server on a free port of loopback, in a thread of its own."""

    def __init__(self, server: socketserver.TCPServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._server.socket.getsockname()[1]}"


class Instrument(Loopback):
    """Answers `*IDN?` and `MEAS:POW?`; commands are heard and have no effect.

    Args:
        identity: maker, model, serial number and version, by commas.
        connect: called at each connection; makes the reading of that one.
    """

    def __init__(self, identity: str, connect: Callable[[], Reading]) -> None:
        self.identity = identity
        instrument = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                reading = connect()
                with contextlib.suppress(ConnectionError):  # the reader went away: there is nobody to tell
                    while line := self.rfile.readline(_LONGEST):
                        answer = instrument.answer(line.decode("ascii", "replace").strip(), reading)
                        if answer:
                            self.wfile.write(answer.encode() + b"\n")

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        super().__init__(server)

    def answer(self, line: str, reading: Reading) -> str:
        """Give the answer to one line; commands have none."""
        if line == "*IDN?":
            return self.identity
        if line != "MEAS:POW?":
            return ""
        watts = reading()
        return NOT_A_NUMBER if math.isnan(watts) else f"{watts:.9E}"
