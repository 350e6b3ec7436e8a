"""What killed a process, said by the process itself: signal, address, instruction and library of a fatal fault.

The handler is machine code, not Python: it needs no interpreter lock, no allocator and next to no stack, may run in any
thread, makes only system calls that cannot block, and then lets the signal kill the process as it would have. It writes
to memory shared with the agent, which outlives the process. Until a fault comes nothing of it runs. A runtime that sets
its own handlers, for good or to probe for instructions, replaces it meanwhile. Controllers find the way in
docs/decisions; tests/unit/agent/test_crash.py disassembles the code.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
from typing import NamedTuple

from harness.agent.process import describe_status, libc, read_architecture

SIZE = 1 << 16
SIGNALS = (signal.SIGILL, signal.SIGTRAP, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)
REPORT = struct.Struct("<IiQQQ16sI")
"""Signal, si_code, faulting address, program counter, length of maps, bytes at the program counter (SIGILL), pid."""
MAPS_AT = 64
"""Where the text of /proc/self/maps starts; the handler reads as much of it as there is room for."""
_STACK = 1 << 16
"""Of its own, so that an overflow of the main thread's stack is told too. SVE registers make long signal frames."""
_SA_SIGINFO, _SA_ONSTACK = 0x4, 0x08000000
_MAP_FAILED = ctypes.c_void_p(-1).value
# Sources: tests/golden/crash/*.s. After the code come the address of the report, a default sigaction and a path.
CODE = {
    "aarch64": bytes.fromhex(
        "49070058ea03002a881580d2010000d42b3140b97f01006b80040054203100b92a0100b92b0840b92b0500b92b0840f9"
        "2b0500f94cdc40f92c0900f95f110071610000548b0140b92b2100b9600c809201060010020080d2080780d2010000d4"
        "4002f8b7ed0300aa0e0080d2e0030daa2101019121000e8b02f89fd242000ecbe80780d2010000d41f0000f16d000054"
        "ce01008bf6ffff172e0d00f9e0030daa280780d2010000d4e0030a2a21020010020080d2030180d2c81080d2010000d4"
        "481680d2010000d4eb03002a881580d2010000d4e1030b2ae2030a2a681080d2010000d4c0035fd6"
    ),
    "x86_64": bytes.fromhex(
        "4c8b0de10000004189f8b8270000000f05413b41300f8493000000418941304589018b460841894104488b4610498941"
        "08488bb2a8000000498971104183f804751b498d792089f181c900f0fffff7d983f90f7605b90f000000fcf3a4bf9cff"
        "ffff488d35a700000031d2b8010100000f0585c078384189c249c74118000000004489d7498b4118498d740140bac0ff"
        "00004829c231c00f054885c07e0649014118ebdd4489d7b8030000000f054489c7488d353800000031d241ba08000000"
        "b80d0000000f05b8ba0000000f054189c1b8270000000f0589c74489ce4489c2b8ea0000000f05c3"
    ),
}
_DATA = bytes(32) + b"/proc/self/maps\0"


class Crash(NamedTuple):
    """One fatal signal. `where` is `libname.so+0x1f00` (from where the file is mapped), or empty."""

    number: int
    is_fault: bool
    """Whether the processor raised it; otherwise some process sent it."""
    counter: int
    instruction: bytes
    where: str

    def to_wire(self) -> dict[str, str]:
        """Return the fields that an error object carries beside its code and message."""
        fields = {"signal": signal.Signals(self.number).name, "pc": f"{self.counter:#x}", "where": self.where}
        if self.is_illegal:
            fields["instruction"] = self.instruction.hex()
        return fields

    @property
    def code(self) -> str:
        """Return the word for it on the wire."""
        return "illegal_instruction" if self.is_illegal else "crash"

    @property
    def is_illegal(self) -> bool:
        """Whether the processor refused an instruction."""
        return self.is_fault and self.number == signal.SIGILL


class CrashPage:
    """Memory that the agent shares with one zygote and its sessions; `fd` is -1 where the kernel has none to share."""

    def __init__(self) -> None:
        try:
            self.fd = os.memfd_create("fleetgate-crash")
            # Written, not only made long: the handler must find the memory there.
            os.pwrite(self.fd, bytes(SIZE), 0)
        except (AttributeError, OSError):  # a C library or a kernel older than memfd
            self.fd = -1

    def clear(self) -> None:
        """Forget what was told before."""
        if self.fd >= 0:
            os.pwrite(self.fd, bytes(MAPS_AT), 0)

    def read(self, pid: int) -> Crash | None:
        """Return what process `pid` told of its end; None when it told nothing."""
        data = os.pread(self.fd, SIZE, 0) if self.fd >= 0 else b""
        if len(data) < MAPS_AT:
            return None
        number, code, _, counter, length, instruction, teller = REPORT.unpack_from(data)
        if teller != pid or number not in SIGNALS:
            return None
        maps = data[MAPS_AT : MAPS_AT + min(length, SIZE)].decode(errors="replace")
        return Crash(number, code > 0, counter, cut(instruction), place(counter, maps))

    def close(self) -> None:
        """Give the memory back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Action(ctypes.Structure):
    """`struct sigaction` of glibc and musl."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Stack(ctypes.Structure):
    """`stack_t`."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def tell_crashes(fd: int) -> bool:
    """Have fatal faults of this process, and of those that it forks, told in the memory `fd`.

    Returns:
        False where that is not to be had: another architecture, or a kernel that maps no new code.
    """
    code = CODE.get(read_architecture())
    report = _map(fd, SIZE, mmap.PROT_READ | mmap.PROT_WRITE, shared=True) if code and fd >= 0 else 0
    handler = _map_code(code + struct.pack("<Q", report) + _DATA) if code and report else 0
    if not handler:
        return False
    stack = _Stack(_map(-1, _STACK, mmap.PROT_READ | mmap.PROT_WRITE, shared=False), 0, _STACK)
    libc.sigaltstack(ctypes.byref(stack), None)
    action = _Action(handler=handler, flags=_SA_SIGINFO | _SA_ONSTACK)
    return all(libc.sigaction(int(number), ctypes.byref(action), None) == 0 for number in SIGNALS)


def _map(fd: int, size: int, rights: int, *, shared: bool) -> int:
    """Map memory, `fd` -1 for anonymous; 0 where the kernel refuses."""
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | (mmap.MAP_ANONYMOUS if fd < 0 else 0)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    address = libc.mmap(None, size, rights, flags, fd, 0)
    return 0 if address in {None, _MAP_FAILED} else int(address)


def _map_code(code: bytes) -> int:
    """Map code as a library is mapped, from a file: so the kernel brings the instruction caches up to date itself."""
    try:
        fd = os.memfd_create("fleetgate-handler")
    except OSError:  # vm.memfd_noexec
        return 0
    try:
        os.write(fd, code)
        return _map(fd, len(code), mmap.PROT_READ | mmap.PROT_EXEC, shared=False)
    finally:
        os.close(fd)


def explain_crash(crash: Crash | None, status: int, when: str) -> dict[str, str]:
    """Return the error object of a process that died, with what is known of its fatal signal if that ended it.

    Args:
        crash: what was told.
        status: of wait(2).
        when: `while running`.
    """
    if crash is None or not os.WIFSIGNALED(status) or os.WTERMSIG(status) != crash.number:
        return {"code": "crash", "message": f"{describe_status(status)} {when}"}
    place = f" in {crash.where}" if crash.where else ""
    return {"code": crash.code, "message": f"{describe_status(status)}{place} {when}", **crash.to_wire()}


def cut(instruction: bytes) -> bytes:
    """Return the bytes that matter: every instruction of aarch64 has four."""
    return instruction[:4] if read_architecture() == "aarch64" else instruction[:15]


def place(counter: int, maps: str) -> str:
    """Name the file that an address lies in, with the distance from where the file's first mapping starts."""
    starts: dict[str, int] = {}
    for line in maps.splitlines():
        span, _, rest = line.partition(" ")
        first, _, last = span.partition("-")
        path = rest.split(maxsplit=4)[4] if len(rest.split(maxsplit=4)) == 5 else ""
        try:
            start, end = int(first, 16), int(last, 16)
        except ValueError:
            continue
        starts.setdefault(path, start)
        if start <= counter < end and path:
            name = os.path.basename(path).replace(" (deleted)", "")
            return f"{name[:100]}+{counter - starts[path]:#x}"
    return ""
