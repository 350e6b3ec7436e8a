"""The controller's end of the channel against boards that answer wrongly, late or not at all."""

from __future__ import annotations

import json
import queue
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.agent.frame import FrameBuffer, encode_head
from harness.device import client as client_module
from harness.device.client import AgentClient
from harness.errors import DeviceError, FleetgateError, InfraError, LeaseBusy, LinkLost, SecurityError

Answer = Callable[[dict[str, Any]], bytes | None]


def frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Encode one frame."""
    return encode_head(header, len(payload)) + payload


def ok(header: dict[str, Any], **fields: Any) -> bytes:
    """Answer a request with success."""
    return frame({"v": 1, "id": header["id"], "ok": True, **fields})


def refuse(header: dict[str, Any], code: str, message: str) -> bytes:
    """Answer a request with a refusal."""
    return frame({"v": 1, "id": header["id"], "ok": False, "error": {"code": code, "message": message}})


class ScriptedChannel:
    """A channel whose board is a function from request header to bytes; None from it means silence, b"" the end."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._buffer = FrameBuffer()
        self._output: queue.Queue[bytes] = queue.Queue()
        self.closed = threading.Event()
        self.seen: list[str] = []

    def read(self, size: int, *, timeout_s: float) -> bytes:
        """Give what the script has answered."""
        if self.closed.is_set():
            raise LinkLost("closed")
        try:
            return self._output.get(timeout=min(timeout_s, 0.05))
        except queue.Empty:
            raise TimeoutError from None

    def write(self, data: bytes | memoryview, *, timeout_s: float) -> int:
        """Let the script answer each whole request."""
        self._buffer.feed(bytes(data))
        while (request := self._buffer.take()) is not None:
            self.seen.append(str(request.header["op"]))
            answer = self._answer(request.header)
            if answer is not None:
                self._output.put(answer)
        return len(data)

    def exit_status(self, *, timeout_s: float) -> int | None:
        """Say that the agent ended with 3."""
        return 3

    def stderr_tail(self) -> str:
        """Give last words."""
        return "Traceback: oh no"

    def close(self) -> None:
        """Wake whoever reads."""
        self.closed.set()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], AgentClient]]:
    """Connect clients to scripted boards; pings go every 0.1 s."""
    monkeypatch.setattr(client_module, "PING_S", 0.1)
    clients = []

    def make(answer: Answer, **options: Any) -> AgentClient:
        clients.append(AgentClient(ScriptedChannel(answer), "pi", **options))
        return clients[-1]

    yield make
    for client in clients:
        client.abort()
        client.close()


def channel_of(client: AgentClient) -> ScriptedChannel:
    """Return the script behind a client."""
    channel = client._channel
    assert isinstance(channel, ScriptedChannel)
    return channel


def test_reply_comes_back(connect: Callable[[Answer], AgentClient]) -> None:
    """A request's reply is handed over with its fields."""
    client = connect(lambda header: ok(header, missing=["x"]))

    assert client.request("has", {"digests": []}, deadline_s=5).header["missing"] == ["x"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("lease_busy", LeaseBusy),
        ("disk", DeviceError),
        ("read_only", DeviceError),
        ("integrity", InfraError),
        ("whatever", InfraError),
    ],
)
def test_refusals_keep_their_meaning(
    connect: Callable[[Answer], AgentClient], code: str, kind: type[FleetgateError]
) -> None:
    """A full disk is the board's fault, a held lease is nobody's, the rest is infrastructure; the words come along."""
    client = connect(lambda header: refuse(header, code, "held by anna"))

    with pytest.raises(kind, match="held by anna"):
        client.request("put", deadline_s=5)


def test_refusal_cannot_drive_the_terminal(connect: Callable[[Answer], AgentClient]) -> None:
    """Escape sequences in a board's words are shown, not sent on."""
    client = connect(lambda header: refuse(header, "x\x1b[2J", "\x1b]0;owned\x07"))

    with pytest.raises(InfraError) as caught:
        client.request("put", deadline_s=5)

    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_end_of_the_agent_is_noticed_at_once(connect: Callable[[Answer], AgentClient]) -> None:
    """The end of the stream wakes who waits, with the agent's status and last words."""
    client = connect(lambda header: b"")
    started = time.monotonic()

    with pytest.raises(LinkLost, match=r"status 3.*oh no"):
        client.request("facts", deadline_s=30)

    assert time.monotonic() - started < 5


def test_silence_is_noticed_before_the_deadline(connect: Callable[[Answer], AgentClient]) -> None:
    """A board that answers no ping is lost long before the request's deadline."""
    client = connect(lambda header: None)
    started = time.monotonic()

    with pytest.raises(LinkLost, match="does not answer") as caught:
        client.request("session", deadline_s=60, silence_s=0.5)

    assert caught.value.code == "silent"
    assert time.monotonic() - started < 5


def test_busy_board_that_answers_pings_is_alive(connect: Callable[[Answer], AgentClient]) -> None:
    """While pings come back a long request waits; only its deadline ends it."""
    client = connect(lambda header: ok(header) if header["op"] == "ping" else None)
    started = time.monotonic()

    with pytest.raises(LinkLost, match="longer than 1 s") as caught:
        client.request("session", deadline_s=1.2)

    assert caught.value.code == "deadline"
    assert time.monotonic() - started > 1.1


def test_quiet_request_sends_no_pings(connect: Callable[[Answer], AgentClient]) -> None:
    """A deterministic session is not disturbed, and its silence is no fault."""
    client = connect(lambda header: None)

    with pytest.raises(LinkLost, match="longer than 1 s"):
        client.request("session", deadline_s=1.0, quiet=True)

    assert channel_of(client).seen.count("ping") <= 1


def test_death_of_the_machine_is_noticed_without_waiting(connect: Callable[..., AgentClient]) -> None:
    """Where the harness knows that the board's process is gone, no time-out is needed."""
    alive = threading.Event()
    alive.set()
    client = connect(lambda header: ok(header) if header["op"] == "ping" else None, is_alive=alive.is_set)
    threading.Timer(0.3, alive.clear).start()
    started = time.monotonic()

    with pytest.raises(LinkLost, match="emulated board ended"):
        client.request("session", deadline_s=60)

    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n and more bytes", InfraError),
        (struct.pack(">4sIQ", b"FGT1", 1 << 31, 0), SecurityError),
        (struct.pack(">4sIQ", b"FGT1", 2, 1 << 60) + b"{}", SecurityError),
        (struct.pack(">4sIQ", b"FGT1", 4, 0) + b"[1,2", InfraError),
        (struct.pack(">4sIQ", b"FGT1", 12, 0) + b'{"id": NaN }', InfraError),
        (struct.pack(">4sIQ", b"FGT1", 15, 0) + b'{"id":1,"id":2}', InfraError),
        (frame({"id": 99, "ok": True}), InfraError),
        (frame({"id": "1", "ok": True}), InfraError),
        (frame({"ok": True}), InfraError),
    ],
)
def test_answer_that_is_none(
    connect: Callable[[Answer], AgentClient], answer: bytes, kind: type[FleetgateError]
) -> None:
    """Bytes that are no frame, too long, or answer something else end the connection; too long is an attack."""
    client = connect(lambda header: None if header["op"] == "ping" else answer)

    with pytest.raises(kind) as caught:
        client.request("has", deadline_s=5)

    assert type(caught.value) is kind
    assert channel_of(client).closed.is_set()


def test_ok_must_be_true(connect: Callable[[Answer], AgentClient]) -> None:
    """Only the JSON word true is success."""
    client = connect(lambda header: frame({"v": 1, "id": header["id"], "ok": "yes"}))

    with pytest.raises(InfraError, match="refused"):
        client.request("has", deadline_s=5)


def test_first_failure_stays(connect: Callable[[Answer], AgentClient]) -> None:
    """After a failure every request ends with the same words, at once."""
    client = connect(lambda header: b"")
    with pytest.raises(LinkLost):
        client.request("has", deadline_s=5)

    with pytest.raises(LinkLost, match="oh no"):
        client.request("has", deadline_s=5)


def test_abort_wakes_who_waits(connect: Callable[[Answer], AgentClient]) -> None:
    """A cancelled run does not wait for its boards."""
    client = connect(lambda header: None)
    threading.Timer(0.2, client.abort).start()
    started = time.monotonic()

    with pytest.raises(LinkLost, match="stopped"):
        client.request("session", deadline_s=60)

    assert time.monotonic() - started < 3


def test_requests_carry_version_and_rising_ids() -> None:
    """Every request names the version of the protocol; ids never repeat."""
    seen: list[dict[str, Any]] = []

    def answer(header: dict[str, Any]) -> bytes:
        seen.append(json.loads(json.dumps(header)))
        return ok(header)

    with AgentClient(ScriptedChannel(answer), "pi") as client:
        client.request("has", {"digests": []}, deadline_s=5)
        client.request("has", {"digests": []}, deadline_s=5)

    assert [header["op"] for header in seen] == ["has", "has", "bye"]
    assert [header["id"] for header in seen] == sorted({header["id"] for header in seen})
    assert {header["v"] for header in seen} == {1}
