"""From a connection to a running agent: the dialogue of `harness.agent.bootstrap`, then hello and the lease.

Owns noise before the first word, the nonce and the limits of that dialogue.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.agent import bootstrap
from harness.agent.package import build_zipapp
from harness.device.client import AgentClient
from harness.device.reply import Hello, parse_reply
from harness.errors import DeviceError, InfraError, LinkLost
from harness.transport.protocol import SILENCE_S, Channel, Transport, printable

NOISE_BYTES = 64 * 1024
LINE_BYTES = 4096
READY_S = 60.0
"""Python's start on an emulated board with a cold disk takes up to 20 s."""
HELLO_S = 30.0


@dataclass(frozen=True, slots=True)
class Start:
    """How an agent is started: `root` is the board's folder (`~` is the board user's), `holder` names the lease."""

    python: str
    root: str
    holder: str
    ttl_s: float = 30.0
    selftest: bool = False
    """Whether the agent may plant faults for this controller."""


def start_agent(
    transport: Transport, start: Start, *, is_alive: Callable[[], bool] | None = None
) -> tuple[AgentClient, Hello]:
    """Start the agent over an open transport and take the lease.

    Raises:
        LeaseBusy: somebody else holds the board; the message names the holder.
        DeviceError: the board has no such Python, or cannot store the agent.
        LinkLost, InfraError: the link broke or the dialogue is not what it should be.
    """
    nonce = secrets.token_hex(16)
    channel = transport.open(bootstrap.command(start.python, nonce))
    try:
        _Dialogue(channel, transport.describe(), start).run(nonce)
    except BaseException:
        channel.close()
        raise
    client = AgentClient(channel, transport.describe(), is_alive=is_alive, drop=transport.close)
    try:
        fields = {"holder": start.holder, "ttl_s": start.ttl_s, "nonce": nonce, "selftest": start.selftest}
        hello = parse_reply(Hello, client.request("hello", fields, deadline_s=HELLO_S, silence_s=HELLO_S))
        if hello.nonce != nonce:
            raise InfraError(f"{transport.describe()}: the agent answered another hello than ours", code="envelope")
        return client, hello
    except BaseException:
        client.close()
        raise


class _Dialogue:
    """The exchange of lines before frames begin."""

    def __init__(self, channel: Channel, where: str, start: Start) -> None:
        self._channel = channel
        self._where = where
        self._start = start
        self._pending = b""

    def run(self, nonce: str) -> None:
        zipapp, digest = build_zipapp()
        self._skip_to(f"{bootstrap.READY} {nonce}")
        self._write(f"{digest} {len(zipapp)} {self._start.root}\n".encode())
        answer = self._line()
        if answer == "NEED":
            self._write(zipapp)
            answer = self._line()
        if answer.startswith("BAD "):
            raise DeviceError(f"{self._where}: the agent cannot be stored: {answer[4:]}", code="agent")
        if answer != "HAVE":
            raise InfraError(
                f"{self._where}: unexpected answer {answer[:80]!r} while starting the agent", code="envelope"
            )
        if self._pending:
            raise InfraError(f"{self._where}: the agent spoke before it was asked", code="envelope")

    def _skip_to(self, wanted: str) -> None:
        """Skip what login shells print, at most 64 KiB of it."""
        skipped = 0
        while True:
            line = self._line()
            if line.endswith(wanted):
                return
            skipped += len(line) + 1
            if skipped > NOISE_BYTES:
                raise InfraError(f"{self._where}: nothing but noise instead of the agent: {line[:80]!r}", code="noise")

    def _line(self) -> str:
        give_up = time.monotonic() + READY_S
        while b"\n" not in self._pending:
            if len(self._pending) > NOISE_BYTES:
                raise InfraError(f"{self._where}: a line without end while starting the agent", code="noise")
            try:
                # One byte too many would belong to the frames that follow; the agent sends none before it is asked.
                data = self._channel.read(LINE_BYTES, timeout_s=max(0.1, give_up - time.monotonic()))
            except TimeoutError:
                raise LinkLost(
                    f"{self._where}: the agent did not start within {READY_S:.0f} s", code="silent"
                ) from None
            if not data:
                raise self._ended()
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return printable(line.rstrip(b"\r"))

    def _ended(self) -> DeviceError | LinkLost:
        status = self._channel.exit_status(timeout_s=5.0)
        said = self._channel.stderr_tail().strip()[-300:]
        if status in {126, 127}:
            words = f"{self._where}: there is no {self._start.python!r}: install Python 3.8 or later or set `python:`"
            return DeviceError(f"{words}; the board said: {said}", code="python")
        if status is None:
            return LinkLost(f"{self._where}: the connection ended while starting the agent", code="closed")
        return DeviceError(f"{self._where}: the agent did not start (status {status}): {said}", code="agent")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._channel.write(view, timeout_s=SILENCE_S) :]
            except TimeoutError:
                raise LinkLost(f"{self._where}: takes no data since {SILENCE_S:.0f} s", code="silent") from None
