"""The agent as a child process of this one, spoken to in plain frames: a board without transport and heartbeat."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.agent import bootstrap
from harness.agent.frame import Frame, read_frame, write_frame
from harness.agent.package import build_zipapp


class LocalAgent:
    """A real agent on this machine; every reply is handed out as it came.

    Args:
        root: the agent's folder.
        python: that runs it.
        shell: argv of a remote shell (`ssh host`) that gets the command as its last word; empty: run it here.
    """

    def __init__(self, root: Path, *, python: str = sys.executable, shell: tuple[str, ...] = ()) -> None:
        self.root = root
        self._python = python
        self._shell = shell
        self._count = 0

    def __enter__(self) -> Self:
        nonce = secrets.token_hex(8)
        command = bootstrap.command(self._python, nonce)
        self.process = subprocess.Popen(
            [*self._shell, shlex.join(command)] if self._shell else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._feed(nonce)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def ask(self, op: str, payload: bytes = b"", **fields: object) -> Frame:
        """Send one request and return the next reply.

        Raises:
            FrameError: the agent ended instead.
        """
        self.send(op, payload, **fields)
        return self.receive()

    def send(self, op: str, payload: bytes = b"", **fields: object) -> int:
        """Send one request without waiting; return its id."""
        assert self.process.stdin is not None
        self._count += 1
        write_frame(self.process.stdin, {**fields, "v": 1, "id": self._count, "op": op}, payload)  # type: ignore[arg-type]
        return self._count

    def receive(self) -> Frame:
        """Return the next reply."""
        assert self.process.stdout is not None
        return read_frame(self.process.stdout)  # type: ignore[arg-type]

    def hello(self, holder: str = "tests", ttl_s: float = 30.0) -> dict[str, Any]:
        """Take the lease; return the reply's header."""
        return self.ask("hello", holder=holder, ttl_s=ttl_s, nonce="n").header

    def put(self, data: bytes) -> str:
        """Store bytes; return their SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        for offset in range(0, len(data), 4 << 20):
            reply = self.ask("put", data[offset : offset + (4 << 20)], digest=digest, size=len(data), offset=offset)
            assert reply.header["ok"], reply.header
        return digest

    def _feed(self, nonce: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        zipapp, digest = build_zipapp()
        line = self.process.stdout.readline().decode().strip()
        assert line == f"{bootstrap.READY} {nonce}", line
        self.process.stdin.write(f"{digest} {len(zipapp)} {self.root}\n".encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer == b"NEED":
            self.process.stdin.write(zipapp)
            self.process.stdin.flush()
            answer = self.process.stdout.readline().strip()
        assert answer == b"HAVE", answer

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.process.wait()
