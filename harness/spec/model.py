"""What was asked, resolved and validated: plain frozen data that travels to workers as JSON.

Made by `harness.spec.farm`, `.profile` and `.suite` from YAML; nothing here reads a file. SI units everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.spec.workload import Workload


class Tier(StrEnum):
    """How faithful a board is; what may be gated on it is in `harness.gate.tier`."""

    HARDWARE = "hardware"
    DETERMINISTIC = "emulated-deterministic"
    FUNCTIONAL = "emulated-functional"
    REPLAYED = "replayed"


class LimitKind(StrEnum):
    """How a limit bounds a figure.

    `max` and `min` are absolute. `regress` is the allowed relative worsening against the baseline.
    `drop` is the allowed absolute loss (ratio) against the reference on the same samples.
    """

    MAX = "max"
    MIN = "min"
    REGRESS = "regress"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written; `file` is as the user named it, lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound on one metric: `value` in SI, `text` as the user wrote it."""

    metric: str
    kind: LimitKind
    value: float
    text: str
    origin: Origin
    accept: str = ""
    """`modelled` or `simulated` where the suite says that such a figure may decide this gate; else empty."""
    creep: float | None = None
    """`regress`: how much worse than the anchor release all accepted steps together may be; None: as one step."""


@dataclass(frozen=True, slots=True)
class LimitSet:
    """The limits that one place of one file states for one scope (`all`, a profile, a device)."""

    scope: str
    limits: tuple[Limit, ...]
    origin: Origin | None = None
    """Where the scope is written."""


@dataclass(frozen=True, slots=True)
class Emulation:
    """A QEMU board: `cpu` is QEMU's name."""

    cpu: str
    memory_bytes: int
    icount: bool
    suite: str = "bookworm"
    """Debian release of the board's root file system."""
    exists: bool = True
    """Whether boards with this CPU exist; a pass on one that does not is no evidence for any release."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How OpenSSH reaches a board: `host` may be an alias of ~/.ssh/config."""

    host: str
    user: str = ""
    port: int = 0
    host_key: str = ""
    """`SHA256:…` fingerprint or a public key line; empty: known_hosts decides."""


AS_SHIPPED, PINNED = "as-shipped", "pinned"
MODELLED, SIMULATED = "modelled", "simulated"
"""Power of emulated boards that no instrument gave: computed from a declared model, or told by an instrument on
loopback that follows one. Words of a board's `power`, of `accept` beside a limit, and labels of figures."""
BOARD_METERS = frozenset({"hwmon", "iio", "ina3221x", "pmic", "supply", "counter"})
"""Kinds of meter that the board reads itself; all others, but for `modelled`, the controller reads."""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """The power source of a board; `kind` is one of `harness.spec.power.METERS` or a package's. Zeros: not declared."""

    kind: str
    rail: str = ""
    root: str = "/sys"
    rate_hz: float = 50.0
    idle_w: float = 0.0
    joule_per_instruction: float = 0.0
    busy_w: float = 0.0
    """Of a simulated meter: power on top of idle while the emulator computes."""
    scope: str = ""
    """wall, board, module or rails; empty: what the source is known to see."""
    accuracy: float = 0.0
    """Bound of the relative error."""
    offset_w: float = 0.0
    averaging_s: float = 0.0
    range_w: float = 0.0
    window_s: float = 0.0
    """Shortest time under load."""
    address: str = ""
    queries: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    make: str = ""
    channel: int = 0
    options: dict[str, str] = field(default_factory=dict)
    """What a package's meter wants to know."""

    @property
    def is_external(self) -> bool:
        """Whether the controller reads it."""
        return self.kind != MODELLED and self.kind not in BOARD_METERS


@dataclass(frozen=True, slots=True)
class Noise:
    """How much a figure of a board scatters when nothing has changed: standard deviation of a pair's log-ratio."""

    metric: str
    """A metric, or `control`: the fixed piece of work that runs beside every timed session."""
    sd: float
    is_heavy: bool = False
    """Outliers beyond a normal distribution: the exact sign-flip test decides instead of the t test."""
    source: str = ""
    """Where it is known from: file:line, or the A/A runs that measured it."""


@dataclass(frozen=True, slots=True)
class Device:
    """One board of the farm, its profile already merged in.

    Exactly one of `ssh` and `emulation` is set, or neither for the `host` profile without `ssh:`, which gets an sshd of
    its own on loopback (`own_sshd`).
    """

    name: str
    profile: str
    lineage: tuple[str, ...]
    """Names of the profile and of all that it extends, nearest first; suite scopes match any of them."""
    tier: Tier
    origin: Origin
    ssh: Ssh | None = None
    emulation: Emulation | None = None
    own_sshd: bool = False
    python: str = "python3"
    root: str = "~/.fleetgate"
    threads: int = 1
    cores: tuple[int, ...] = ()
    """CPUs that a session is pinned to; empty: the agent takes the last of those allowed."""
    runtimes: dict[str, str] = field(default_factory=dict)
    """Runtime family -> requirement (`onnxruntime==1.32.0`) or `system`."""
    tools: dict[str, str] = field(default_factory=dict)
    """Name of a measuring tool -> its path on this board."""
    power: MeterSpec | None = None
    sessions: int = 0
    """Sessions per arm of a timed measurement, fixed beforehand; 0: as many as it takes, or the tier's number."""
    noise: tuple[Noise, ...] = ()
    """What is known of the board's noise, at most one entry per metric."""
    condition: str = AS_SHIPPED
    """`as-shipped` or `pinned`: whether a run holds the board's clocks."""
    frequency_hz: float = 0.0
    """At which they are pinned; 0: the highest that is allowed."""
    tags: tuple[str, ...] = ()
    budgets: tuple[Limit, ...] = ()
    """Limits of the profile (weakest)."""
    overrides: tuple[LimitSet, ...] = ()
    """Limits that farm.yaml states for this device (strongest); scope is a suite name or `all`."""
    description: str = ""
    """The profile's sentence about this kind of board."""
    selftest: bool = False
    """Whether known faults may be planted on it; set by a self-test's plan and by nothing that a user writes."""


@dataclass(frozen=True, slots=True)
class Farm:
    """The boards of one farm.yaml, in file order, already narrowed by `farm.yaml::selector`."""

    name: str
    file: str
    devices: tuple[Device, ...]
    scopes: tuple[str, ...] = ()
    """What a suite may name on this farm: every device of the file, also those not selected, and every profile."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model file and its runtime; `file` and `baseline` are absolute paths."""

    name: str
    file: str
    runtime: str
    origin: Origin
    baseline: str = ""
    provider: str = ""
    """Execution provider or delegate asked for; empty: the runtime's CPU."""
    threads: int = 0
    """0: the device's."""
    build: str = ""
    """A requirement that pins the runtime build for this artifact (`tflite-runtime==2.14.0`); empty: the device's."""
    devices: tuple[str, ...] = ()
    """Names of devices or profiles that this artifact is meant for; empty: all. Others are SKIPPED by the plan."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One *.suite.yaml: `reference` is an absolute path, run once on the controller; empty: none."""

    name: str
    file: str
    workload: Workload
    artifacts: tuple[Artifact, ...]
    gates: tuple[LimitSet, ...]
    reference: str = ""
    reference_runtime: str = ""
