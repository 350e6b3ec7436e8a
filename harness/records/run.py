"""A whole run: the plan, what was seen, and under which conditions. `run.json` is its canonical JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.records.cell import CellRecord, Incident
from harness.records.plan import Plan
from harness.records.trial import Proofs
from harness.spec.model import Tier

SCHEMA_VERSION = 2
# 1: first version.
# 2: DeviceRecord.snapshot and RecordedFigure.snapshot; empty in records of version 1.
# Added later without a new number, absent in older records: CellRecord.documents and .notes, Verdict.where,
# PlannedCell.calibration.


@dataclass(frozen=True, slots=True)
class Facts:
    """What a board says of itself; empty or 0 means that the board does not expose it, never "ok"."""

    architecture: str
    """`uname -m`: aarch64, armv7l, x86_64."""
    cpu: str
    """Model in words: `Cortex-A72`, `Raspberry Pi 5 Model B Rev 1.0 (Cortex-A76)`."""
    cores: int
    features: tuple[str, ...]
    memory_bytes: int
    kernel: str
    libc: str
    """`glibc 2.36` or `musl 1.2`."""
    python: str
    """`3.11.2`."""
    python_abi: str
    """Wheel ABI tag: `cp311`, `cp313t`."""
    governor: str = ""
    frequencies_hz: tuple[float, ...] = ()
    temperatures_c: dict[str, float] = field(default_factory=dict)
    load_1min: float = 0.0
    boot_id: str = ""
    machine: str = ""
    """Device-tree model or DMI product name."""
    free_bytes: int = 0
    """Space left where the store lives."""
    throttled: str = ""
    """`vcgencmd get_throttled` word where there is one; empty: unknown."""
    throttle_signs: dict[str, float] = field(default_factory=dict)
    """What the kernel tells of throttling, by file: counts of events, alarms, states of CPU cooling; empty: unknown."""


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """One board as it was met in this run."""

    name: str
    profile: str
    tier: Tier
    facts: Facts | None
    fingerprint: str
    """Hash over what makes figures comparable: facts without the moving ones, runtime envs, emulator build."""
    emulator: str = ""
    """QEMU version, snapshot and image digests; empty on hardware."""
    incidents: tuple[Incident, ...] = ()
    snapshot: str = ""
    """Id of the machine state that an emulated board started from, which no other has; empty on hardware."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The controller."""

    fleetgate: str
    python: str
    platform: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` holds; everything a verdict needs, except the raw arrays beside it."""

    schema_version: int
    run_id: str
    started_at: str
    finished_at: str
    environment: Environment
    plan: Plan
    devices: tuple[DeviceRecord, ...]
    cells: tuple[CellRecord, ...]
    cancelled: bool = False
    proofs: Proofs | None = None
    """What self-tests of this version of the code had shown when the run was judged; None: there was none."""
