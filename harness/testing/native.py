"""Machine code for tests, without a compiler: minimal ELF programs, and a runtime that executes what a model says.

Owns the words of instructions; what becomes of a process that executes them is the agent's business.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from harness.testing.fake_runtime import API, add_fake

AARCH64, X86_64 = "aarch64", "x86_64"
_MACHINES = {AARCH64: 183, X86_64: 62}
_BASE = 0x400000
_HEADERS = 64 + 56
SDOT = 0x4E829420
"""`sdot v0.4s, v1.16b, v2.16b`: needs asimddp."""

EXITS = {
    # mov x8, #93; mov x0, #0; svc #0
    AARCH64: struct.pack("<3I", 0xD2800BA8, 0xD2800000, 0xD4000001),
    # mov eax, 60; xor edi, edi; syscall
    X86_64: bytes.fromhex("b83c00000031ff0f05"),
}
"""Ends with status 0."""
SAYS_HI = {
    # mov x0, #1; adr x1, +20; mov x2, #3; mov x8, #64; svc #0; b +8; "hi\n"
    AARCH64: struct.pack("<6I4s", 0xD2800020, 0x100000A1, 0xD2800062, 0xD2800808, 0xD4000001, 0x14000002, b"hi\n")
    + EXITS[AARCH64],
    # mov eax, 1; mov edi, eax; lea rsi, [rip+11]; mov edx, 3; syscall; jmp +3; "hi\n"
    X86_64: bytes.fromhex("b801000000 89c7 488d3509000000 ba03000000 0f05 eb03 68690a") + EXITS[X86_64],
}
"""Writes `hi` and ends with status 0."""
LOOPS = {AARCH64: struct.pack("<I", 0x14000000), X86_64: bytes.fromhex("ebfe")}
"""Never ends."""
ILLEGAL = {AARCH64: struct.pack("<I", 0), X86_64: bytes.fromhex("0f0b")}
"""udf #0, ud2: illegal on every processor."""
DOTS = struct.pack("<I", SDOT) + EXITS[AARCH64]
"""aarch64: one dot product, then status 0."""
RETURNS = {AARCH64: struct.pack("<I", 0xD65F03C0), X86_64: bytes.fromhex("c3")}
"""What ends a function."""

EXECUTE = """
import ctypes, mmap, threading
__version__ = "0.faulty"
def execute(code):
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(bytes.fromhex(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
execute("IMPORTED")
"""
FAULTY = (
    EXECUTE
    + API
    + """
class InferenceSession(Session):
    def __init__(self, path, options, providers, enable_fallback):
        self.where, self.code = open(path).read().split()
    def run(self, names, feed):
        if self.where == "thread":
            threading.stack_size(131072)
            threading.Thread(target=execute, args=(self.code,)).start()
            while True: pass
        execute(self.code)
        return [feed["x"] * 2]
"""
)


def elf(architecture: str, code: bytes) -> bytes:
    """Make a static program: ELF header, one segment, and the code that starts it.

    Source: System V ABI, ELF-64 object file format, chapters ELF header and program header.
    """
    size = _HEADERS + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(identity, 2, _MACHINES[architecture], 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + code


def unfit_wheel(imported: bytes) -> bytes:
    """Pack a wheel that executes machine code while a runtime is imported: as the numpy that all runtimes import."""
    source = EXECUTE.replace("IMPORTED", imported.hex())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("numpy.py", source)
        archive.writestr("numpy-0.dist-info/METADATA", "Metadata-Version: 2.1\nName: numpy\nVersion: 0\n")
        archive.writestr("numpy-0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("numpy-0.dist-info/RECORD", "")
    return buffer.getvalue()


def add_faulty(root: Path, env: str, imported: bytes) -> None:
    """Add an environment to an agent's folder whose onnxruntime executes machine code.

    Args:
        root: the agent's folder, on this machine.
        env: id of the environment.
        imported: executed while the runtime is imported.
    """
    add_fake(root, env, FAULTY.replace("IMPORTED", imported.hex()))
