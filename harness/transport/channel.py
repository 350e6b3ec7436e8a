"""The streams of one program over SSH, with a deadline on every read and write.

paramiko shares one window between standard output and standard error: errors that nobody reads would stop the output,
so each read takes them off too, and keeps only the end.
"""

from __future__ import annotations

import time
from typing import Any

from paramiko.ssh_exception import SSHException

from harness.errors import LinkLost
from harness.transport.protocol import TAIL_BYTES, printable

# paramiko has one timeout for both directions, and two threads use them: it is set once, short, and waited for again.
STEP_S = 0.5
PIECE_BYTES = 64 * 1024


class SshChannel:
    """See `harness.transport.protocol.Channel`; wraps a paramiko channel that runs one program."""

    def __init__(self, channel: Any, where: str) -> None:  # noqa: ANN401  paramiko is untyped
        self._channel = channel
        self._where = where
        self._tail = b""
        channel.settimeout(STEP_S)

    def read(self, size: int, *, timeout_s: float) -> bytes:
        """Return what is there, at most `size` bytes; see the protocol."""
        give_up = time.monotonic() + timeout_s
        while True:
            self._take_errors()
            try:
                data: bytes = self._channel.recv(size)
            except TimeoutError:
                if time.monotonic() >= give_up:
                    raise
            except (SSHException, OSError, EOFError) as error:
                raise self._lost(error) from error
            else:
                return data

    def write(self, data: bytes | memoryview, *, timeout_s: float) -> int:
        """Send at most 64 KiB; see the protocol."""
        give_up = time.monotonic() + timeout_s
        while True:
            try:
                sent: int = self._channel.send(bytes(data[:PIECE_BYTES]))
            except TimeoutError:
                if time.monotonic() >= give_up:
                    raise
            except (SSHException, OSError, EOFError) as error:
                raise self._lost(error) from error
            else:
                if not sent:
                    raise LinkLost(f"{self._where}: the program on the board does not read any more")
                return sent

    def exit_status(self, *, timeout_s: float) -> int | None:
        """Return the exit status; -1 from paramiko (ended by a signal or a broken link) counts as unknown."""
        if not self._channel.status_event.wait(timeout_s):
            return None
        status: int = self._channel.recv_exit_status()
        return None if status < 0 else status

    def stderr_tail(self) -> str:
        """Return the last 8 KiB of standard error."""
        self._take_errors()
        return printable(self._tail)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _take_errors(self) -> None:
        while self._channel.recv_stderr_ready():
            self._tail = (self._tail + self._channel.recv_stderr(PIECE_BYTES))[-TAIL_BYTES:]

    def _lost(self, error: BaseException) -> LinkLost:
        return LinkLost(f"{self._where}: the link broke: {error or type(error).__name__}")
