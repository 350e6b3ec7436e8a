"""The controller's end of the agent's channel: requests, replies, heartbeat, and noticing that the other end is gone.

Owns ids, deadlines and liveness. Knows the envelope of a reply (`id`, `ok`, `error`), not what an operation means.
Everything that comes from a board is hostile until parsed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from harness.agent.frame import Frame, FrameBuffer, FrameError, encode_head
from harness.agent.message import VERSION
from harness.device.refusal import refusal
from harness.errors import FleetgateError, InfraError, LinkLost, SecurityError
from harness.transport.protocol import SILENCE_S, Channel

POLL_S = 0.5
BEAT_S = 0.5
HEARD_S = 1.0
"""Between pings whose replies somebody waits for: a session has news every two seconds."""
PING_S = 5.0
"""With SILENCE_S, a dead or stopped board is noticed within 20 s."""
READ_BYTES = 1 << 18


class AgentClient:
    """One agent on one board: one request at a time, pings between them from a thread of its own.

    Args:
        channel: speaks frames already (see `harness.device.start`).
        where: the board in words, for messages.
        is_alive: asked twice a second, where the harness can know that a board is gone (an emulator's process).
        drop: ends the whole connection; closing a channel alone would wait for a peer that is stuck.
    """

    def __init__(
        self,
        channel: Channel,
        where: str,
        *,
        is_alive: Callable[[], bool] | None = None,
        drop: Callable[[], None] | None = None,
    ) -> None:
        self._channel = channel
        self._drop = drop or channel.close
        self._where = where
        self._is_alive = is_alive or (lambda: True)
        self._state = threading.Condition()
        self._sending = threading.Lock()
        self._answer: Frame | None = None
        self._asked = 0
        """Id of the request whose reply is waited for; 0: none."""
        self._pings: dict[int, float] = {}
        """Ids of unanswered pings and when they were sent."""
        self._failure: FleetgateError | None = None
        self._ended = threading.Event()
        self._last_id = 0
        self._quiet = False
        self._heard: Callable[[Mapping[str, Any]], None] | None = None
        self._silence_s = SILENCE_S
        self._moved = time.monotonic()
        """When bytes last moved, either way."""
        self._threads = [
            threading.Thread(target=self._listen, name=f"fleetgate-listen {where}", daemon=True),
            threading.Thread(target=self._beat, name=f"fleetgate-beat {where}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(  # noqa: PLR0913  all but the operation and what it takes by keyword
        self,
        op: str,
        fields: Mapping[str, Any] | None = None,
        payload: bytes = b"",
        *,
        deadline_s: float,
        silence_s: float = SILENCE_S,
        quiet: bool = False,
        heard: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Frame:
        """Send one request and return its reply, whose header says `ok: true`.

        Args:
            op: see `harness.agent.message`.
            fields: of the header.
            payload: raw bytes after it.
            deadline_s: the longest wait for the reply.
            silence_s: how long pings may stay unanswered meanwhile, for operations that keep the agent busy.
            quiet: send no pings until the reply is there (a deterministic board must not be disturbed).
            heard: gets the header of every ping's reply meanwhile, on the listening thread; pings are sent more often.

        Raises:
            LinkLost: the connection ended or fell silent, or the deadline passed.
            LeaseBusy, DeviceError, InfraError: what the agent refused, by its code.
            SecurityError: the board answered beyond all bounds.
        """
        give_up = time.monotonic() + deadline_s
        with self._state:
            self._quiet, self._silence_s, self._answer, self._heard = quiet, silence_s, None, heard
        try:
            self._send(op, fields or {}, payload)
            header = self._await(give_up, f"{op!r} took longer than {deadline_s:.0f} s")
        finally:
            with self._state:
                self._quiet, self._silence_s, self._asked, self._heard = False, SILENCE_S, 0, None
        if header.header.get("ok") is True:
            return header
        error = header.header.get("error")
        raise refusal(self._where, op, error if isinstance(error, dict) else {})

    def close(self, *, grace_s: float = 5.0) -> None:
        """Say goodbye where the link is good, then drop the channel."""
        if not self._ended.is_set():
            try:
                self.request("bye", deadline_s=grace_s)
                self._channel.exit_status(timeout_s=grace_s)
            except FleetgateError as error:
                self._fail(error)
        self._fail(LinkLost(f"{self._where}: closed", code="closed"))
        for thread in self._threads:
            thread.join(timeout=10.0)

    def abort(self) -> None:
        """End everything at once, from any thread; whoever waits gets LinkLost."""
        self._fail(LinkLost(f"{self._where}: stopped", code="cancelled"))

    def _send(self, op: str, fields: Mapping[str, Any], payload: bytes) -> None:
        with self._sending:
            with self._state:
                if self._failure is not None:
                    raise self._failure
                self._last_id = number = self._last_id + 1
                if op == "ping":
                    self._pings[number] = time.monotonic()
                else:
                    self._asked = number
            head = encode_head({**fields, "v": VERSION, "id": number, "op": op}, len(payload))
            try:
                self._write(memoryview(head))
                self._write(memoryview(payload), shows_life=True)
            except FleetgateError as error:
                raise self._fail(error) from error

    def _write(self, data: memoryview, *, shows_life: bool = False) -> None:
        """Write all; a slow link is fine as long as something moves within the time of silence.

        Heads (all that a ping has) vanish in buffers whether the peer lives or not: they show no life.
        """
        while data:
            try:
                sent = self._channel.write(data, timeout_s=SILENCE_S)
            except TimeoutError:
                raise self._silent("takes no data") from None
            data = data[sent:]
            if shows_life:
                self._moved = time.monotonic()

    def _await(self, give_up: float, late: str) -> Frame:
        with self._state:
            while self._answer is None and self._failure is None and time.monotonic() < give_up:
                self._state.wait(min(max(give_up - time.monotonic(), 0.0), 1.0))
            if self._answer is not None:
                return self._answer
        raise self._fail(LinkLost(f"{self._where}: {late}", code="deadline"))

    def _listen(self) -> None:
        buffer = FrameBuffer()
        try:
            while not self._ended.is_set():
                self._check_liveness()
                try:
                    data = self._channel.read(READ_BYTES, timeout_s=POLL_S)
                except TimeoutError:
                    continue
                if not data:
                    raise LinkLost(f"{self._where}: {self._describe_end()}", code="closed")
                self._moved = time.monotonic()
                buffer.feed(data)
                while (frame := buffer.take()) is not None:
                    self._deliver(frame)
        except FrameError as error:
            # Beyond the limits is an attack until shown otherwise; anything else is a garbled stream.
            kind = SecurityError if "longer than" in str(error) else InfraError
            self._fail(kind(f"{self._where}: {error}", code="envelope"))
        except FleetgateError as error:
            self._fail(error)

    def _deliver(self, frame: Frame) -> None:
        number = frame.header.get("id")
        with self._state:
            if isinstance(number, int) and self._pings.pop(number, None) is not None:
                if self._heard is not None:
                    self._heard(frame.header)
                return
            if not self._asked or number != self._asked or self._answer is not None:
                words = f"{self._where}: a reply to nothing that was asked (id {str(number)[:40]})"
                raise InfraError(words, code="envelope")
            self._answer = frame
            self._state.notify_all()

    def _check_liveness(self) -> None:
        if not self._is_alive():
            raise LinkLost(f"{self._where}: the emulated board ended", code="closed")
        with self._state:
            since = max(min(self._pings.values(), default=float("inf")), self._moved)
            if not self._quiet and time.monotonic() - since > self._silence_s:
                raise self._silent("does not answer")

    def _beat(self) -> None:
        sent = time.monotonic()
        while not self._ended.wait(BEAT_S):
            with self._state:
                every_s = PING_S if self._heard is None else HEARD_S
                skip = self._quiet or len(self._pings) > 8 or time.monotonic() - sent < every_s - BEAT_S / 2
            try:
                if not skip:
                    sent = time.monotonic()
                    self._send("ping", {}, b"")
            except FleetgateError:
                return  # `_send` has told everybody

    def _fail(self, error: FleetgateError) -> FleetgateError:
        """Keep the first failure, wake whoever waits, drop the connection; return the failure that counts."""
        with self._state:
            self._failure = self._failure or error
            self._ended.set()
            self._state.notify_all()
        self._drop()
        self._channel.close()
        return self._failure

    def _silent(self, what: str) -> LinkLost:
        return LinkLost(f"{self._where}: {what} since {self._silence_s:.0f} s", code="silent")

    def _describe_end(self) -> str:
        status = self._channel.exit_status(timeout_s=1.0)
        said = self._channel.stderr_tail().strip()[-500:]
        ended = "the connection or the agent ended" if status is None else f"the agent ended with status {status}"
        return ended + (f"; its last words: {said}" if said else "")
