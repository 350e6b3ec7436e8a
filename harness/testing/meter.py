"""Meters that exist only on loopback: an SCPI instrument and a plug whose power is a function of time.

What they say can be replaced by any text, and they can fall silent, so that a reader's patience can be tested.
"""

from __future__ import annotations

import http.server
import time
from collections.abc import Callable
from typing import Any, ClassVar

from harness.meters.instrument import Instrument, Loopback, Reading

Power = Callable[[float], float]
"""Watts at a moment of this machine's monotonic clock."""


class ScpiServer(Instrument):
    """Answers also MEAS:VOLT? (5 V) and MEAS:CURR?; keeps what it was told.

    Args:
        power: what it measures.
    """

    def __init__(self, power: Power) -> None:
        self.power = power
        self.heard: list[str] = []
        self.answers: dict[str, str] = {}
        """Query -> text that is said instead; empty: nothing is said at all."""
        super().__init__("FLEETGATE,LOOPBACK,0,1", lambda: lambda: self.power(time.monotonic()))

    def answer(self, line: str, reading: Reading) -> str:
        """Give the answer to one line; commands have none."""
        self.heard.append(line)
        if line in self.answers:
            return self.answers[line]
        known = {"MEAS:VOLT?": "5.0", "MEAS:CURR?": f"{reading() / 5.0:.9E} A"}
        return known.get(line) or super().answer(line, reading)


class PlugServer(Loopback):
    """Speaks the words of all makes of plug.

    Args:
        power: what it measures.
    """

    paths: ClassVar[dict[str, Callable[[float], Any]]] = {
        "/meter/0": lambda watts: {"power": watts, "is_valid": True, "total": 12},
        "/rpc/Switch.GetStatus?id=0": lambda watts: {"id": 0, "output": True, "apower": watts, "voltage": 230.1},
        "/cm?cmnd=Status%208": lambda watts: {"StatusSNS": {"ENERGY": {"Power": watts, "Voltage": 230}}},
    }

    def __init__(self, power: Power) -> None:
        self.power = power
        self.body: bytes | None = None
        """Said instead, to everybody."""
        self.status = 200
        plug = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                plug.respond(self)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        super().__init__(server)

    def respond(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        import json

        made = self.paths.get(handler.path)
        body = self.body
        if body is None and made is not None:
            body = json.dumps(made(round(self.power(time.monotonic()), 1))).encode()
        handler.send_response(self.status if body is not None else 404)
        handler.end_headers()
        handler.wfile.write(body or b"")
