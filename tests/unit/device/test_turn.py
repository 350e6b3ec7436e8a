"""Timed sessions of the machine itself run alone; everything that is emulated there waits meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from harness.device.turn import turn
from harness.errors import RunCancelled
from harness.spec.model import Device, Emulation, Origin, Ssh, Tier

WHERE = Origin("farm.yaml", 1, 1)
HOST = Device("here", "host", ("host",), Tier.HARDWARE, WHERE, own_sshd=True)
EMULATED = Device(
    "a53", "qemu-cortex-a53", ("qemu-cortex-a53", "qemu"), Tier.DETERMINISTIC, WHERE,
    emulation=Emulation("cortex-a53", 2**30, icount=True),
)  # fmt: skip
PI = Device("pi", "rpi5", ("rpi5", "arm64"), Tier.HARDWARE, WHERE, ssh=Ssh("pi"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Elsewhere(threading.Thread):
    """Another board at work; `entered` is set while it has its turn."""

    def __init__(self, spec: Device, *, timed: bool) -> None:
        super().__init__(daemon=True)
        self.spec, self.timed = spec, timed
        self.entered, self.leave, self.cancel = threading.Event(), threading.Event(), threading.Event()
        self.error: RunCancelled | None = None
        self.start()

    def run(self) -> None:
        """Take a turn and keep it until told to leave."""
        try:
            with turn(self.spec, timed=self.timed, cancel=self.cancel):
                self.entered.set()
                self.leave.wait(10)
        except RunCancelled as error:
            self.error = error

    def end(self) -> None:
        """Leave and wait for it."""
        self.leave.set()
        self.join(10)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ((EMULATED, True), (EMULATED, True), True),
        ((EMULATED, True), (HOST, True), False),
        ((HOST, True), (EMULATED, False), False),
        ((HOST, True), (PI, True), True),
        ((EMULATED, True), (HOST, False), True),
        ((HOST, True), (HOST, True), False),
    ],
)
def test_who_may_work_beside_whom(first: tuple[Device, bool], second: tuple[Device, bool], *, together: bool) -> None:
    """Only a timed session of the host keeps others of this machine out, and only they keep it out."""
    one = Elsewhere(first[0], timed=first[1])
    assert one.entered.wait(5)
    two = Elsewhere(second[0], timed=second[1])

    assert two.entered.wait(5 if together else 0.3) is together

    one.end()
    assert two.entered.wait(5)
    two.end()


def test_a_stream_of_emulated_sessions_does_not_starve_the_host() -> None:
    """Once the host waits, newcomers queue behind it."""
    running = Elsewhere(EMULATED, timed=True)
    assert running.entered.wait(5)
    host = Elsewhere(HOST, timed=True)
    time.sleep(0.2)
    newcomer = Elsewhere(EMULATED, timed=True)
    assert not newcomer.entered.wait(0.3)

    running.end()

    assert host.entered.wait(5)
    assert not newcomer.entered.is_set()
    host.end()
    newcomer.end()


def test_a_thread_may_nest_its_turn_while_the_host_waits() -> None:
    """Preparing a board runs sessions inside of its turn; that must not wait for the host that waits for it."""
    with turn(EMULATED, timed=False, cancel=threading.Event()):
        host = Elsewhere(HOST, timed=True)
        time.sleep(0.2)
        with turn(EMULATED, timed=True, cancel=threading.Event()):
            assert not host.entered.is_set()
    assert host.entered.wait(5)
    host.end()


def test_cancelling_ends_the_wait() -> None:
    """A run that is stopped does not wait for its turn."""
    one = Elsewhere(HOST, timed=True)
    assert one.entered.wait(5)
    two = Elsewhere(EMULATED, timed=True)

    two.cancel.set()
    two.join(5)

    assert isinstance(two.error, RunCancelled)
    one.end()
