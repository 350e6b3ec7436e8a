"""Starting the agent through login shells that chatter, and boards that are not what they should be."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from harness.device.cancel import Cancellation
from harness.device.deploy import CHUNK_S, FIRST_CHUNK, SMALLEST_CHUNK, _next_size
from harness.device.start import NOISE_BYTES, Start, start_agent
from harness.errors import DeviceError, FleetgateError, InfraError
from harness.transport.local import LocalTransport


def write_python(folder: Path, script: str) -> str:
    """Write a program that stands in for the board's Python; "$@" are Python's arguments."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def start(folder: Path, script: str) -> int:
    """Start an agent through the script and return the lease's token."""
    with LocalTransport() as transport:
        client, hello = start_agent(transport, Start(write_python(folder, script), str(folder / "root"), "me"))
        with client:
            return hello.token


@pytest.mark.parametrize(
    "noise",
    [
        "",
        "echo Welcome to the lab",
        "printf 'no line break'",
        "echo 'FGT-READY 0000'",
        "head -c 60000 /dev/zero | tr '\\0' x; echo",
    ],
)
def test_noise_before_the_agent_is_skipped(tmp_path: Path, noise: str) -> None:
    """Whatever a login shell prints first, the agent starts; the token grows with every lease."""
    script = f'{noise}\nexec {sys.executable} "$@"'

    tokens = [start(tmp_path, script), start(tmp_path, script)]

    assert tokens == [1, 2]


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("yes noise", InfraError, "noise"),
        (f"head -c {2 * NOISE_BYTES} /dev/zero; sleep 5", InfraError, "line without end"),
        ("exit 127", DeviceError, r"Python 3\.8"),
        ("echo 'no such module' >&2; exit 1", DeviceError, "no such module"),
        ('echo "FGT-READY $4"; echo "FGT-READY $3"; read x; echo "BAD disk is full"', DeviceError, "disk is full"),
        ('echo "FGT-READY $3"; read x; echo MAYBE', InfraError, "MAYBE"),
        ('echo "FGT-READY $3"; read x; echo HAVE; echo more; sleep 5', InfraError, "spoke|a frame|link broke|ended"),
    ],
)
def test_board_that_does_not_start_the_agent(
    tmp_path: Path, script: str, kind: type[FleetgateError], words: str
) -> None:
    """Endless noise, a missing interpreter, refusals and wrong words each end in an error that says so."""
    with pytest.raises(kind, match=words):
        start(tmp_path, script)


def test_chunks_follow_the_speed_of_the_link() -> None:
    """A fast link gets larger chunks up to 4 MiB, a slow one smaller ones down to 32 KiB."""
    assert _next_size(FIRST_CHUNK, 0.01) == 4 * FIRST_CHUNK
    assert _next_size(4 << 20, 0.01) == 4 << 20
    assert _next_size(FIRST_CHUNK, CHUNK_S) == FIRST_CHUNK
    assert _next_size(FIRST_CHUNK, 10 * CHUNK_S) == FIRST_CHUNK // 4
    assert _next_size(SMALLEST_CHUNK, 60.0) == SMALLEST_CHUNK


def test_cancellation_runs_what_is_under_way_and_nothing_else() -> None:
    """The latest action runs first; actions whose block has ended do not run."""
    event, ran = threading.Event(), []

    with Cancellation(event) as cancellation:
        with cancellation.doing(lambda: ran.append("over")):
            pass
        with cancellation.doing(lambda: ran.append("machine")), cancellation.doing(lambda: ran.append("link")):
            event.set()
            give_up = time.monotonic() + 5
            while len(ran) < 2 and time.monotonic() < give_up:
                time.sleep(0.01)

    assert ran[:2] == ["link", "machine"]
    assert "over" not in ran
