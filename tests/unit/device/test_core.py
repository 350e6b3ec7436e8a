"""Cores for emulated boards at work: never more than there are, whoever asks, and none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.device.core import Core
from harness.errors import RunCancelled

NEVER = threading.Event()
HOLDER = """
import sys, threading, time
from harness.device.core import Core
Core(cores=1).take(threading.Event(), print)
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def is_free(cores: int) -> bool:
    """Tell whether another board would get a core at once."""
    said: list[str] = []
    stop = threading.Event()
    stop.set()
    core = Core(cores=cores)
    try:
        core.take(stop, said.append)
    except RunCancelled:
        assert said == [f"waiting for a free core: {cores} emulated board{'s run' if cores > 1 else ' runs'}"]
        return False
    core.give()
    return True


def test_as_many_boards_work_as_there_are_cores() -> None:
    """Two of two are taken; what one gives, another gets."""
    first, second = Core(cores=2), Core(cores=2)
    first.take(NEVER, print)
    assert is_free(2)
    second.take(NEVER, print)
    assert not is_free(2)

    first.give()

    assert is_free(2)
    second.give()


def test_taking_and_giving_twice_is_once() -> None:
    """A claim holds one core at most, and giving what is not held does nothing."""
    core = Core(cores=2)
    core.take(NEVER, print)
    core.take(NEVER, print)

    assert is_free(2)
    core.give()
    core.give()
    assert is_free(1)


def test_a_board_that_waits_gets_the_core_that_is_given() -> None:
    """The wait ends when the holder gives."""
    holder, waiting = Core(cores=1), Core(cores=1)
    holder.take(NEVER, print)
    said = threading.Event()
    thread = threading.Thread(target=waiting.take, args=(NEVER, lambda _: said.set()))
    thread.start()
    assert said.wait(10)

    holder.give()
    thread.join(10)

    assert not thread.is_alive()
    assert not is_free(1)
    waiting.give()


def test_an_open_board_gets_the_core_between_two_jobs() -> None:
    """Two boards on one core: the second is open, too, and gets the core when the first is between two jobs."""
    boards = [Core(cores=1), Core(cores=1)]
    boards[0].take(NEVER, print)
    said = threading.Event()
    thread = threading.Thread(target=boards[1].take, args=(NEVER, lambda _: said.set()))
    thread.start()
    assert said.wait(10)

    deadline = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < deadline:
        boards[0].share(NEVER)

    assert not thread.is_alive()
    assert not is_free(1)
    for board in boards:
        board.give()


def test_no_board_is_opened_beyond_one_more_than_cores() -> None:
    """Boards that are half way stay in memory: who holds no core may keep one place, and no third board gets in."""
    first, second, third = (Core(cores=1) for _ in range(3))
    first.take(NEVER, print)
    stop = threading.Event()
    stop.set()
    with pytest.raises(RunCancelled):
        second.take(stop, print)  # its place stays its own

    with pytest.raises(RunCancelled):
        third.take(stop, print)
    first.share(NEVER)
    with pytest.raises(RunCancelled):
        third.take(stop, print)
    first.give()
    third.take(stop, print)


def test_a_board_that_nobody_waits_for_keeps_its_core() -> None:
    """Sharing with nobody costs nothing."""
    core = Core(cores=1)
    core.take(NEVER, print)

    core.share(NEVER)

    assert not is_free(1)
    core.give()
    assert is_free(1)


def test_a_core_is_shared_between_processes_and_freed_by_death() -> None:
    """Another run of the user holds the only core until it is killed."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "taken\n"
            assert not is_free(1)
        finally:
            os.kill(holder.pid, signal.SIGKILL)

    assert is_free(1)
