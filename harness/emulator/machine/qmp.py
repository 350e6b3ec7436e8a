"""QEMU's control channel: JSON commands and answers over a connected socket (QEMU docs/interop/qmp-spec).

Owns the protocol only; knows no boards.
"""

from __future__ import annotations

import json
import socket
import threading
import time

from harness.errors import ImageError


class QmpClosed(ImageError):  # noqa: N818  like LinkLost
    """QEMU closed the channel: it ended."""


class Qmp:
    """One client; calls from several threads are served one after the other."""

    def __init__(self, channel: socket.socket, *, timeout_s: float) -> None:
        """Read the greeting and leave negotiation mode.

        Args:
            channel: one end of a socket pair whose other end QEMU holds.
            timeout_s: longest wait for one answer.
        """
        self._channel = channel
        self._lock = threading.Lock()
        self._timeout_s = timeout_s
        self._pending = b""
        with self._lock:
            self._read(time.monotonic() + timeout_s)
        self.call("qmp_capabilities")

    def call(self, command: str, **arguments: object) -> object:
        """Run one command and give what it returns.

        Raises:
            QmpClosed: QEMU ended.
            ImageError: QEMU refused, or did not answer in time.
        """
        message = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        with self._lock:
            deadline = time.monotonic() + self._timeout_s
            try:
                self._channel.sendall(message)
            except OSError as error:
                raise QmpClosed("QEMU ended") from error
            while True:
                answer = self._read(deadline)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise ImageError(f"QEMU refused {command}: {answer['error']}")

    def close(self) -> None:
        """Close this end; QEMU goes on."""
        self._channel.close()

    def _read(self, deadline: float) -> dict[str, object]:
        while b"\n" not in self._pending:
            self._channel.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                data = self._channel.recv(65536)
            except TimeoutError as error:
                raise ImageError(f"QEMU did not answer within {self._timeout_s:.0f} s") from error
            except OSError as error:
                raise QmpClosed("QEMU ended") from error
            if not data:
                raise QmpClosed("QEMU ended")
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        answer = json.loads(line)
        return answer if isinstance(answer, dict) else {}
