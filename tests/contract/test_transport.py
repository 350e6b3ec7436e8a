"""The transport port: one body over all adapters."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.errors import FleetgateError, InfraError, LinkLost
from harness.testing.sshd import LocalSshd
from harness.transport.protocol import Channel, Transport, load_transport

ECHO = "import sys; sys.stderr.write('error words'); sys.stderr.flush(); print(sys.stdin.readline().upper(), end='')"


@pytest.fixture(scope="module")
def sshd() -> Iterator[LocalSshd]:
    """Run one private sshd for the module."""
    with LocalSshd() as running:
        yield running


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.system)])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    """Connect by each adapter."""
    make: Any = load_transport(request.param)
    arguments = [request.getfixturevalue("sshd").endpoint("board")] if request.param == "ssh" else []
    with make(*arguments) as connected:
        yield connected


def read_all(channel: Channel, *, timeout_s: float = 20.0) -> bytes:
    """Read to the end of the stream."""
    data = b""
    while piece := channel.read(4096, timeout_s=timeout_s):
        data += piece
    return data


def test_program_talks_over_its_streams(transport: Transport) -> None:
    """What is written arrives, what is printed comes back, errors are kept apart, the exit status is known."""
    channel = transport.open([sys.executable, "-c", ECHO + "; sys.exit(3)"])

    channel.write(b"hello\n", timeout_s=5)

    assert read_all(channel) == b"HELLO\n"
    assert channel.exit_status(timeout_s=5) == 3
    assert channel.stderr_tail() == "error words"
    channel.close()


def test_arguments_are_never_interpreted(transport: Transport) -> None:
    """Spaces, quotes, variables and line breaks in an argument reach the program as they are."""
    odd = "a b'c\"d$HOME`id`;*\n\\"
    channel = transport.open([sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])", odd])

    assert read_all(channel) == odd.encode()
    channel.close()


def test_read_has_a_deadline_and_survives_it(transport: Transport) -> None:
    """A read that finds nothing ends in time, and the channel can be used on."""
    channel = transport.open([sys.executable, "-c", ECHO])
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        channel.read(10, timeout_s=0.3)

    assert time.monotonic() - started < 5
    channel.write(b"x\n", timeout_s=5)
    assert read_all(channel) == b"X\n"
    channel.close()


def test_write_has_a_deadline(transport: Transport) -> None:
    """A program that does not read cannot hold a writer for ever."""
    channel = transport.open([sys.executable, "-c", "import time; time.sleep(60)"])

    def flood() -> None:
        for _ in range(1000):
            channel.write(bytes(1 << 16), timeout_s=0.3)

    with pytest.raises(TimeoutError):
        flood()

    channel.close()


def test_death_by_signal_is_no_exit_status(transport: Transport) -> None:
    """A program that was killed has no status that could be taken for its own."""
    channel = transport.open([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])

    assert read_all(channel) == b""
    assert channel.exit_status(timeout_s=5) is None
    channel.close()


def test_flood_of_errors_does_not_stop_the_output(transport: Transport) -> None:
    """Megabytes on standard error are dropped but for their end, and the output still arrives."""
    flood = "import sys\nfor _ in range(80): sys.stderr.write('e' * 65536)\nsys.stderr.write('END'); print('done')"
    channel = transport.open([sys.executable, "-c", flood])

    assert read_all(channel) == b"done\n"
    assert channel.stderr_tail().endswith("END")
    assert len(channel.stderr_tail()) <= 8192
    channel.close()


def test_close_wakes_a_reader(transport: Transport) -> None:
    """Closing from another thread ends a waiting read instead of leaving it to its deadline."""
    channel = transport.open([sys.executable, "-c", "import time; time.sleep(60)"])
    ends: list[BaseException | bytes] = []

    def read() -> None:
        try:
            ends.append(channel.read(10, timeout_s=30))
        except FleetgateError as error:
            ends.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.2)
    transport.close()
    reader.join(10)

    assert not reader.is_alive()
    assert ends == [b""] or isinstance(ends[0], LinkLost)


def test_programs_end_with_the_transport(transport: Transport) -> None:
    """What was started does not outlive the connection: its standard input ends."""
    channel = transport.open(["sh", "-c", "echo $$; cat"])
    pid = int(channel.read(20, timeout_s=20))

    transport.close()

    give_up = time.monotonic() + 10
    while _is_running(pid) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not _is_running(pid)


def test_missing_program_is_told(transport: Transport) -> None:
    """A program that is not there is an error or status 127, never silence."""
    try:
        channel = transport.open(["/nonexistent/program"])
    except InfraError as error:
        told = error.code
    else:
        told = f"{read_all(channel)!r} {channel.exit_status(timeout_s=5)}"
        channel.close()

    assert told in {"missing_program", "b'' 127"}


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
