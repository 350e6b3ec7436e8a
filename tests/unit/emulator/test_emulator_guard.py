"""The guard with a harmless program in QEMU's place: whatever happens to the controller, the program ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.emulator.machine import guard

_CONTROLLER = """
import subprocess, sys, time, socket
a, b = socket.socketpair()
p = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], sys.argv[2], str(b.fileno()), "sleep", "60"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[b.fileno()], start_new_session=True)
print(p.pid, p.stdout.readline().decode().strip(), flush=True)
time.sleep(60)
"""


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _gone_within(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(_is_running(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the folder of a machine."""
    path = tmp_path / "machine"
    path.mkdir()
    return path


def _start_guard(folder: Path, *command: str) -> tuple[subprocess.Popen[bytes], int]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(folder), str(theirs.fileno()), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.fixture
def guarded(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `sleep` under a guard; the guard's process group is killed afterwards."""
    process, child = _start_guard(folder, "sleep", "60")
    yield process, child
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def test_closing_the_pipe_ends_all(guarded: tuple[subprocess.Popen[bytes], int], folder: Path) -> None:
    """When the controller closes the pipe, program and folder go."""
    process, child = guarded
    assert process.stdin is not None
    assert _is_running(child)

    process.stdin.close()

    assert _gone_within([process.pid, child], 2)
    assert not folder.exists()


def test_terminating_the_guard_ends_all(guarded: tuple[subprocess.Popen[bytes], int], folder: Path) -> None:
    """SIGTERM to the guard ends the program and removes the folder."""
    process, child = guarded

    process.terminate()
    process.wait(2)

    assert _gone_within([child], 2)
    assert not folder.exists()


def test_killing_the_guard_ends_the_program(guarded: tuple[subprocess.Popen[bytes], int]) -> None:
    """SIGKILL of the guard itself takes the program along."""
    process, child = guarded

    process.kill()
    process.wait()

    assert _gone_within([child], 2)


def test_program_outlives_the_thread_that_started_it(folder: Path) -> None:
    """A board that was started in a worker thread goes on when that thread ends."""
    started: list[tuple[subprocess.Popen[bytes], int]] = []
    thread = threading.Thread(target=lambda: started.append(_start_guard(folder, "sleep", "60")))
    thread.start()
    thread.join()
    process, child = started[0]

    time.sleep(0.3)

    assert _is_running(child)
    process.communicate()
    assert _gone_within([process.pid, child], 2)


def test_exit_code_is_told_and_the_log_stays(folder: Path) -> None:
    """When the program ends by itself, its exit code comes back and its last words can be read."""
    process, _ = _start_guard(folder, "sh", "-c", "echo no such CPU >&2; exit 3")

    assert process.wait(5) == 3
    assert (folder / "qemu.log").read_text() == "no such CPU\n"
    process.communicate()


def _obey_ctrl_c() -> None:
    """Undo what a shell does to its background jobs; it would be inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_end_of_the_controller_ends_all(folder: Path, number: signal.Signals) -> None:
    """However the controller ends, guard and program are gone within two seconds, and the folder with them."""
    controller = subprocess.Popen(
        [sys.executable, "-c", _CONTROLLER, guard.__file__, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=_obey_ctrl_c,  # noqa: PLW1509  no thread of ours runs yet
    )
    assert controller.stdout is not None
    pids = [int(word) for word in controller.stdout.readline().split()]

    controller.send_signal(number)
    controller.wait()
    controller.stdout.close()

    assert _gone_within(pids, 2)
    deadline = time.monotonic() + 5  # a loaded machine may take its time to remove it
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
