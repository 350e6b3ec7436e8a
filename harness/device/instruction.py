"""One machine instruction in words, and which feature of the processor it needs. Pure.

The words come from capstone; the features from a table of encodings, spelled as /proc/cpuinfo spells them. Knows
nothing of how the instruction was met.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.device.encoding import needs_aarch64

if TYPE_CHECKING:
    import capstone

AARCH64, X86_64 = "aarch64", "x86_64"
_X86_FEATURES = {
    "3dnow": "3dnow",
    "adx": "adx",
    "aes": "aes",
    "avx": "avx",
    "avx2": "avx2",
    "avx512": "avx512f",
    "bmi": "bmi1",
    "bmi2": "bmi2",
    "bwi": "avx512bw",
    "cdi": "avx512cd",
    "dqi": "avx512dq",
    "eri": "avx512er",
    "f16c": "f16c",
    "fma": "fma",
    "fma4": "fma4",
    "pclmul": "pclmulqdq",
    "sha": "sha_ni",
    "sse3": "pni",
    "sse41": "sse4_1",
    "sse42": "sse4_2",
    "sse4a": "sse4a",
    "ssse3": "ssse3",
    "tbm": "tbm",
    "vlx": "avx512vl",
    "xop": "xop",
}
"""Capstone's groups of instructions, as /proc/cpuinfo spells the feature."""
_X86_NAMES = (
    ("vfmadd", "fma"), ("vfmsub", "fma"), ("vfnmadd", "fma"), ("vfnmsub", "fma"), ("popcnt", "popcnt"),
    ("lzcnt", "abm"), ("movbe", "movbe"),
)  # fmt: skip
"""Starts of mnemonics that are in no group of capstone's."""
_NEVER = frozenset({"udf", "ud0", "ud1", "ud2"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """What some bytes of code say."""

    text: str
    """`sdot v0.4s, v1.16b, v2.16b`, or the bytes as a hexadecimal word where nobody can read them."""
    needs: tuple[str, ...] = ()
    """Features; empty for an instruction of every processor, or one that is not in the tables."""
    is_never: bool = False
    """Whether it is defined to be illegal: how a program stops itself."""


def read_instruction(code: bytes, architecture: str) -> Instruction:
    """Disassemble the first instruction of some code.

    Args:
        code: in the order of memory; may be longer than the instruction.
        architecture: as `uname -m` spells it; of others than aarch64 and x86_64 only the bytes are shown.
    """
    if architecture == AARCH64 and len(code) >= 4:
        word = int.from_bytes(code[:4], "little")
        said = _disassemble(code[:4], architecture)
        text = f"{said[0]} {said[1]}".strip() if said else f"{word:#010x}"
        return Instruction(text, needs_aarch64(word), is_never=word >> 16 == 0)
    if architecture == X86_64 and (said := _disassemble(code, architecture)):
        named = {feature for start, feature in _X86_NAMES if said[0].startswith(start)}
        needs = named | {_X86_FEATURES[group] for group in said[2] if group in _X86_FEATURES}
        return Instruction(f"{said[0]} {said[1]}".strip(), tuple(sorted(needs)), is_never=said[0] in _NEVER)
    return Instruction(f"the bytes {code.hex(' ')}" if code else "an unknown instruction")


def explain_instruction(code: bytes, architecture: str, features: Collection[str], cpu: str) -> str:
    """Say which instruction a processor refused, and what it lacks for it.

    Args:
        code: see `read_instruction`.
        architecture: see `read_instruction`.
        features: that the processor has, from /proc/cpuinfo; empty where it was not readable.
        cpu: its name.

    Returns:
        `sdot v0.4s, v1.16b, v2.16b: needs asimddp, which this CPU does not have: Cortex-A53`.
    """
    found = read_instruction(code, architecture)
    name = f": {cpu}" if cpu else ""
    if found.is_never:
        return f"{found.text}: never defined on any CPU: the program stopped itself"
    missing = [need for need in found.needs if need not in features]
    if missing and features:
        return f"{found.text}: needs {' and '.join(missing)}, which this CPU does not have{name}"
    if found.needs:
        return f"{found.text}: needs {' and '.join(found.needs)}, which this CPU refused{name}"
    return f"{found.text}: this CPU does not execute it{name}"


def _disassemble(code: bytes, architecture: str) -> tuple[str, str, frozenset[str]] | None:
    reader = _reader(architecture)
    for found in reader.disasm(code, 0, 1):
        groups = frozenset(found.group_name(group) for group in found.groups)
        return found.mnemonic, found.op_str, groups
    return None


@functools.lru_cache(maxsize=2)
def _reader(architecture: str) -> capstone.Cs:
    import capstone

    if architecture == AARCH64:
        reader = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    else:
        reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    reader.detail = True
    return reader
