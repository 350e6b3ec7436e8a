"""What one file did on several instruction sets: a row per CPU, and what is to be said about the differences.

Plain data: computed by `harness.stats.instruction_set`, printed by `harness.report.instruction_set`, JSON of
`fleetgate isa --json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingCode(StrEnum):
    """What kind of difference it is."""

    CRASH = "crash"
    """The file does not run there."""
    BOARD = "board"
    """The board or the farm failed: nothing, or not its work, is known about the file there."""
    BYTES = "bytes"
    """A program writes other bytes than on the first CPU."""
    UNREPEATED = "unrepeated"
    """No count of a program came back: it works otherwise in each run, or the board is broken."""
    VARIES = "varies"
    """What a program writes differs from run to run: it cannot be compared."""
    INTEGERS = "integers"
    """Integer or quantised answers differ from those of the first CPU."""
    NOT_FINITE = "not_finite"
    """NaN or infinity where the first CPU has numbers."""
    SHAPE = "shape"
    """Answers of another shape than on the first CPU."""
    FLOATS = "floats"
    """Answers differ by more than rounding explains."""
    KERNEL = "kernel"
    """So different an amount of work that other code must have run."""
    DEARER = "dearer"
    """More instructions than the file that it is compared with."""


BLOCKING = frozenset(
    {FindingCode.CRASH, FindingCode.BYTES, FindingCode.INTEGERS, FindingCode.NOT_FINITE, FindingCode.SHAPE}
)
"""What a command about one file fails for; in a gated run, gates decide."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, in a sentence that names the CPUs."""

    code: FindingCode
    cpus: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class CpuRow:
    """One file on one CPU; None and empty mean that it was not measured there."""

    cpu: str
    board: str
    """The emulated board that it ran on: QEMU's version, image and snapshot."""
    exists: bool
    """Whether boards with this CPU exist."""
    features: tuple[str, ...]
    """Those that kernels dispatch on, as /proc/cpuinfo spells them."""
    outputs_sha256: str = ""
    """Over type, shape and values of all outputs; of a program over what it wrote."""
    max_abs: float | None = None
    """Largest difference of an output value from the first CPU; None: nothing to compare, or no number."""
    max_rel: float | None = None
    """The same, relative to the largest magnitude of the first CPU's output."""
    instructions: float | None = None
    """User instructions of one inference, repeated by a second session."""
    counts: tuple[float, ...] = ()
    """The median of each session; the count is the median over the least of each repeat (docs/decisions/0010)."""
    ratio: float | None = None
    """Instructions relative to the first CPU that has a count."""
    load_instructions: float | None = None
    first_instructions: float | None = None
    peak_bytes: float | None = None
    failure: str = ""
    """Why it did not run there."""
    against: float | None = None
    """Instructions of one inference of the file that it is compared with."""


@dataclass(frozen=True, slots=True)
class InstructionSets:
    """One file over instruction sets."""

    name: str
    sha256: str
    runtime: str
    """Family, version and build as the boards told them."""
    inputs: str
    """Where the inputs come from, in words."""
    rows: tuple[CpuRow, ...]
    findings: tuple[Finding, ...]
    against: str = ""
    """Name of the file that it is compared with."""


@dataclass(frozen=True, slots=True)
class IsaReport:
    """What `fleetgate isa --json` prints."""

    schema_version: int
    fresh: bool
    """Whether each board was booted from its image instead of restored from its snapshot."""
    files: tuple[InstructionSets, ...]
    limits: str
    """What the counts cannot tell."""


ISA_SCHEMA_VERSION = 1
# 1: first version.
