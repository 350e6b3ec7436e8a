"""Following a native program with ptrace(2): the peak of its memory, and what it dies of. Needs no rights but a child.

A traced process stops only at signals, at its end and when it starts threads: its own instructions are those it would
execute without. Knows nothing of sessions or results.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
from collections.abc import Callable

from harness.agent.crash import SIGNALS, Crash, cut, place
from harness.agent.process import libc, read_architecture

WALL = 0x40000000
"""waitpid: threads, too."""
_CONT, _GETSIGINFO, _GETREGSET, _SEIZE, _LISTEN = 7, 0x4202, 0x4204, 0x4206, 0x4208
_TRACE_CLONE, _TRACE_EXIT, _EXIT_KILL = 1 << 3, 1 << 6, 1 << 20
_EVENT_EXIT, _EVENT_STOP = 6, 128
_PRSTATUS = 1
_STOPPING = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_COUNTER_AT = {"aarch64": 32 * 8, "x86_64": 16 * 8}
"""Offset of the program counter in struct user_regs_struct."""


class Traced:
    """A child that is followed until its end.

    Args:
        pid: a child that waits for `go` before it executes the program.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak_bytes = 0
        """VmHWM at the end of the program; 0 when it could not be read."""
        self.crash: Crash | None = None
        """The last fatal signal that one of its threads met."""
        self.refusal = "" if _ptrace(_SEIZE, pid, 0, _TRACE_CLONE | _TRACE_EXIT | _EXIT_KILL) == 0 else _last_error()
        """Why it is not followed (errno's name): then there is neither a peak nor a crash."""

    def wait(self) -> int:
        """Follow it to its end; return its wait status."""
        while True:
            tid, status = os.waitpid(-1, WALL)
            if os.WIFSTOPPED(status):
                self._pass(tid, status)
            elif tid == self.pid:
                return status

    def _pass(self, tid: int, status: int) -> None:
        """Look at a stopped thread and let it go on."""
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == _EVENT_STOP and number in _STOPPING:
            _ptrace(_LISTEN, tid, 0, 0)
            return
        if event == _EVENT_EXIT and tid == self.pid:
            self.peak_bytes = _read_peak(tid)
        if event == 0 and number in SIGNALS:
            self.crash = _look(tid, number)
        _ptrace(_CONT, tid, 0, number if event == 0 else 0)


def _look(tid: int, number: int) -> Crash:
    """Read what a thread was doing when a signal came."""
    info = (ctypes.c_ubyte * 128)()
    _ptrace(_GETSIGINFO, tid, 0, ctypes.addressof(info))
    code = struct.unpack_from("<i", bytes(info), 8)[0]
    registers = (ctypes.c_ubyte * 1024)()
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(registers), len(registers))
    offset = _COUNTER_AT.get(read_architecture())
    if offset is None or _ptrace(_GETREGSET, tid, _PRSTATUS, ctypes.addressof(vector)) != 0:
        return Crash(number, code > 0, 0, b"", "")
    counter = struct.unpack_from("<Q", bytes(registers), offset)[0]
    instruction = _read(lambda: _read_memory(tid, counter))
    maps = _read(lambda: _read_file(f"/proc/{tid}/maps")).decode(errors="replace")
    return Crash(number, code > 0, counter, cut(instruction), place(counter, maps))


def _read_peak(pid: int) -> int:
    for line in _read(lambda: _read_file(f"/proc/{pid}/status")).decode(errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(read: Callable[[], bytes]) -> bytes:
    """Read of a process that may be killed meanwhile: then there is nothing to read."""
    with contextlib.suppress(OSError):
        return read()
    return b""


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _read_memory(pid: int, address: int) -> bytes:
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, 15, address)
    finally:
        os.close(fd)


def _ptrace(request: int, pid: int, address: int, data: int) -> int:
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    return int(libc.ptrace(request, pid, address, data))


def _last_error() -> str:
    number = ctypes.get_errno()
    return errno.errorcode.get(number, str(number))
