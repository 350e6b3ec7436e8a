"""Emulated boards for real: image, snapshot, SSH, counting, and that none is ever left behind."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.emulator import Machine, Snapshots, build_image, start_board
from harness.emulator.image import ImageRecipe
from harness.errors import ImageError
from harness.spec.model import Emulation

pytestmark = pytest.mark.board

_DETERMINISTIC = Emulation("cortex-a53", 1 << 30, icount=True)
_FUNCTIONAL = Emulation("cortex-a72", 1 << 30, icount=False)

_COUNT = """
import ctypes, fcntl, gc, hashlib, json, os, struct
gc.disable()
attributes = bytearray(128)
struct.pack_into("IIQQQQ", attributes, 0, 0, 128, 1, 0, 0, 0)
struct.pack_into("Q", attributes, 40, 1 | 1 << 5 | 1 << 6)
libc = ctypes.CDLL(None, use_errno=True)
counter = libc.syscall(241, (ctypes.c_char * 128).from_buffer(attributes), 0, -1, -1, 0)
assert counter >= 0, os.strerror(ctypes.get_errno())
counts = []
for _ in range(24):
    fcntl.ioctl(counter, 0x2403, 0)
    fcntl.ioctl(counter, 0x2400, 0)
    hashlib.sha256(json.dumps([{"a": n, "b": str(n)} for n in range(200)]).encode()).hexdigest()
    fcntl.ioctl(counter, 0x2401, 0)
    counts.append(struct.unpack("Q", os.read(counter, 8))[0])
counts.sort()
print(counts[0], counts[12], counts[-1])
"""
"""User-mode instructions of one workload by perf_event_open (aarch64 syscall 241): minimum, median, maximum."""

_CONTROLLER = """
import sys, time
from harness.emulator import start_board
from harness.spec.model import Emulation
machine = start_board(Emulation("cortex-a53", 1 << 30, icount=True), progress=lambda line: None)
print(machine.pid, machine.folder, flush=True)
time.sleep(60)
"""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _within(seconds: float, fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _prepare_counting(machine: Machine) -> None:
    machine.run(f"cat > /root/count.py <<'END'\n{_COUNT}\nEND\nPYTHONHASHSEED=0 python3 /root/count.py")


@pytest.mark.parametrize("emulation", [_DETERMINISTIC, _FUNCTIONAL], ids=["icount", "plain"])
def test_board_answers_soon_with_a_whole_python(emulation: Emulation) -> None:
    """A restored board answers a pinned login within 15 s and has what an agent needs: Python, room, libraries."""
    start_board(emulation, progress=_say).kill()

    started = time.monotonic()
    with start_board(emulation, progress=_say) as machine:
        machine.run("true")
        answered_s = time.monotonic() - started
        machine.run("python3 -c 'import ctypes, ssl, zipfile, json, hashlib, multiprocessing, sqlite3'")
        free_bytes = int(machine.run("df -B1 --output=avail / | tail -1"))
        libraries = machine.run("ldconfig -p")

    assert answered_s < 15
    assert free_bytes > 1.5 * 2**30
    assert "libgomp.so.1" in libraries
    assert "libstdc++.so.6" in libraries


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "cortex-a76"])
def test_cpu_models_differ_as_they_should(cpu: str) -> None:
    """Only the core that has dot products says so."""
    with start_board(Emulation(cpu, 1 << 30, icount=True), progress=_say) as machine:
        flags = machine.run("grep -m1 Features /proc/cpuinfo").split()

    assert ("asimddp" in flags) == (cpu == "cortex-a76")


@pytest.fixture
def key(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name a prepared snapshot for one test; it is removed from the user's cache afterwards."""
    name = f"test {request.node.name} {time.time_ns()}"
    yield name
    snapshots = Snapshots(build_image(ImageRecipe(), progress=_say), _say)
    for emulation in (_DETERMINISTIC, _FUNCTIONAL):
        folder = snapshots.folder(emulation, name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def test_work_is_counted_exactly_whatever_the_host_does(key: str) -> None:
    """Two boards of one snapshot, whose id no other has, count the same to the digit, the second under host load."""
    counted, states = [], [Snapshots(build_image(ImageRecipe(), progress=_say), _say).booted(_DETERMINISTIC).id]
    for load in (0, 2):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
        try:
            with start_board(_DETERMINISTIC, progress=_say, key=key, prepare=_prepare_counting) as machine:
                counted.append(machine.run("PYTHONHASHSEED=0 python3 /root/count.py"))
                states.append(machine.source.id)
        finally:
            for process in busy:
                process.kill()
                process.wait()

    booted, first, second = states
    assert first == second != booted
    assert counted[0] == counted[1]
    assert int(counted[0].split()[0]) > 100_000


def test_boards_of_one_snapshot_do_not_see_each_other() -> None:
    """Two boards run side by side from one snapshot; what one writes is neither on the other nor in the snapshot."""
    with start_board(_FUNCTIONAL, progress=_say) as one, start_board(_FUNCTIONAL, progress=_say) as other:
        one.run("echo x > /root/written && sync")

        assert other.run("ls /root") == ""
        assert one.endpoint.port != other.endpoint.port
    with start_board(_FUNCTIONAL, progress=_say) as later:
        assert later.run("ls /root") == ""


def test_snapshot_is_prepared_once_for_all_who_ask(key: str) -> None:
    """Two threads that ask for one key at once get one preparation; later starts get its result."""
    prepared: list[int] = []
    machines: list[str] = []

    def prepare(machine: Machine) -> None:
        prepared.append(machine.pid)
        machine.run("echo prepared > /root/state")

    def start() -> None:
        with start_board(_FUNCTIONAL, progress=_say, key=key, prepare=prepare) as machine:
            machines.append(machine.run("cat /root/state"))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(prepared) == 1
    assert machines == ["prepared\n", "prepared\n"]


def test_failed_preparation_is_not_kept(key: str) -> None:
    """What `prepare` raises passes through, the board is gone, and no snapshot stays under the key."""
    snapshots = Snapshots(build_image(ImageRecipe(), progress=_say), _say)
    machines: list[Machine] = []

    def prepare(machine: Machine) -> None:
        machines.append(machine)
        raise LookupError("no such wheel")

    with pytest.raises(LookupError, match="no such wheel"):
        snapshots.prepared(_FUNCTIONAL, key, prepare)

    assert snapshots.find(_FUNCTIONAL, key) is None
    assert not _is_running(machines[0].pid)


def test_another_host_key_is_refused() -> None:
    """A login that pins another key than the board's does not happen."""
    with start_board(_FUNCTIONAL, progress=_say) as machine:
        kind, key = machine.endpoint.host_key.split()
        machine.endpoint = dataclasses.replace(machine.endpoint, host_key=f"{kind} {key[:-4]}AAAA")

        with pytest.raises(ImageError, match="exit 255"):
            machine.run("true")


def test_board_reaches_nothing_outside() -> None:
    """The guest cannot open a connection to the host or beyond it."""
    connect = "import socket; print(socket.socket().connect_ex(('10.0.2.2', 22)))"
    with start_board(_FUNCTIONAL, progress=_say) as machine:
        answer = machine.run(f'timeout 20 python3 -c "{connect}" || echo cut')

    assert answer.strip() != "0"


def test_unknown_cpu_is_told_in_the_words_of_qemu() -> None:
    """A CPU that QEMU does not know ends in one error that quotes QEMU."""
    with pytest.raises(ImageError, match="pentium"):
        start_board(Emulation("pentium", 1 << 30, icount=False), progress=_say)


def test_killed_qemu_is_noticed() -> None:
    """When QEMU dies the machine says so at once, and ending it is still clean."""
    with start_board(_FUNCTIONAL, progress=_say) as machine:
        assert machine.alive()

        os.kill(machine.pid, signal.SIGKILL)

        assert _within(2, lambda: not machine.alive())
        folder = machine.folder
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_board_outlives_its_controller(number: signal.Signals) -> None:
    """However the controller ends, QEMU is gone and its folder removed within two seconds."""
    start_board(_DETERMINISTIC, progress=_say).kill()
    controller = subprocess.Popen(
        [sys.executable, "-c", _CONTROLLER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert controller.stdout is not None
    pid, folder = controller.stdout.readline().split(maxsplit=1)
    assert _is_running(int(pid))

    controller.send_signal(number)
    controller.wait()
    controller.stdout.close()

    assert _within(2, lambda: not _is_running(int(pid)) and not Path(folder.strip()).exists())
