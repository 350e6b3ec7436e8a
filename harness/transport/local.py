"""The controller itself as a board: programs are subprocesses over a socket pair, each in its own process group."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from harness.errors import InfraError, LinkLost
from harness.transport.protocol import TAIL_BYTES, printable

PIECE_BYTES = 64 * 1024


class LocalChannel:
    """See `harness.transport.protocol.Channel`; the streams of one subprocess."""

    def __init__(self, process: subprocess.Popen[bytes], streams: socket.socket, errors: IO[bytes]) -> None:
        self._process = process
        self._streams = streams
        self._errors = errors
        self._reading = threading.Lock()
        self._telling = threading.Lock()
        self._closed = False
        self._tail = ""

    def read(self, size: int, *, timeout_s: float) -> bytes:
        """Return what is there, at most `size` bytes; see the protocol."""
        with self._reading:
            self._check_open()
            ready, _, _ = select.select([self._streams], [], [], max(0.0, timeout_s))
            self._check_open()
            if not ready:
                raise TimeoutError
            try:
                return self._streams.recv(size)
            except OSError as error:
                raise LinkLost(f"local: the link broke: {error}") from error

    def write(self, data: bytes | memoryview, *, timeout_s: float) -> int:
        """Send at most 64 KiB; see the protocol."""
        self._check_open()
        _, ready, _ = select.select([], [self._streams], [], max(0.0, timeout_s))
        self._check_open()
        if not ready:
            raise TimeoutError
        try:
            return self._streams.send(data[:PIECE_BYTES], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            raise TimeoutError from None
        except OSError as error:
            raise LinkLost(f"local: the program does not read any more: {error}") from error

    def exit_status(self, *, timeout_s: float) -> int | None:
        """Return the exit status; None when it runs still or was ended by a signal."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return status if status >= 0 else None

    def stderr_tail(self) -> str:
        """Return the last 8 KiB of standard error."""
        with self._telling:
            if not self._errors.closed:
                size = os.fstat(self._errors.fileno()).st_size
                self._tail = printable(os.pread(self._errors.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES)))
            return self._tail

    def close(self) -> None:
        """End the program and all of its process group."""
        if self._closed:
            return
        self.stderr_tail()
        self._closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            self._streams.shutdown(socket.SHUT_RDWR)  # wakes a read in another thread, which then lets go of the lock
        with self._reading:
            self._streams.close()
        with self._telling:
            self._errors.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LinkLost("local: the channel was closed")


class LocalTransport:
    """See `harness.transport.protocol.Transport`; needs no login and always connects."""

    def __init__(self) -> None:
        self._channels: list[LocalChannel] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, argv: Sequence[str]) -> LocalChannel:
        """Start a subprocess in a session of its own."""
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by the channel
        try:
            process = subprocess.Popen(
                argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=errors, start_new_session=True
            )
        except OSError as error:
            ours.close()
            errors.close()
            raise InfraError(f"local: cannot start {argv[0]}: {error.strerror}", code="missing_program") from error
        finally:
            theirs.close()
        channel = LocalChannel(process, ours, errors)
        self._channels.append(channel)
        return channel

    def describe(self) -> str:
        """Return `this machine`."""
        return "this machine"

    def close(self) -> None:
        """End everything that was started."""
        while self._channels:
            self._channels.pop().close()
