"""Any meter that answers SCPI over a TCP socket: the queries stand in farm.yaml.

One line out, one line back. `*IDN?` is asked once, so that the record names the instrument.
Source: IEEE 488.2 and SCPI-1999 (9.91E37 is "not a number", 9.9E37 "infinity").
"""

from __future__ import annotations

import re
import socket
from types import TracebackType
from typing import Self

from harness.meters.port import MeterError, split_address
from harness.spec.model import MeterSpec

PORT = 5025
PATIENCE_S = 3.0
_LONGEST = 4096
_NUMBER = re.compile(r"([-+]?\d{1,20}(?:\.\d{0,20})?(?:[eE][-+]?\d{1,3})?)\s*(?:W|V|A)?")
_NOT_A_NUMBER = 9.9e37


class ScpiMeter:
    """One instrument behind a socket."""

    def __init__(self, spec: MeterSpec) -> None:
        self._address = split_address(spec.address, PORT)
        self._queries = spec.queries
        self._setup = spec.setup
        self._socket: socket.socket | None = None
        self._rest = b""
        self._name = ""

    def __enter__(self) -> Self:
        try:
            self._socket = socket.create_connection(self._address, timeout=PATIENCE_S)
        except OSError as error:
            raise MeterError(f"{self._where}: {error.strerror or error}") from error
        try:
            self._name = self._ask("*IDN?")
            for command in self._setup:
                self._send(command)
        except MeterError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self) -> float:
        """Ask for watts, or for volts and amperes."""
        watts = 1.0
        for query in self._queries:
            watts *= self._parse(self._ask(query), query)
        return watts

    def describe(self) -> str:
        """Return address, identity and queries."""
        return f"{self._where} ({self._name[:120]}): {' x '.join(self._queries)}"

    @property
    def _where(self) -> str:
        return f"scpi {self._address[0]}:{self._address[1]}"

    def _send(self, command: str) -> None:
        if self._socket is None:
            raise MeterError(f"{self._where}: the connection is closed")
        try:
            self._socket.sendall(command.encode("ascii", "replace") + b"\n")
        except OSError as error:
            self._fail(f"{command}: {error.strerror or error}", error)

    def _ask(self, query: str) -> str:
        self._send(query)
        assert self._socket is not None
        while b"\n" not in self._rest:
            try:
                data = self._socket.recv(_LONGEST)
            except OSError as error:
                self._fail(f"{query}: {error.strerror or error}", error)
            if not data:
                self._fail(f"{query}: it closed the connection", None)
            self._rest += data
            if len(self._rest) > _LONGEST:
                self._fail(f"{query}: an answer without end", None)
        line, _, self._rest = self._rest.partition(b"\n")
        return "".join(char for char in line.decode("ascii", "replace").strip() if char.isprintable())

    def _parse(self, answer: str, query: str) -> float:
        match = _NUMBER.fullmatch(answer)
        if match is None or abs(float(match[1])) >= _NOT_A_NUMBER:
            raise MeterError(f"{self._where}: {query} gave {answer[:40]!r}, which is no number")
        return float(match[1])

    def _fail(self, words: str, cause: OSError | None) -> None:
        """Close: an answer that comes late would be taken for that of the next query."""
        self._close()
        raise MeterError(f"{self._where}: {words}") from cause

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""
