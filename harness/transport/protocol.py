"""The port between the harness and a board: programs are started there and talked to over byte channels.

Owns what every transport promises. Knows nothing of SSH, of the agent's frames or of what is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self

TRANSPORTS = {
    "ssh": "harness.transport.ssh:SshTransport",
    "local": "harness.transport.local:LocalTransport",
}
"""Built-in transports: name -> dotted path, imported only when used."""

SILENCE_S = 14.0
"""A peer that is asked and says nothing for this long is dead; asked every 5 s, that is noticed within 20 s."""
TAIL_BYTES = 8192
"""How much of a program's standard error is kept."""


class Channel(Protocol):
    """The standard streams of one program on a board. Safe for one reading and one writing thread at once."""

    def read(self, size: int, *, timeout_s: float) -> bytes:
        """Return 1 to `size` bytes, or `b""` at the end of the stream.

        Raises:
            TimeoutError: nothing came within `timeout_s`; the channel is still good.
            LinkLost: the connection broke.
        """

    def write(self, data: bytes | memoryview, *, timeout_s: float) -> int:
        """Send a part of `data` and return how many bytes were taken (at least 1).

        Raises:
            TimeoutError: nothing was taken within `timeout_s`; the channel is still good.
            LinkLost: the connection broke or the program does not read any more.
        """

    def exit_status(self, *, timeout_s: float) -> int | None:
        """Return the program's exit status, or None when it is not known within `timeout_s`."""

    def stderr_tail(self) -> str:
        """Return the last 8 KiB of standard error seen so far, control characters replaced."""

    def close(self) -> None:
        """Close the channel; a read or write that waits in another thread ends with LinkLost."""


class Transport(Protocol):
    """One connection to one board; entering connects, leaving ends everything that was started over it."""

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a program and return its streams; arguments are quoted, never interpreted.

        Raises:
            LinkLost: the connection broke or did not answer in time.
        """

    def describe(self) -> str:
        """Say in a few words where this leads (`ssh root@host:22`), for messages."""

    def close(self) -> None:
        """Drop the connection at once, from any thread."""

    def __enter__(self) -> Self:
        """Connect."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def load_transport(name: str) -> Any:  # noqa: ANN401  each transport has its own constructor
    """Return the class of the built-in transport `name`.

    Raises:
        KeyError: there is no such transport.
    """
    module, _, attribute = TRANSPORTS[name].partition(":")
    return getattr(import_module(module), attribute)


def printable(text: bytes) -> str:
    """Decode what a board sent so that it cannot drive a terminal: control characters are shown as escapes."""
    decoded = text.decode("utf-8", errors="backslashreplace")
    return "".join(
        char if char in "\n\t" or (char.isprintable() and char != "\x7f") else f"\\x{ord(char):02x}" for char in decoded
    )
