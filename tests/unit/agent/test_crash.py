"""The handler of fatal signals: its code is what its source says, and a process that dies tells how."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import capstone
import pytest

from harness.agent.crash import CODE, CrashPage, place

SOURCES = Path(__file__).parents[2] / "golden" / "crash"
READERS = {
    "aarch64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
    "x86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
}
MAPS = """\
00400000-00401000 r--p 00000000 00:1c 11 /opt/my runtime/libx.so.1
00401000-00402000 r-xp 00001000 00:1c 11 /opt/my runtime/libx.so.1
7f000000-7f001000 rwxp 00000000 00:00 0
ffff0000-ffff1000 r-xp 00000000 00:00 0                          [vdso]
"""
DYING = """
import ctypes, os, signal, sys
from harness.agent.crash import tell_crashes
assert tell_crashes(int(sys.argv[1]))
"""
here = pytest.mark.skipif(platform.machine() not in CODE, reason="no handler for this architecture")


def die(how: str) -> tuple[int, int, CrashPage]:
    """Run a process that dies; return its pid, how it ended and what it told."""
    page = CrashPage()
    argv = [sys.executable, "-c", DYING + how, str(page.fd)]
    with subprocess.Popen(argv, pass_fds=[page.fd], stderr=subprocess.DEVNULL) as process:
        code = process.wait(timeout=30)
    return process.pid, code, page


@pytest.mark.parametrize("architecture", sorted(CODE))
def test_code_is_its_source(architecture: str) -> None:
    """The bytes disassemble to the instructions of the source file, one by one."""
    comment = {"aarch64": "//", "x86_64": "#"}[architecture]
    lines = [line.partition(comment)[0].split() for line in (SOURCES / f"{architecture}.s").read_text().splitlines()]
    written = [line[0] for line in lines if line and not line[0].startswith(".") and not line[0].endswith(":")]

    read = [found.mnemonic.split()[0] for found in capstone.Cs(*READERS[architecture]).disasm(CODE[architecture], 0)]

    assert read == written
    assert len(CODE[architecture]) % 8 == 0


@here
def test_segmentation_fault_is_told_with_its_library() -> None:
    """The process still dies of its signal; the library and the address come along."""
    pid, code, page = die("ctypes.string_at(0)")

    crash = page.read(pid)
    assert code == -signal.SIGSEGV
    assert crash is not None
    assert (crash.number, crash.is_fault, crash.code) == (signal.SIGSEGV, True, "crash")
    assert "libc" in crash.where


@here
def test_overflowed_stack_is_told() -> None:
    """The handler has a stack of its own."""
    function = "ctypes.CFUNCTYPE(ctypes.c_int)"
    pid, code, page = die(
        f"f = {function}(lambda: g()); g = {function}(lambda: f()); sys.setrecursionlimit(10**8); f()"
    )

    assert code == -signal.SIGSEGV
    assert page.read(pid) is not None


@here
def test_signal_that_was_sent_is_no_fault() -> None:
    """`kill -ILL` ends the process as ever, and is no illegal instruction."""
    pid, code, page = die("os.kill(os.getpid(), signal.SIGILL); print('alive')")

    crash = page.read(pid)
    assert code == -signal.SIGILL
    assert crash is not None
    assert crash.code == "crash"
    assert "instruction" not in crash.to_wire()


@here
def test_own_handler_of_a_runtime_stays_in_charge() -> None:
    """A program that probes for instructions with a handler of its own is left alone."""
    pid, code, page = die("signal.signal(signal.SIGILL, lambda *_: None); os.kill(os.getpid(), signal.SIGILL)")

    assert code == 0
    assert page.read(pid) is None


def test_what_nobody_told_is_nothing() -> None:
    """Neither an empty page nor the report of another process is believed."""
    page = CrashPage()

    assert page.read(os.getpid()) is None
    os.pwrite(page.fd, b"\xff" * 64, 0)
    assert page.read(os.getpid()) is None
    page.clear()
    page.close()


@pytest.mark.parametrize(
    ("counter", "where"),
    [(0x401010, "libx.so.1+0x1010"), (0x7F000010, ""), (0xFFFF0010, "[vdso]+0x10"), (0x10, "")],
)
def test_address_is_named_by_the_file_it_lies_in(counter: int, where: str) -> None:
    """From the start of the file's first mapping; an address outside of all files has no name."""
    assert place(counter, MAPS) == where


def test_maps_that_are_no_maps_name_nothing() -> None:
    """What a dying process left there is not trusted."""
    assert place(1, "x\n-\n0-zz r\n" + "0-2" * 100) == ""
