"""User-mode instructions of this process by perf_event_open(2), where kernel and processor count them.

The counter runs only between `start` and `stop`, excludes kernel and hypervisor, and never gives a figure that it did
not count: a counter that is not there says why.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from harness.agent.process import libc, read_architecture

T = TypeVar("T")

_SYSCALL = {"x86_64": 298, "aarch64": 241, "armv7l": 364, "armv6l": 364, "armv8l": 364}
_ATTR_SIZE = 128
_TYPE_HARDWARE = 0
_COUNT_INSTRUCTIONS = 1
_DISABLED, _INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HV, _ENABLE_ON_EXEC = 1 << 0, 1 << 1, 1 << 5, 1 << 6, 1 << 12
_IOC_ENABLE, _IOC_DISABLE, _IOC_RESET = 0x2400, 0x2401, 0x2403


class NoCounter(Exception):  # noqa: N818  a fact of the board, not a fault
    """The board does not count instructions; the message is errno's name."""


class InstructionCounter:
    """One counter of this process and the threads that it starts from now on (`threads`).

    With `pid` it is that of a child with all of its threads and children, from the program that it executes next.
    """

    def __init__(self, *, threads: bool = False, pid: int = 0) -> None:
        number = _SYSCALL.get(read_architecture())
        if number is None:
            raise NoCounter("ENOSYS")
        attr = bytearray(_ATTR_SIZE)
        struct.pack_into("IIQ", attr, 0, _TYPE_HARDWARE, _ATTR_SIZE, _COUNT_INSTRUCTIONS)
        flags = _DISABLED | _EXCLUDE_KERNEL | _EXCLUDE_HV | (_INHERIT if threads or pid else 0)
        flags |= _ENABLE_ON_EXEC if pid else 0
        struct.pack_into("Q", attr, 40, flags)
        buffer = (ctypes.c_char * _ATTR_SIZE).from_buffer(attr)
        self._fd = int(libc.syscall(number, buffer, pid, -1, -1, 0))
        if self._fd < 0:
            code = ctypes.get_errno()
            raise NoCounter(errno.errorcode.get(code, str(code)))

    def start(self) -> None:
        """Set to zero and count."""
        fcntl.ioctl(self._fd, _IOC_RESET, 0)
        fcntl.ioctl(self._fd, _IOC_ENABLE, 0)

    def stop(self) -> int:
        """Stop counting; return the instructions since `start`."""
        fcntl.ioctl(self._fd, _IOC_DISABLE, 0)
        return self.read()

    def read(self) -> int:
        """Return the instructions so far; those of threads and children when they have ended."""
        count: int = struct.unpack("=Q", os.read(self._fd, 8))[0]
        return count

    def close(self) -> None:
        """Give the counter back."""
        os.close(self._fd)


class Spent(NamedTuple):
    """What one act cost: seconds of the board's clock, and user instructions where they were counted."""

    elapsed_s: float
    instructions: int | None


def observe(act: Callable[[], T], counter: InstructionCounter | None, *, exact: bool) -> tuple[T, Spent]:
    """Do something once, timed and, with a counter, counted.

    Reading a clock takes some instructions more or less (the kernel may be setting it), and the counter's system calls
    take time. On a board whose time is a count (`exact`) nothing may disturb the count, elsewhere nothing the time.
    """
    clock = time.perf_counter_ns
    count = None
    if counter is None:
        start = clock()
        value = act()
        end = clock()
    elif exact:
        start = clock()
        counter.start()
        value = act()
        count = counter.stop()
        end = clock()
    else:
        counter.start()
        start = clock()
        value = act()
        end = clock()
        count = counter.stop()
    return value, Spent((end - start) * 1e-9, count)
